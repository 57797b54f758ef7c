// A fully connected layer with reuse.
#pragma once

#include "pool.hpp"
#include "quantizer.hpp"
#include "scratch.hpp"

namespace reuse {

// What a layer did with a frame.
struct Done {
    bool ok = true;           // false where there was no memory
    std::size_t changed = 0;
    std::size_t clipped = 0;  // inputs at an end of the range, where asked for
    float largest = 0;        // max |linear output|
    bool sparse = true;       // by lists of changes
};

class Gemm {
public:
    Gemm() = default;
    Gemm(std::size_t inputs, std::size_t outputs, Quantizer quantizer, Activation activation);

    // x [rows, inputs], index the same, weights [inputs, outputs], linear and y [rows, outputs]; index and linear hold what the
    // frame before left and are changed in place.
    Done run(const float* x, void* index, const float* weights, float* linear, float* y, std::size_t rows, bool clipped,
             const Pool& pool, Scratch& scratch) const;

    std::size_t inputs() const { return inputs_; }
    std::size_t outputs() const { return outputs_; }

private:
    std::size_t inputs_ = 0, outputs_ = 0;
    Quantizer quantizer_;
    Activation activation_;
};

}  // namespace reuse
