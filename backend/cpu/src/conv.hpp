// A convolution with reuse, of one to three spatial axes, grouped or not.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "gemm.hpp"

namespace reuse {

// Spatial axes are depth, height and width; those that a CONV lacks have size 1.
struct ConvShape {
    std::size_t batch = 1, channels = 1, outputs = 1, group = 1;
    std::array<std::int32_t, 3> input{1, 1, 1}, output{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1},
        pads{0, 0, 0};

    std::size_t input_pixels() const { return (std::size_t)input[0] * input[1] * input[2]; }
    std::size_t output_pixels() const { return (std::size_t)output[0] * output[1] * output[2]; }
};

// How the correction of a frame is computed: from lists of changes, or from all inputs with zeros where nothing changed.
enum class Method { kSparse, kDense, kDepthwise };

// One frame of a CONV: x [batch, channels, ..] and y [batch, outputs, ..]; index and linear, channels last, hold what the
// frame before left and are changed in place.
struct ConvFrame {
    const float* x;  // or, where `linked`, the linear outputs of the CONV before, channels last
    void* index;
    float* linear;
    float* y;        // null where nobody reads it
    bool clipped;    // whether inputs at an end of the range are to be counted

    // Of a CONV that reads the linear outputs of another one, and applies its activation to them.
    bool linked = false;
    Activation before{};
    const std::uint8_t* moved = nullptr;  // a byte a pixel of x: 0 where x is as in the frame before; null: look at all of it
    std::size_t clipped_past = 0;         // what the frame before counted
    // Of a CONV that another one reads so.
    std::uint8_t* touched = nullptr;  // a byte a pixel of y, written: 0 where it is as in the frame before
    // By output row max |linear output|, kept from frame to frame where y is null; null where nothing is kept.
    float* row_largest = nullptr;
    bool whole = true;  // whether these are to be found anew
};

class Conv {
public:
    // `weights` [outputs, channels / group, kernel..] are packed into memory of the layer's own.
    Conv(const ConvShape& shape, const float* weights, Quantizer quantizer, Activation activation);

    Done run(const ConvFrame& frame, const Pool& pool, Scratch& scratch) const;

    const ConvShape& shape() const { return shape_; }

private:
    struct Working;

    // What an output row takes: from which method, and to which of its pixels.
    struct Row {
        Method method;
        std::int32_t first, last;
    };

    void pack(const float* weights);
    std::size_t quantize_rows(const ConvFrame& frame, std::size_t row, std::size_t last, const Working& working,
                              std::size_t& clipped) const;
    std::size_t quantize_row(const ConvFrame& frame, const float* x, std::size_t row, const Working& working,
                             std::size_t& clipped) const;
    std::size_t quantize_moved(const ConvFrame& frame, std::size_t row, const Working& working, std::size_t& clipped) const;
    void list_row(std::size_t row, std::size_t changed, const Working& working) const;
    void split_groups(std::size_t row, std::size_t count, const Working& working) const;
    double plan_row(std::size_t row, const Working& working) const;
    void prepare_row(std::size_t row, const Working& working) const;
    void correct_row(const ConvFrame& frame, std::size_t row, std::size_t block, const Working& working) const;
    void finish_rows(const ConvFrame& frame, std::size_t row, std::size_t last, const Working& working) const;
    template <typename Visit>
    void for_each_input_row(std::size_t row, Visit visit) const;

    ConvShape shape_;
    Quantizer quantizer_;
    Activation activation_;
    bool depthwise_;
    std::size_t groups_, group_channels_, group_outputs_, padded_;  // a depthwise layer counts as one group
    std::size_t weight_channels_;                                   // of a group in W
    std::size_t across_;                                            // segments of one row of the kernel
    std::int32_t taps_;                                             // of a segment
    std::size_t block_outputs_, blocks_;                            // of a group, whose weights stay in cache
    std::size_t spread_pixels_;                                     // of a row with its padding
    std::shared_ptr<float[]> packed_;  // [group, kernel.., channels, padded], aligned to vectors: a load across lines takes twice as long
};

}  // namespace reuse
