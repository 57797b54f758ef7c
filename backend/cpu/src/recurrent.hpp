// A recurrent layer with reuse: every step of every row.
#pragma once

#include <array>

#include "pool.hpp"
#include "quantizer.hpp"
#include "recurrent_step.hpp"

namespace reuse {

enum class CellKind { kLstm, kGru, kGruResetFirst, kRnn };

// What a step multiplies by a matrix: the input x, the hidden state h, and the reset state r of a GRU that resets first.
struct Operand {
    const Quantizer* quantizer;
    std::size_t inputs, outputs;
    const float* weights;  // [inputs, outputs]
    void* index;           // [rows, inputs], of the step before, and changed in place; so is linear
    float* linear;         // [rows, outputs]
    void* steps;           // [steps, rows, inputs]: the index after each step
};

struct Recurrent {
    CellKind kind;
    bool reverse, input_forget;
    float clip;
    std::array<GateActivation, 3> activations;

    std::size_t operands() const { return kind == CellKind::kGruResetFirst ? 3 : 2; }
    std::size_t gates() const;
    // Linear outputs of operand `number`, in cells.
    std::size_t gates(std::size_t number) const;
};

struct RecurrentFrame {
    std::size_t steps, rows, cells;
    const float* x;               // [steps, rows, inputs]
    const std::int32_t* lengths;  // by row
    const float* peepholes;       // [3, cells] of an LSTM
    Operand operands[3];          // x, h, r
    float* y;                     // [steps, rows, cells]
    float *h, *c;                 // [rows, cells], changed in place
};

// False where there was no memory.
bool run(const Recurrent& layer, const RecurrentFrame& frame, const Pool& pool);

}  // namespace reuse
