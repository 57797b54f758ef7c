"""EESEN, the speech recognizer of the paper: five bidirectional LSTM layers and an FC layer, its outputs scores of labels.

The structure is that of "EESEN: End-to-End Speech Recognition using Deep RNN Models and WFST-based Decoding" (Miao,
Gowayyed, Metze, ASRU 2015), in the sizes that the paper's 11 M parameters belong to. A gate has one bias: ONNX's second,
of the recurrence, is zero. Weights are kept in float16 and cast to float32, in which everything is computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError

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

Weights = Mapping[str, NDArray[np.float32]]
Attributes = Mapping[str, int | str | list[int]]


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
    _check(weights)
    features = _value("features", (steps, 1, FEATURES))
    initializers: list[ir.Value] = []
    nodes: list[ir.Node] = []

    def add(
        op: str,
        name: str,
        inputs: Sequence[ir.Value | None],
        shape: Sequence[int],
        attributes: Attributes | None = None,
    ) -> ir.Value:
        output = _value("scores" if name == "fc" else f"{name}_out", shape)
        nodes.append(ir.node(op, inputs, attributes, outputs=[output], name=name))
        return output

    def weight(name: str, array: NDArray[np.float32]) -> ir.Value:
        tensor = ir.tensor(array.astype(np.float16), name=name)
        initializers.append(_value(name, array.shape, tensor))
        return add("Cast", f"{name}_float32", [initializers[-1]], array.shape, {"to": int(ir.DataType.FLOAT)})

    merged = _shape_tensor("merged", [steps, 1, DIRECTIONS * CELLS])
    flat = _shape_tensor("flat", [steps, DIRECTIONS * CELLS])
    x = features
    for name in LAYERS:
        bias = weights[f"{name}.bias"]
        parts = [
            weight(f"{name}.weight", weights[f"{name}.weight"]),
            weight(f"{name}.recurrence", weights[f"{name}.recurrence"]),
            weight(f"{name}.bias", np.concatenate([bias, np.zeros_like(bias)], axis=1)),
        ]
        shape = (steps, DIRECTIONS, 1, CELLS)
        x = add("LSTM", name, [x, *parts], shape, {"direction": "bidirectional", "hidden_size": CELLS})
        x = add("Transpose", f"{name}_transpose", [x], (steps, 1, DIRECTIONS, CELLS), {"perm": [0, 2, 1, 3]})
        target = flat if name == LAYERS[-1] else merged
        x = add("Reshape", f"{name}_merge", [x, target], target.const_value.numpy().tolist())  # type: ignore[union-attr]
    parts = [weight("fc.weight", weights["fc.weight"]), weight("fc.bias", weights["fc.bias"])]
    x = add("Gemm", "fc", [x, *parts], (steps, OUTPUTS))
    graph = ir.Graph(
        [features],
        [x],
        nodes=nodes,
        initializers=[*initializers, merged, flat],
        opset_imports={"": OPSET},
        name="eesen",
    )
    return ir.Model(graph, ir_version=10, producer_name="reuse_compiler.models.eesen")


def _value(name: str, shape: Sequence[int], const: ir.TensorProtocol | None = None) -> ir.Value:
    dtype = ir.DataType.FLOAT if const is None else const.dtype
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype), const_value=const)


def _shape_tensor(name: str, shape: Sequence[int]) -> ir.Value:
    return _value(name, (len(shape),), ir.tensor(np.array(shape, np.int64), name=name))


def _check(weights: Weights) -> None:
    shapes = weight_shapes()
    if weights.keys() != shapes.keys():
        names = ", ".join(sorted(weights.keys() ^ shapes.keys()))
        raise ModelError(f"weights: {names}: missing, or not of the network: give the tensors of weight_shapes()")
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ModelError(f"{name}: shape is {weights[name].shape}: give {shape}")
