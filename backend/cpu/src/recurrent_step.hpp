// A step of a row of a recurrent layer, from the linear outputs of its operands to its state.
#pragma once

#include <cstddef>

namespace reuse {

enum class GateKind : int { kSigmoid, kTanh, kRelu, kHardSigmoid };

struct GateActivation {
    GateKind kind;
    float alpha, beta;
};

struct CellStep {
    const float *of_x, *of_h, *of_r;  // linear outputs, a gate behind the other in ONNX's order
    const float* peepholes;           // of an LSTM: [3, cells]
    float *h, *c;                     // the state before, and then after the step
    float* reset;                     // of a GRU that resets first: its third operand
    std::size_t cells;
    float clip;
    bool input_forget;
    GateActivation activations[3];
};

}  // namespace reuse
