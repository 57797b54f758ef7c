#include "operator.hpp"

#include <cstdio>
#include <cstring>

namespace reuse {
namespace {

struct Made {
    const ort::Api* api;
    std::unique_ptr<Kernel> kernel;
    std::string name;
};

ort::Status* status_of(const ort::Api* api, const std::string& name, const Failure& failed) {
    const std::string text = name + ": " + failed;
    return ort::create_status(api, ort::kInvalidArgument, text.c_str());
}

const Operator& self(const ort::CustomOp* op) { return *static_cast<const Operator*>(op); }

ort::Status* make_kernel(const ort::CustomOp* op, const ort::Api* api, const ort::KernelInfo* info, void** out) {
    NodeReader reader(api, info);
    auto made = std::make_unique<Made>();
    made->api = api;
    made->name = std::string(self(op).domain) + "." + self(op).op_name + " node " + reader.name();
    Failure failed = self(op).make(reader, self(op), made->kernel);
    if (failed.empty()) failed = reader.failed();
    if (!failed.empty()) return status_of(api, made->name, failed);
    *out = made.release();
    return nullptr;
}

ort::Status* run_kernel(void* kernel, ort::KernelContext* context) {
    Made& made = *static_cast<Made*>(kernel);
    Call call(made.api, shape_references, context);
    Failure failed = made.kernel->compute(call);
    if (failed.empty()) failed = call.failed();
    return failed.empty() ? nullptr : status_of(made.api, made.name, failed);
}

}  // namespace

Failure failure(const char* format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    std::vsnprintf(text, sizeof text, format, values);
    va_end(values);
    return text;
}

bool shape_references = false;

std::string shape_text(const Shape& shape) {
    std::string text = "[";
    for (std::size_t axis = 0; axis < shape.size(); ++axis) text += (axis ? ", " : "") + std::to_string(shape[axis]);
    return text + "]";
}

NodeReader::NodeReader(const ort::Api* api, const ort::KernelInfo* info) : api_(api), info_(info) {
    std::size_t size = 0;
    check("name", ort::node_name(api, info, nullptr, &size));
    if (!failed_.empty() || !size) return;
    name_.resize(size);
    check("name", ort::node_name(api, info, &name_[0], &size));
    name_.resize(std::strlen(name_.c_str()));
}

void NodeReader::check(const char* attribute, ort::Status* status) {
    if (!status) return;
    if (failed_.empty()) failed_ = failure("attribute %s is missing or of another type: compile the model again", attribute);
    ort::release(api_, status);
}

float NodeReader::real(const char* name) {
    float value = 0;
    check(name, ort::attribute(api_, info_, name, &value));
    return value;
}

std::int64_t NodeReader::integer(const char* name) {
    std::int64_t value = 0;
    check(name, ort::attribute(api_, info_, name, &value));
    return value;
}

std::vector<float> NodeReader::reals(const char* name) {
    std::size_t size = 0;
    check(name, ort::attribute(api_, info_, name, static_cast<float*>(nullptr), &size));
    std::vector<float> values(size);
    if (size) check(name, ort::attribute(api_, info_, name, values.data(), &size));
    return values;
}

std::vector<std::int64_t> NodeReader::integers(const char* name) {
    std::size_t size = 0;
    check(name, ort::attribute(api_, info_, name, static_cast<std::int64_t*>(nullptr), &size));
    std::vector<std::int64_t> values(size);
    if (size) check(name, ort::attribute(api_, info_, name, values.data(), &size));
    return values;
}

bool NodeReader::constant(std::size_t input) {
    int constant = 0;
    const ort::Value* value = nullptr;
    if (ort::Status* status = ort::constant_input(api_, info_, input, &constant, &value)) ort::release(api_, status);
    return constant != 0;
}

void Call::check(ort::Status* status) {
    if (!status) return;
    if (failed_.empty()) failed_ = "onnxruntime does not give a tensor";
    ort::release(api_, status);
}

Tensor Call::input(std::size_t number) {
    const Tensor tensor = optional_input(number);
    if (tensor.type == ort::kAny && failed_.empty()) failed_ = failure("input %zu is missing", number);
    return tensor;
}

Tensor Call::optional_input(std::size_t number) {
    Tensor tensor;
    const ort::Value* value = nullptr;
    check(ort::input(api_, context_, number, &value));
    if (!value) return tensor;
    std::size_t rank = 0;
    if (references_) {
        const std::int64_t* sizes = nullptr;
        check(ort::type_and_shape(api_, value, &tensor.type, &sizes, &rank));
        tensor.shape = Shape(sizes, rank);
    } else {
        ort::TensorInfo* info = nullptr;
        check(ort::tensor_info(api_, value, &info));
        if (!info) return tensor;
        std::int64_t sizes[Shape::kMostAxes] = {};
        check(ort::rank(api_, info, &rank));
        if (rank <= Shape::kMostAxes) check(ort::dimensions(api_, info, sizes, rank));
        check(ort::element_type(api_, info, &tensor.type));
        ort::release(api_, info);
        tensor.shape = Shape(sizes, rank);
    }
    if (rank > Shape::kMostAxes && failed_.empty())
        failed_ = failure("input %zu has %zu axes, at most %zu are possible: run without the kernel library", number, rank,
                          Shape::kMostAxes);
    check(ort::mutable_data(api_, const_cast<ort::Value*>(value), &tensor.data));
    return tensor;
}

void* Call::output(std::size_t number, const Shape& shape) {
    ort::Value* value = nullptr;
    check(ort::output(api_, context_, number, shape.data(), shape.size(), &value));
    void* data = nullptr;
    if (value) check(ort::mutable_data(api_, value, &data));
    return data;
}

void* Call::continued(std::size_t number, const Tensor& past, std::size_t element_bytes) {
    void* data = output(number, past.shape);
    if (data && data != past.data) std::memcpy(data, past.data, past.size() * element_bytes);
    return data;
}

Pool Call::pool() const {
    struct Starter {
        static void start(const void* call, Pool::Work work, std::size_t total, void* data) {
            const Call& own = *static_cast<const Call*>(call);
            if (ort::Status* status = ort::parallel_for(own.api_, own.context_, work, total, data)) {
                ort::release(own.api_, status);
                for (std::size_t number = 0; number < total; ++number) work(data, number);
            }
        }
    };
    return Pool(Starter::start, this);
}

Operator::Operator(const char* name, std::vector<ort::ElementType> inputs, std::vector<ort::ElementType> outputs, Make make,
                   std::size_t required, const char* domain)
    : ort::CustomOp{},
      domain(domain),
      op_name(name),
      input_types(std::move(inputs)),
      output_types(std::move(outputs)),
      make(make),
      required(required) {
    CustomOp& op = *this;
    op.version = ort::kApiVersion;
    op.name = [](const ort::CustomOp* one) { return self(one).op_name; };
    op.provider = [](const ort::CustomOp*) -> const char* { return nullptr; };
    op.input_type = [](const ort::CustomOp* one, std::size_t number) { return self(one).input_types[number]; };
    op.inputs = [](const ort::CustomOp* one) { return self(one).input_types.size(); };
    op.output_type = [](const ort::CustomOp* one, std::size_t number) { return self(one).output_types[number]; };
    op.outputs = [](const ort::CustomOp* one) { return self(one).output_types.size(); };
    op.destroy = [](void* kernel) { delete static_cast<Made*>(kernel); };
    op.input_characteristic = [](const ort::CustomOp* one, std::size_t number) {
        return number < self(one).required ? ort::kRequired : ort::kOptional;
    };
    op.output_characteristic = [](const ort::CustomOp* one, std::size_t) {
        return self(one).required == SIZE_MAX ? ort::kRequired : ort::kOptional;
    };
    op.input_memory = [](const ort::CustomOp*, std::size_t) { return ort::kCpuMemory; };
    op.create_kernel_v2 = make_kernel;
    op.compute_v2 = run_kernel;
    op.start_version = [](const ort::CustomOp*) { return 1; };
    op.end_version = [](const ort::CustomOp*) { return 2147483647; };
}

}  // namespace reuse
