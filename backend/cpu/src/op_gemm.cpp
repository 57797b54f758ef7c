// ReuseGemm and ReuseGemmTable.
#include <mutex>

#include "attributes.hpp"
#include "gemm.hpp"
#include "watch.hpp"

namespace reuse {
namespace {

class GemmKernel : public Kernel {
public:
    GemmKernel(Quantizer quantizer, Activation activation) : quantizer_(std::move(quantizer)), activation_(activation) {}

    Failure compute(Call& call) override {
        const Tensor x = call.input(0), index = call.input(1), linear = call.input(2), weights = call.input(3);
        if (!call.failed().empty()) return {};
        if (weights.shape.size() != 2 || x.shape.empty() || x.shape.back() != weights.shape[0])
            return failure("x of shape %s does not fit W of shape %s: feed what the model was compiled for",
                           shape_text(x.shape).c_str(), shape_text(weights.shape).c_str());
        Shape y_shape = x.shape;
        y_shape.back() = weights.shape[1];
        Failure failed = check_shape("past_index", index.shape, x.shape);
        if (failed.empty()) failed = check_shape("past_linear", linear.shape, y_shape);
        if (!failed.empty()) return failed;
        const std::size_t inputs = (std::size_t)weights.shape[0], outputs = (std::size_t)weights.shape[1];
        if (quantizer_.deadbands() != 1 && quantizer_.deadbands() != inputs)
            return failure("%zu deadbands for %zu inputs: compile the model again", quantizer_.deadbands(), inputs);
        if (inputs >= 4294967296) return "W has more than 2^32 rows: run without the kernel library";
        void* y = call.output(0, y_shape);
        void* present_index = call.continued(1, index, quantizer_.index_bytes());
        void* present_linear = call.continued(2, linear, sizeof(float));
        if (!call.failed().empty() || !y_shape.elements()) return {};
        thread_local Scratch scratch;
        const Clock clock;
        Record* record = record_of(present_linear);
        const Done done = layer(inputs, outputs)
                              ->run(x.floats(), present_index, weights.floats(), (float*)present_linear, (float*)y,
                                    y_shape.elements() / outputs, record && record->clip_limit >= 0, call.pool(), scratch);
        if (record) write_down(*record, done.changed, done.clipped, done.largest, done.sparse, clock.nanoseconds());
        return done.ok ? Failure{} : Failure("out of memory");
    }

private:
    std::shared_ptr<const Gemm> layer(std::size_t inputs, std::size_t outputs) {
        const std::lock_guard<std::mutex> guard(making_);
        if (!gemm_ || gemm_->inputs() != inputs || gemm_->outputs() != outputs)
            gemm_ = std::make_shared<const Gemm>(inputs, outputs, quantizer_, activation_);
        return gemm_;
    }

    Quantizer quantizer_;
    Activation activation_;
    std::mutex making_;
    std::shared_ptr<const Gemm> gemm_;
};

template <bool kTable, bool kWide>
Failure make(NodeReader& reader, const Operator&, std::unique_ptr<Kernel>& kernel) {
    Quantizer quantizer;
    Failure failed = read_quantizer(reader, "", kTable, kWide, quantizer);
    if (failed.empty()) kernel = std::make_unique<GemmKernel>(std::move(quantizer), read_activation(reader));
    return failed;
}

}  // namespace

const std::vector<const Operator*>& gemm_operators() {
    using ort::kFloat, ort::kUint16, ort::kUint8;
    static const Operator narrow("ReuseGemm", {kFloat, kUint8, kFloat, kFloat, kFloat}, {kFloat, kUint8, kFloat}, make<false, false>);
    static const Operator wide("ReuseGemm", {kFloat, kUint16, kFloat, kFloat, kFloat}, {kFloat, kUint16, kFloat}, make<false, true>);
    static const Operator table("ReuseGemmTable", {kFloat, kUint8, kFloat, kFloat, kFloat}, {kFloat, kUint8, kFloat},
                                make<true, false>);
    static const std::vector<const Operator*> all{&narrow, &wide, &table};
    return all;
}

}  // namespace reuse
