// What an operator of the library is to onnxruntime.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <initializer_list>
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

// Sizes of axes, of at most kMostAxes; kept in place, since a call has a handful of them.
class Shape {
public:
    static constexpr std::size_t kMostAxes = 8;

    Shape() = default;
    Shape(std::initializer_list<std::int64_t> sizes) : Shape(sizes.begin(), sizes.size()) {}
    Shape(const std::int64_t* sizes, std::size_t count) : count_(count < kMostAxes ? count : kMostAxes) {
        for (std::size_t axis = 0; axis < count_; ++axis) sizes_[axis] = sizes[axis];
    }

    std::size_t size() const { return count_; }
    bool empty() const { return !count_; }
    std::int64_t& operator[](std::size_t axis) { return sizes_[axis]; }
    std::int64_t operator[](std::size_t axis) const { return sizes_[axis]; }
    std::int64_t& back() { return sizes_[count_ - 1]; }
    std::int64_t back() const { return sizes_[count_ - 1]; }
    const std::int64_t* data() const { return sizes_; }
    const std::int64_t* begin() const { return sizes_; }
    const std::int64_t* end() const { return sizes_ + count_; }
    void push_back(std::int64_t size) {
        if (count_ < kMostAxes) sizes_[count_++] = size;
    }
    std::size_t elements() const {
        std::size_t count = 1;
        for (const std::int64_t size : *this) count *= static_cast<std::size_t>(size);
        return count;
    }
    friend bool operator==(const Shape& a, const Shape& b) {
        if (a.count_ != b.count_) return false;
        for (std::size_t axis = 0; axis < a.count_; ++axis)
            if (a.sizes_[axis] != b.sizes_[axis]) return false;
        return true;
    }

private:
    std::int64_t sizes_[kMostAxes] = {};
    std::size_t count_ = 0;
};

std::string shape_text(const Shape& shape);

// Reads the attributes and the name of a node while its kernel is made. The first failure is kept.
class NodeReader {
public:
    NodeReader(const ort::Api* api, const ort::KernelInfo* info);

    float real(const char* name);
    std::int64_t integer(const char* name);
    std::vector<float> reals(const char* name);
    std::vector<std::int64_t> integers(const char* name);
    // Whether that input is the same in every call.
    bool constant(std::size_t input);

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
    Shape shape;
    ort::ElementType type = ort::kAny;
    void* data = nullptr;

    std::size_t size() const { return shape.elements(); }
    float* floats() const { return static_cast<float*>(data); }
};

// The inputs and outputs of one call. The first failure is kept, and what is read after it is empty.
class Call {
public:
    Call(const ort::Api* api, bool references, ort::KernelContext* context)
        : api_(api), references_(references), context_(context) {}

    Tensor input(std::size_t number);
    // The same of one that need not be given: of type kAny where it is not.
    Tensor optional_input(std::size_t number);
    // An output of that shape; null where it need not be given and nobody reads it.
    void* output(std::size_t number, const Shape& shape);
    // An output that continues an input: the memory of the input where the caller bound both to one, else a copy of it.
    void* continued(std::size_t number, const Tensor& past, std::size_t element_bytes);
    Pool pool() const;

    const Failure& failed() const { return failed_; }

private:
    void check(ort::Status* status);

    const ort::Api* api_;
    bool references_;  // the runtime gives a view of a shape
    ort::KernelContext* context_;
    Failure failed_;
};

// Whether the runtime that registered the library is of ort::kShapeReferenceVersion or later.
extern bool shape_references;

// The state of a node between calls: nothing but what it was made from.
class Kernel {
public:
    virtual ~Kernel() = default;
    virtual Failure compute(Call& call) = 0;
};

// Of reuse operators, and of those of trials.
constexpr const char* kDomain = "ai.reuse";
constexpr const char* kTrialDomain = "ai.reuse.trial";

// An operator under one name and one set of types.
struct Operator : ort::CustomOp {
    using Make = Failure (*)(NodeReader&, const Operator&, std::unique_ptr<Kernel>&);

    // The first `required` inputs must be given; outputs need not where some inputs need not.
    Operator(const char* name, std::vector<ort::ElementType> inputs, std::vector<ort::ElementType> outputs, Make make,
             std::size_t required = SIZE_MAX, const char* domain = kDomain);

    const char* domain;
    const char* op_name;
    std::vector<ort::ElementType> input_types, output_types;
    Make make;
    std::size_t required;
};

// The operators, one list for each file that has some.
const std::vector<const Operator*>& gemm_operators();
const std::vector<const Operator*>& conv_operators();
const std::vector<const Operator*>& recurrent_operators();
const std::vector<const Operator*>& trial_operators();

}  // namespace reuse
