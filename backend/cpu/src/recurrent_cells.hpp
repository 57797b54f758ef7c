// Gates and cells of recurrent layers; the order of operations is that of reuse_compiler/recurrent_functions.py, and none of
// those written there as two is fused.
#pragma once

#include "recurrent_activations.hpp"
#include "recurrent_step.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

// A whole vector, or the first lanes of one.
struct Whole {};
struct Part {
    std::size_t count;
};

inline Vector load(const float* from, Whole) { return load(from); }
inline Vector load(const float* from, Part part) { return load_some(from, part.count); }
inline void store(float* to, Vector value, Whole) { store(to, value); }
inline void store(float* to, Vector value, Part part) { store_some(to, value, part.count); }

template <typename Work>
inline void each_vector(std::size_t count, Work work) {
    std::size_t cell = 0;
    for (; cell + kLanes <= count; cell += kLanes) work(cell, Whole{});
    if (cell < count) work(cell, Part{count - cell});
}

// Clip, then activate.
inline Vector clipped_gate(const CellStep& step, std::size_t number, Vector value) {
    const Vector bound = splat(step.clip);
    return gate(step.activations[number], at_most(at_least(value, -bound), bound));
}

void lstm_cells(const CellStep& step) {
    const std::size_t cells = step.cells;
    const float *x = step.of_x, *h = step.of_h, *peepholes = step.peepholes;
    each_vector(cells, [&](std::size_t cell, auto part) {
        const auto linear = [&](std::size_t gate) {
            return load(x + gate * cells + cell, part) + load(h + gate * cells + cell, part);
        };
        const auto peephole = [&](std::size_t gate) { return load(peepholes + gate * cells + cell, part); };
        const Vector past = load(step.c + cell, part);
        const Vector input = clipped_gate(step, 0, linear(0) + peephole(0) * past);
        const Vector forget =
            step.input_forget ? splat(1.0f) - input : clipped_gate(step, 0, linear(2) + peephole(2) * past);
        const Vector fresh = clipped_gate(step, 1, linear(3));
        const Vector present = forget * past + input * fresh;
        const Vector output = clipped_gate(step, 0, linear(1) + peephole(1) * present);
        store(step.c + cell, present, part);
        store(step.h + cell, output * gate(step.activations[2], present), part);
    });
}

void rnn_cells(const CellStep& step) {
    each_vector(step.cells, [&](std::size_t cell, auto part) {
        const Vector linear = load(step.of_x + cell, part) + load(step.of_h + cell, part);
        store(step.h + cell, clipped_gate(step, 0, linear), part);
    });
}

template <typename Chunk>
inline void gru_state(const CellStep& step, std::size_t cell, Chunk part, Vector update, Vector hidden) {
    const Vector past = load(step.h + cell, part);
    const Vector fresh = (splat(1.0f) - update) * clipped_gate(step, 1, hidden);
    store(step.h + cell, fresh + update * past, part);
}

void gru_cells(const CellStep& step) {
    const std::size_t cells = step.cells;
    const float *x = step.of_x, *h = step.of_h;
    each_vector(cells, [&](std::size_t cell, auto part) {
        const Vector update = clipped_gate(step, 0, load(x + cell, part) + load(h + cell, part));
        const Vector reset = clipped_gate(step, 0, load(x + cells + cell, part) + load(h + cells + cell, part));
        const Vector kept = reset * load(h + 2 * cells + cell, part);
        gru_state(step, cell, part, update, load(x + 2 * cells + cell, part) + kept);
    });
}

void gru_reset(const CellStep& step) {
    const std::size_t cells = step.cells;
    const float *x = step.of_x, *h = step.of_h;
    each_vector(cells, [&](std::size_t cell, auto part) {
        const Vector reset = clipped_gate(step, 0, load(x + cells + cell, part) + load(h + cells + cell, part));
        store(step.reset + cell, reset * load(step.h + cell, part), part);
    });
}

void gru_cells_reset(const CellStep& step) {
    const std::size_t cells = step.cells;
    const float *x = step.of_x, *h = step.of_h;
    each_vector(cells, [&](std::size_t cell, auto part) {
        const Vector update = clipped_gate(step, 0, load(x + cell, part) + load(h + cell, part));
        gru_state(step, cell, part, update, load(x + 2 * cells + cell, part) + load(step.of_r + cell, part));
    });
}

}  // namespace
}  // namespace reuse
