// A recurrent layer with reuse: every step of every row.
#pragma once

#include <array>

#include "gemm.hpp"
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
    bool clipped;          // whether inputs at an end of the range are to be counted
    bool largest;          // whether the largest linear output after the last step is wanted
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

// What each operand did, of all steps and rows; not ok where there was no memory. In the steps after its end a row has as many
// inputs at an end of the range as in its last one.
std::array<Done, 3> run(const Recurrent& layer, const RecurrentFrame& frame, const Pool& pool);

}  // namespace reuse
