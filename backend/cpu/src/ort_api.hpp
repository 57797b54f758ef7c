// The few entries of onnxruntime's C API that the library uses, declared by their place in the table of functions.
//
// The table only ever grows, so a place holds for every later version. The version asked for is the lowest one that has
// all of them; a runtime that does not offer it is refused with a message (see library.cpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace reuse::ort {

constexpr std::uint32_t kApiVersion = 18;
constexpr std::uint32_t kShapeReferenceVersion = 24;  // has type_and_shape

struct Status;
struct Value;
struct SessionOptions;
struct CustomOpDomain;
struct KernelInfo;
struct KernelContext;
struct TensorInfo;

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2, kNotImplemented = 9 };
enum ElementType : int { kAny = 0, kFloat = 1, kUint8 = 2, kUint16 = 4, kInt32 = 6, kInt64 = 7, kBool = 9 };
enum Characteristic : int { kRequired = 0, kOptional = 1, kVariadic = 2 };
constexpr int kCpuMemory = 0;

// The table of functions: entry `Place` has type `Function`.
struct Api;

template <typename Function>
Function entry(const Api* api, std::size_t place) {
    return reinterpret_cast<Function const*>(api)[place];
}

struct ApiBase {
    const Api* (*get_api)(std::uint32_t version);
    const char* (*version_string)();
};

inline Status* create_status(const Api* api, ErrorCode code, const char* message) {
    return entry<Status* (*)(ErrorCode, const char*)>(api, 0)(code, message);
}
inline void release(const Api* api, Status* status) { entry<void (*)(Status*)>(api, 93)(status); }
inline Status* create_domain(const Api* api, const char* name, CustomOpDomain** domain) {
    return entry<Status* (*)(const char*, CustomOpDomain**)>(api, 26)(name, domain);
}
inline Status* add_op(const Api* api, CustomOpDomain* domain, const void* op) {
    return entry<Status* (*)(CustomOpDomain*, const void*)>(api, 27)(domain, op);
}
inline Status* add_domain(const Api* api, SessionOptions* options, CustomOpDomain* domain) {
    return entry<Status* (*)(SessionOptions*, CustomOpDomain*)>(api, 28)(options, domain);
}
inline Status* mutable_data(const Api* api, Value* value, void** data) {
    return entry<Status* (*)(Value*, void**)>(api, 51)(value, data);
}
inline Status* element_type(const Api* api, const TensorInfo* info, ElementType* type) {
    return entry<Status* (*)(const TensorInfo*, ElementType*)>(api, 60)(info, type);
}
inline Status* rank(const Api* api, const TensorInfo* info, std::size_t* count) {
    return entry<Status* (*)(const TensorInfo*, std::size_t*)>(api, 61)(info, count);
}
inline Status* dimensions(const Api* api, const TensorInfo* info, std::int64_t* sizes, std::size_t count) {
    return entry<Status* (*)(const TensorInfo*, std::int64_t*, std::size_t)>(api, 62)(info, sizes, count);
}
inline Status* tensor_info(const Api* api, const Value* value, TensorInfo** info) {
    return entry<Status* (*)(const Value*, TensorInfo**)>(api, 65)(value, info);
}
// The type and a view of the shape, without an allocation; of kShapeReferenceVersion.
inline Status* type_and_shape(const Api* api, const Value* value, ElementType* type, const std::int64_t** sizes,
                              std::size_t* count) {
    return entry<Status* (*)(const Value*, ElementType*, const std::int64_t**, std::size_t*)>(api, 414)(value, type, sizes,
                                                                                                      count);
}
inline void release(const Api* api, TensorInfo* info) { entry<void (*)(TensorInfo*)>(api, 99)(info); }
inline Status* attribute(const Api* api, const KernelInfo* info, const char* name, float* value) {
    return entry<Status* (*)(const KernelInfo*, const char*, float*)>(api, 85)(info, name, value);
}
inline Status* attribute(const Api* api, const KernelInfo* info, const char* name, std::int64_t* value) {
    return entry<Status* (*)(const KernelInfo*, const char*, std::int64_t*)>(api, 86)(info, name, value);
}
inline Status* attribute(const Api* api, const KernelInfo* info, const char* name, float* list, std::size_t* size) {
    return entry<Status* (*)(const KernelInfo*, const char*, float*, std::size_t*)>(api, 162)(info, name, list, size);
}
inline Status* attribute(const Api* api, const KernelInfo* info, const char* name, std::int64_t* list, std::size_t* size) {
    return entry<Status* (*)(const KernelInfo*, const char*, std::int64_t*, std::size_t*)>(api, 163)(info, name, list, size);
}
inline Status* input(const Api* api, const KernelContext* context, std::size_t number, const Value** value) {
    return entry<Status* (*)(const KernelContext*, std::size_t, const Value**)>(api, 90)(context, number, value);
}
inline Status* output(const Api* api, KernelContext* context, std::size_t number, const std::int64_t* sizes,
                      std::size_t count, Value** value) {
    return entry<Status* (*)(KernelContext*, std::size_t, const std::int64_t*, std::size_t, Value**)>(api, 91)(
        context, number, sizes, count, value);
}
inline Status* node_name(const Api* api, const KernelInfo* info, char* text, std::size_t* size) {
    return entry<Status* (*)(const KernelInfo*, char*, std::size_t*)>(api, 244)(info, text, size);
}
inline Status* constant_input(const Api* api, const KernelInfo* info, std::size_t number, int* constant,
                              const Value** value) {
    return entry<Status* (*)(const KernelInfo*, std::size_t, int*, const Value**)>(api, 249)(info, number, constant, value);
}
inline Status* parallel_for(const Api* api, const KernelContext* context, void (*work)(void*, std::size_t),
                            std::size_t total, void* data) {
    return entry<Status* (*)(const KernelContext*, void (*)(void*, std::size_t), std::size_t, std::size_t, void*)>(
        api, 274)(context, work, total, 0, data);
}

// What onnxruntime asks of an operator; the order of the fields is fixed, up to those of version 18.
struct CustomOp {
    std::uint32_t version;
    void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*);
    const char* (*name)(const CustomOp*);
    const char* (*provider)(const CustomOp*);
    ElementType (*input_type)(const CustomOp*, std::size_t);
    std::size_t (*inputs)(const CustomOp*);
    ElementType (*output_type)(const CustomOp*, std::size_t);
    std::size_t (*outputs)(const CustomOp*);
    void (*compute)(void*, KernelContext*);
    void (*destroy)(void*);
    Characteristic (*input_characteristic)(const CustomOp*, std::size_t);
    Characteristic (*output_characteristic)(const CustomOp*, std::size_t);
    int (*input_memory)(const CustomOp*, std::size_t);
    int (*variadic_input_minimum)(const CustomOp*);
    int (*variadic_input_homogeneous)(const CustomOp*);
    int (*variadic_output_minimum)(const CustomOp*);
    int (*variadic_output_homogeneous)(const CustomOp*);
    Status* (*create_kernel_v2)(const CustomOp*, const Api*, const KernelInfo*, void**);
    Status* (*compute_v2)(void*, KernelContext*);
    Status* (*infer_shapes)(const CustomOp*, void*);
    int (*start_version)(const CustomOp*);
    int (*end_version)(const CustomOp*);
    std::size_t (*may_inplace)(int**, int**);
    void (*release_may_inplace)(int*, int*);
    std::size_t (*alias_map)(int**, int**);
    void (*release_alias_map)(int*, int*);
};

}  // namespace reuse::ort
