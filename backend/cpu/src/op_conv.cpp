// ReuseConv and ReuseConvTable; and for sessions that know each node's neighbours the same with links between them.
#include <mutex>

#include "attributes.hpp"
#include "conv.hpp"
#include "watch.hpp"

namespace reuse {
namespace {

// How a node reads the CONV before it, and is read by the one behind it. A node with links may be given, as its last input and
// output, which pixels of x and of y may differ from the frame before, a byte each; and it need not give y.
struct Links {
    bool any = false;     // whether it is a node with links
    bool linear = false;  // x is the linear output of the CONV before, whose activation is `before`
    Activation before{};
};

class ConvKernel : public Kernel {
public:
    ConvKernel(Quantizer quantizer, Activation activation, std::vector<std::int64_t> strides, std::vector<std::int64_t> pads,
               std::vector<std::int64_t> dilations, std::int64_t group, bool constant, Links links)
        : quantizer_(std::move(quantizer)),
          activation_(activation),
          strides_(std::move(strides)),
          pads_(std::move(pads)),
          dilations_(std::move(dilations)),
          group_(group),
          constant_(constant),
          links_(links) {}

    Failure compute(Call& call) override {
        Tensor x = call.input(0);
        const Tensor index = call.input(1), linear = call.input(2), weights = call.input(3);
        if (!call.failed().empty()) return {};
        if (links_.linear) x.shape = channels_first(x.shape);
        ConvShape shape;
        Failure failed = read_shape(x, weights, shape);
        if (!failed.empty()) return failed;
        Shape y_shape{x.shape[0], weights.shape[0]}, x_last{x.shape[0]}, y_last{x.shape[0]};
        for (std::size_t axis = 0; axis + 2 < x.shape.size(); ++axis) {
            y_shape.push_back(shape.output[3 - (x.shape.size() - 2) + axis]);
            x_last.push_back(x.shape[axis + 2]);
            y_last.push_back(y_shape.back());
        }
        x_last.push_back(x.shape[1]);
        y_last.push_back(weights.shape[0]);
        failed = check_shape("past_index", index.shape, x_last);
        if (failed.empty()) failed = check_shape("past_linear", linear.shape, y_last);
        if (!failed.empty()) return failed;
        void* y = call.output(0, y_shape);
        void* present_index = call.continued(1, index, quantizer_.index_bytes());
        void* present_linear = call.continued(2, linear, sizeof(float));
        if (!call.failed().empty()) return {};
        const std::shared_ptr<const Conv> conv = packed(shape, weights.floats());
        thread_local Scratch scratch;
        const Clock clock;
        Record* record = record_of(present_linear);
        ConvFrame frame{x.floats(), present_index, (float*)present_linear, (float*)y, record && record->clip_limit >= 0};
        if (links_.any) {
            failed = follow(call, shape, record, frame);
            if (!failed.empty()) return failed;
        }
        const Done done = conv->run(frame, call.pool(), scratch);
        if (record) write_down(*record, done.changed, done.clipped, done.largest, done.sparse, clock.nanoseconds());
        return done.ok ? Failure{} : Failure("out of memory");
    }

private:
    static Shape channels_first(const Shape& last) {
        if (last.size() < 3) return last;
        Shape first{last[0], last.back()};
        for (std::size_t axis = 1; axis + 1 < last.size(); ++axis) first.push_back(last[axis]);
        return first;
    }

    // What the nodes before and behind say of a frame, and are told.
    Failure follow(Call& call, const ConvShape& shape, Record* record, ConvFrame& frame) const {
        const Tensor moved = call.optional_input(5);
        frame.touched = (std::uint8_t*)call.output(3, {(std::int64_t)(shape.batch * shape.output_pixels())});
        if (!call.failed().empty()) return call.failed();
        frame.linked = links_.linear;
        frame.before = links_.before;
        if (!record) return {};
        frame.row_largest = record->row_largest;
        frame.whole = record->whole != 0;
        record->whole = 0;
        if (frame.whole || moved.type == ort::kAny) return {};
        if (moved.size() != shape.batch * shape.input_pixels()) return "x and what moved of it differ in size: compile the model again";
        frame.moved = (const std::uint8_t*)moved.data;
        frame.clipped_past = (std::size_t)record->clipped;
        return {};
    }

    Failure read_shape(const Tensor& x, const Tensor& weights, ConvShape& shape) const {
        const std::size_t rank = x.shape.size();
        if (rank < 3 || rank > 5 || weights.shape.size() != rank || strides_.size() + 2 != rank || dilations_.size() + 2 != rank ||
            pads_.size() != 2 * (rank - 2))
            return failure("x of shape %s, W of shape %s and %zu strides, %zu dilations, %zu pads do not fit each other:"
                           " a CONV of one to three spatial axes runs natively",
                           shape_text(x.shape).c_str(), shape_text(weights.shape).c_str(), strides_.size(), dilations_.size(),
                           pads_.size());
        for (const Shape* sizes : {&x.shape, &weights.shape})
            for (const std::int64_t size : *sizes)
                if (size < 1 || size > 2147483647)
                    return failure("x or W has an axis of size %lld: feed at least one element", (long long)size);
        shape.batch = (std::size_t)x.shape[0];
        shape.channels = (std::size_t)x.shape[1];
        shape.outputs = (std::size_t)weights.shape[0];
        shape.group = (std::size_t)group_;
        if (group_ < 1 || x.shape[1] % group_ || weights.shape[0] % group_ || weights.shape[1] != x.shape[1] / group_)
            return failure("x of shape %s does not fit W of shape %s in %lld groups: feed what the model was compiled for",
                           shape_text(x.shape).c_str(), shape_text(weights.shape).c_str(), (long long)group_);
        if (quantizer_.deadbands() != 1 && quantizer_.deadbands() != shape.channels)
            return failure("%zu deadbands for %zu channels: compile the model again", quantizer_.deadbands(), shape.channels);
        for (std::size_t axis = 0; axis + 2 < rank; ++axis) {
            const std::size_t to = 3 - (rank - 2) + axis;
            const std::int64_t input = x.shape[axis + 2], kernel = weights.shape[axis + 2], stride = strides_[axis];
            const std::int64_t dilation = dilations_[axis], begin = pads_[axis], end = pads_[rank - 2 + axis];
            if (stride < 1 || dilation < 1 || begin < 0 || end < 0 || stride > 65535 || dilation > 65535 || begin > 65535 ||
                end > 65535)
                return failure("stride %lld, dilation %lld or pads %lld, %lld are out of range: compile the model again",
                               (long long)stride, (long long)dilation, (long long)begin, (long long)end);
            const std::int64_t room = input + begin + end - dilation * (kernel - 1) - 1;
            if (room < 0)
                return failure("the kernel of W, %s, is larger than x with its padding: feed larger inputs",
                               shape_text(weights.shape).c_str());
            shape.input[to] = (std::int32_t)input;
            shape.output[to] = (std::int32_t)(room / stride + 1);
            shape.kernel[to] = (std::int32_t)kernel;
            shape.stride[to] = (std::int32_t)stride;
            shape.dilation[to] = (std::int32_t)dilation;
            shape.pads[to] = (std::int32_t)begin;
        }
        if ((double)shape.input[2] * (double)shape.channels * (double)(shape.outputs + 16) >= 4294967296.0)
            return failure("a row of x with W of shape %s needs more than 2^32 weights: run without the kernel library",
                           shape_text(weights.shape).c_str());
        return {};
    }

    // The layer for that shape: weights that are always the same are packed once.
    std::shared_ptr<const Conv> packed(const ConvShape& shape, const float* weights) {
        const std::lock_guard<std::mutex> guard(making_);
        if (!constant_) return std::make_shared<const Conv>(shape, weights, quantizer_, activation_);
        if (!conv_ || conv_->shape().input != shape.input || conv_->shape().batch != shape.batch)
            conv_ = std::make_shared<const Conv>(shape, weights, quantizer_, activation_);
        return conv_;
    }

    Quantizer quantizer_;
    Activation activation_;
    std::vector<std::int64_t> strides_, pads_, dilations_;
    std::int64_t group_;
    bool constant_;  // W is
    Links links_;
    std::mutex making_;
    std::shared_ptr<const Conv> conv_;
};

template <bool kTable, bool kWide, bool kLinks>
Failure make(NodeReader& reader, const Operator&, std::unique_ptr<Kernel>& kernel) {
    Quantizer quantizer;
    Failure failed = read_quantizer(reader, "", kTable, kWide, quantizer);
    if (!failed.empty()) return failed;
    const Activation activation = read_activation(reader);
    std::vector<std::int64_t> strides = reader.integers("strides"), pads = reader.integers("pads");
    std::vector<std::int64_t> dilations = reader.integers("dilations");
    Links links;
    links.any = kLinks;
    if (kLinks) {
        links.linear = reader.integer("linear") != 0;
        links.before = {reader.real("before_slope"), reader.real("before_max")};
    }
    kernel = std::make_unique<ConvKernel>(std::move(quantizer), activation, std::move(strides), std::move(pads),
                                          std::move(dilations), reader.integer("group"), reader.constant(3), links);
    return {};
}

}  // namespace

const std::vector<const Operator*>& conv_operators() {
    using ort::kFloat, ort::kUint16, ort::kUint8;
    using Types = std::vector<ort::ElementType>;
    const auto given = [](ort::ElementType index) { return Types{kFloat, index, kFloat, kFloat, kFloat}; };
    const auto made = [](ort::ElementType index) { return Types{kFloat, index, kFloat}; };
    const auto with_pixels = [](Types types) { return types.push_back(kUint8), types; };
    const std::size_t needed = 5;
    static const Operator narrow("ReuseConv", given(kUint8), made(kUint8), make<false, false, false>);
    static const Operator wide("ReuseConv", given(kUint16), made(kUint16), make<false, true, false>);
    static const Operator table("ReuseConvTable", given(kUint8), made(kUint8), make<true, false, false>);
    static const Operator narrow_links("LinkedConv", with_pixels(given(kUint8)), with_pixels(made(kUint8)),
                                       make<false, false, true>, needed);
    static const Operator wide_links("LinkedConv", with_pixels(given(kUint16)), with_pixels(made(kUint16)),
                                     make<false, true, true>, needed);
    static const Operator table_links("LinkedConvTable", with_pixels(given(kUint8)), with_pixels(made(kUint8)),
                                      make<true, false, true>, needed);
    static const std::vector<const Operator*> all{&narrow, &wide, &table, &narrow_links, &wide_links, &table_links};
    return all;
}

}  // namespace reuse
