// What an operator of the library is to onnxruntime.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ort_api.hpp"
#include "pool.hpp"

namespace reuse {

// The first thing that went wrong; empty where nothing did.
using Failure = std::string;

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
Failure
failure(const char* format, ...);

std::string shape_text(const std::vector<std::int64_t>& shape);

// Reads the attributes and the name of a node while its kernel is made. The first failure is kept.
class NodeReader {
public:
    NodeReader(const ort::Api* api, const ort::KernelInfo* info);

    float real(const char* name);
    std::int64_t integer(const char* name);
    std::vector<float> reals(const char* name);
    std::vector<std::int64_t> integers(const char* name);

    const std::string& name() const { return name_; }
    const Failure& failed() const { return failed_; }

private:
    void check(const char* attribute, ort::Status* status);

    const ort::Api* api_;
    const ort::KernelInfo* info_;
    std::string name_;
    Failure failed_;
};

struct Tensor {
    std::vector<std::int64_t> shape;
    ort::ElementType type = ort::kAny;
    void* data = nullptr;

    std::size_t size() const;
    float* floats() const { return static_cast<float*>(data); }
};

// The inputs and outputs of one call. The first failure is kept, and what is read after it is empty.
class Call {
public:
    Call(const ort::Api* api, ort::KernelContext* context) : api_(api), context_(context) {}

    Tensor input(std::size_t number);
    // An output of that shape.
    void* output(std::size_t number, const std::vector<std::int64_t>& shape);
    // An output that continues an input: the memory of the input where the caller bound both to one, else a copy of it.
    void* continued(std::size_t number, const Tensor& past, std::size_t element_bytes);
    Pool pool() const;

    const Failure& failed() const { return failed_; }

private:
    void check(ort::Status* status);

    const ort::Api* api_;
    ort::KernelContext* context_;
    Failure failed_;
};

// The state of a node between calls: nothing but what it was made from.
class Kernel {
public:
    virtual ~Kernel() = default;
    virtual Failure compute(Call& call) = 0;
};

// An operator under one name and one set of types.
struct Operator : ort::CustomOp {
    using Make = Failure (*)(NodeReader&, const Operator&, std::unique_ptr<Kernel>&);

    Operator(const char* name, std::vector<ort::ElementType> inputs, std::vector<ort::ElementType> outputs, Make make);

    const char* op_name;
    std::vector<ort::ElementType> input_types, output_types;
    Make make;
};

// The operators, one list for each file that has some.
const std::vector<const Operator*>& gemm_operators();
const std::vector<const Operator*>& conv_operators();
const std::vector<const Operator*>& recurrent_operators();

}  // namespace reuse
