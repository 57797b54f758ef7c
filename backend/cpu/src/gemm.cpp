#include "gemm.hpp"

#include <algorithm>

namespace reuse {
namespace {

constexpr double kNanosecondsAFloat = 0.03;  // of a row of weights in cache
constexpr std::size_t kColumns = 1024;       // fewer are not worth a thread

}  // namespace

Gemm::Gemm(std::size_t inputs, std::size_t outputs, Quantizer quantizer, Activation activation)
    : inputs_(inputs), outputs_(outputs), quantizer_(std::move(quantizer)), activation_(activation) {
    quantizer_.repeat(inputs, 1);
}

Done Gemm::run(const float* x, void* index, const float* weights, float* linear, float* y, std::size_t rows, bool clipped,
               const Pool& pool, Scratch& scratch) const {
    Done done;
    Layout layout;
    const std::size_t inputs = layout.add((inputs_ + 16) * sizeof(std::uint32_t));
    const std::size_t deltas = layout.add((inputs_ + 16) * sizeof(float));
    char* memory = (char*)scratch.take(layout.size());
    if (!memory) return {false};
    const Changes changes{(std::uint32_t*)(memory + inputs), (float*)(memory + deltas)};
    for (std::size_t row = 0; row < rows; ++row) {
        void* own = (char*)index + row * inputs_ * quantizer_.index_bytes();
        const Run run{x + row * inputs_, own, nullptr, 0, inputs_, nullptr,
                      clipped ? &done.clipped : nullptr};
        const std::size_t count = quantizer_(run, changes);
        done.changed += count;
        float* kept = linear + row * outputs_;
        const std::size_t cut =
            std::min(parts(outputs_, kNanosecondsAFloat * (double)count * (double)outputs_), outputs_ / kColumns + 1);
        const std::size_t columns = ((outputs_ + cut - 1) / cut + 63) / 64 * 64;
        auto part = [&](std::size_t number) {
            const std::size_t first = number * columns, last = std::min(first + columns, outputs_);
            if (first < last) kernels().add_rows(changes, count, weights, outputs_, kept, first, last);
        };
        pool.run(cut, part);
        done.largest = std::max(done.largest, kernels().activate(kept, y + row * outputs_, outputs_, activation_.slope,
                                                                 activation_.maximum));
    }
    return done;
}

}  // namespace reuse
