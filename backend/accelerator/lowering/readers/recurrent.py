"""Read recurrent layers, with and without reuse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Special
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import shape_at, tensor
from reuse_compiler.backend.accelerator.lowering.recurrent_spec import RecurrentSpec
from reuse_compiler.backend.accelerator.lowering.specs import FcSpec, FunctionSpec, Layer, Tensor
from reuse_compiler.backend.accelerator.shapes import constant
from reuse_compiler.errors import ModelError
from reuse_compiler.quantizers import Quantizer
from reuse_compiler.recurrent import OPERATORS, Activations, Kind, read_layer
from reuse_compiler.slots import slots

__all__ = ["READERS", "read_recurrent_reuse"]

Float = NDArray[np.float32]


def _recurrent(node: ir.Node) -> Sequence[Layer]:
    """LSTM, GRU or RNN of one direction, time first."""
    layer = read_layer(node)
    w, r, b, lengths, h, c, p = (_operand(node, position) for position in range(1, 8))
    bias, peephole = constant(b), constant(p)
    given = [np.asarray(constant(value), np.float32) for value in (w, r)]
    matrices = layer.matrices(given[0], given[1], None if bias is None else np.asarray(bias, np.float32))
    products = {site: _product(layer.batch, matrix.weight, matrix.bias, None) for site, matrix in matrices.items()}
    return _layer(
        node, layer.kind, products, layer.activations, layer.clip, layer.reverse, layer.input_forget,
        peephole, (lengths, h, c),
    )  # fmt: skip


def read_recurrent_reuse(node: ir.Node) -> Sequence[Layer]:
    """ReuseLSTM, ReuseGRU, ReuseGRUResetFirst or ReuseRNN; the indices and linear outputs among its operands are state."""
    batch = shape_at(node)[1]
    products = {}
    for slot in slots(node):
        weight, bias = (np.asarray(constant(value), np.float32) for value in (slot.weight, slot.bias))
        products[slot.site.rpartition(".")[2]] = _product(batch, weight, bias, slot.quantizer)
    kind = next(kind for kind in OPERATORS if node.op_type.startswith(f"Reuse{kind}"))
    behind = 1 + 4 * len(products)
    peephole = constant(node.inputs[behind]) if kind == "LSTM" else None
    behind += kind == "LSTM"
    lengths, h, c = (_operand(node, position) for position in range(behind, behind + 3))
    activations = Activations(
        tuple(node.attributes["activations"].as_strings()),
        tuple(node.attributes["activation_alpha"].as_floats()),
        tuple(node.attributes["activation_beta"].as_floats()),
    )
    return _layer(
        node, kind, products, activations, node.attributes["clip"].as_float(),
        bool(node.attributes["reverse"].as_int()), "_InputForget" in node.op_type, peephole, (lengths, h, c),
    )  # fmt: skip


def _operand(node: ir.Node, position: int) -> ir.Value | None:
    return node.inputs[position] if position < len(node.inputs) else None


def _product(rows: int, weight: Float, bias: Float, quantizer: Quantizer | None) -> FcSpec:
    inputs, outputs = weight.shape
    return FcSpec(rows=rows, inputs=inputs, outputs=outputs, weight=weight, bias=bias, quantizer=quantizer)


def _layer(
    node: ir.Node,
    kind: Kind,
    products: dict[str, FcSpec],
    activations: Activations,
    clip: float,
    reverse: bool,
    input_forget: bool,
    peephole: NDArray[np.float32] | None,
    operands: tuple[ir.Value | None, ir.Value | None, ir.Value | None],
) -> Sequence[Layer]:
    """`operands` are the sequence lengths, and the initial states h and c."""
    steps, batch, inputs = shape_at(node)
    lengths = constant(operands[0])
    if operands[0] is not None and lengths is None:
        raise ModelError(
            f"node {node.name}: its sequence lengths {operands[0].name} are computed at run time: leave it dense in the plan"
        )
    y, y_h, y_c = (_used_output(node, position) for position in range(3))
    initial = [_initial(value) for value in operands[1:]]
    spec = RecurrentSpec(
        kind=kind,
        steps=steps,
        rows=batch,
        inputs=inputs,
        hidden=products["x"].outputs // {"LSTM": 4, "GRU": 3, "RNN": 1}[kind],
        products=products,
        activations=tuple(
            _activation(*each) for each in zip(activations.names, activations.alpha, activations.beta, strict=True)
        ),
        peephole=peephole.reshape(-1) if peephole is not None and peephole.any() else None,
        clip=clip,
        reverse=reverse,
        lengths=(steps,) * batch if lengths is None else tuple(int(length) for length in lengths),
        input_forget=input_forget,
        initial_h=initial[0],
        initial_c=initial[1],
        y=y,
        y_h=y_h,
        y_c=y_c if kind == "LSTM" else "",
    )
    values = {value.name: value for value in node.outputs}
    first = node.inputs[0]
    assert first is not None
    data = [tensor(first), *dict.fromkeys(state for state in initial if isinstance(state, Tensor))]
    outputs = [tensor(values[name]) for name in (spec.y, spec.y_h, spec.y_c) if name]
    return [Layer(str(node.name), node.op_type, tuple(data), tuple(outputs), spec)]


def _used_output(node: ir.Node, position: int) -> str:
    """The name of an output that something reads, else nothing."""
    if position >= len(node.outputs):
        return ""
    value = node.outputs[position]
    return str(value.name) if value.name and (value.uses() or value.is_graph_output()) else ""


def _initial(value: ir.Value | None) -> Tensor | Float | None:
    """A state before the first step; None where it is zero."""
    if value is None:
        return None
    array = constant(value)
    if array is None:
        return tensor(value)
    return np.asarray(array, np.float32) if array.any() else None


def _activation(name: str, alpha: float, beta: float) -> FunctionSpec:
    match name:
        case "Relu":
            return FunctionSpec(Special.RAMP, 0.0, math.inf)
        case "LeakyRelu":
            return FunctionSpec(Special.RAMP, alpha, math.inf)
        case "ThresholdedRelu":
            return FunctionSpec(Special.THRESHOLDED, alpha)
        case "ScaledTanh":
            return FunctionSpec(Special.SCALED_TANH, alpha, beta)
        case "HardSigmoid":
            return FunctionSpec(Special.HARD_SIGMOID, alpha, beta)
        case _:
            return FunctionSpec(Special[name.upper()], alpha, beta)


READERS: dict[str, Reader] = dict.fromkeys(OPERATORS, _recurrent)
