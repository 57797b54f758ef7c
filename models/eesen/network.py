"""EESEN, the speech recognizer of the paper: five bidirectional LSTM layers and an FC layer, its outputs scores of labels.

The structure is that of "EESEN: End-to-End Speech Recognition using Deep RNN Models and WFST-based Decoding" (Miao,
Gowayyed, Metze, ASRU 2015), in the sizes that the paper's 11 M parameters belong to. A gate has one bias: ONNX's second,
of the recurrence, is zero. Weights are kept in float16 and cast to float32, in which everything is computed.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.models.network_graph import NetworkGraph, Weights, check_weights, float_value

__all__ = [
    "CELLS",
    "FEATURES",
    "LAYERS",
    "MACS_A_STEP",
    "OPSET",
    "OUTPUTS",
    "PARAMETERS",
    "STEPS",
    "build",
    "initial_weights",
    "weight_shapes",
]

OPSET = 20
FEATURES = 120
CELLS = 320
OUTPUTS = 50
STEPS = 300
PARAMETERS = 11_001_650
MACS_A_STEP = 10_988_800

DIRECTIONS = 2
GATES = 4
LAYERS = ("lstm1", "lstm2", "lstm3", "lstm4", "lstm5")


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Shape of every trained tensor by name.

    A layer ``lstmN`` has ``.weight`` [2, 1280, inputs], ``.recurrence`` [2, 1280, 320] and ``.bias`` [2, 1280]: the forward
    direction first, and in each 320 rows of the gates i, o, f, c, which is ONNX's order. ``fc`` has ``.weight``, input-major
    [640, 50], and ``.bias`` [50].
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name in LAYERS:
        inputs = FEATURES if name == LAYERS[0] else DIRECTIONS * CELLS
        shapes[f"{name}.weight"] = (DIRECTIONS, GATES * CELLS, inputs)
        shapes[f"{name}.recurrence"] = (DIRECTIONS, GATES * CELLS, CELLS)
        shapes[f"{name}.bias"] = (DIRECTIONS, GATES * CELLS)
    shapes["fc.weight"] = (DIRECTIONS * CELLS, OUTPUTS)
    shapes["fc.bias"] = (OUTPUTS,)
    return shapes


def initial_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Untrained weights from a seed: uniform within 1 / sqrt(320), the biases of the forget gates 1; shapes of `weight_shapes`."""
    rng = np.random.default_rng(seed)
    bound = 1 / math.sqrt(CELLS)
    weights = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in weight_shapes().items()}
    for name in LAYERS:
        weights[f"{name}.bias"][:, 2 * CELLS : 3 * CELLS] = 1
    return weights


def build(weights: Weights | None = None, steps: int = STEPS) -> ir.Model:
    """The network as an ONNX model of batch 1.

    Parameters
    ----------
    weights : mapping of str to float32 array, optional
        Every tensor of `weight_shapes` by name, kept in float16; `initial_weights()` by default.
    steps : int
        Time steps of 10 ms that one run sees.

    Returns
    -------
    onnx_ir.Model
        Input ``features`` float32 [steps, 1, 120]; output ``scores`` float32 [steps, 50], the logits of label 0, the blank,
        and of the phones.

    Raises
    ------
    ModelError
        If a tensor is missing, is not known, or has another shape.
    """
    weights = initial_weights() if weights is None else weights
    check_weights(weights, weight_shapes())
    network = NetworkGraph("eesen", OPSET, np.float16)
    merged, flat = (steps, 1, DIRECTIONS * CELLS), (steps, DIRECTIONS * CELLS)
    shapes = {merged: network.integers("merged", merged), flat: network.integers("flat", flat)}
    features = x = float_value("features", (steps, 1, FEATURES))
    for name in LAYERS:
        bias = weights[f"{name}.bias"]
        parts = [
            network.weight(f"{name}.weight", weights[f"{name}.weight"]),
            network.weight(f"{name}.recurrence", weights[f"{name}.recurrence"]),
            network.weight(f"{name}.bias", np.concatenate([bias, np.zeros_like(bias)], axis=1)),
        ]
        shape = (steps, DIRECTIONS, 1, CELLS)
        x = network.node("LSTM", name, [x, *parts], shape, {"direction": "bidirectional", "hidden_size": CELLS})
        x = network.node("Transpose", f"{name}_transpose", [x], (steps, 1, DIRECTIONS, CELLS), {"perm": [0, 2, 1, 3]})
        target = flat if name == LAYERS[-1] else merged
        x = network.node("Reshape", f"{name}_merge", [x, shapes[target]], target)
    parts = [network.weight(name, weights[name]) for name in ("fc.weight", "fc.bias")]
    x = network.node("Gemm", "fc", [x, *parts], (steps, OUTPUTS))
    return network.model(features, x, "scores")
