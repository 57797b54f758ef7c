"""Fold batch normalization into the layer before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["FoldBatchNorm"]

_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
Array = NDArray[Any]
Wide = NDArray[np.float64]


@dataclass(frozen=True)
class FoldBatchNorm(ir.passes.InPlacePass):
    """Scale the weights of a linear layer so that the BatchNormalization behind it can go.

    With ``s = scale / sqrt(var + epsilon)`` and ``t = bias - mean * s`` per channel, ``BN(z) = z * s + t``; computed in
    float64 and rounded once.

    1. Conv and ConvTranspose: ``W * s`` along the output channels, ``B * s + t``.
    2. Gemm: ``B * s`` along the output features, ``beta * C * s + t`` with beta 1.
    3. MatMul of a matrix with a constant one: ``W * s``, and the BatchNormalization becomes an Add of t; with an Add of
       a constant between the two, that Add takes ``b * s + t``.

    All weights and statistics must be float32 or float64 initializers, s and t finite, the layer's output read by the
    BatchNormalization alone, and training mode off. The layer keeps its name; its output takes that of the
    BatchNormalization. Weights that other nodes read too are copied.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in place."""
        folded = [node for node in model.graph if node.op_type == "BatchNormalization" and _fold(node)]
        return ir.passes.PassResult(model, bool(folded))


@dataclass(frozen=True)
class _Affine:
    """``z * scale + shift``, one value per channel."""

    scale: Wide
    shift: Wide


def _fold(norm: ir.Node) -> bool:
    affine = _affine(norm)
    layer = _only_reader_of(norm.inputs[0])
    if affine is None or layer is None:
        return False
    match layer.op_type:
        case "Conv" | "ConvTranspose":
            return _fold_conv(layer, norm, affine)
        case "Gemm":
            return _fold_gemm(layer, norm, affine)
        case "MatMul":
            return _fold_matmul(layer, norm, affine)
        case "Add":
            return _fold_matmul_add(layer, norm, affine)
        case _:
            return False


def _affine(norm: ir.Node) -> _Affine | None:
    if norm.domain != "" or norm.attributes.get_int("training_mode", 0) != 0 or any(y.uses() for y in norm.outputs[1:]):
        return None
    if any(y.is_graph_output() for y in norm.outputs[1:]):
        return None
    scale, bias, mean, variance = (_constant(value) for value in norm.inputs[1:5])
    if scale is None or bias is None or mean is None or variance is None:
        return None
    epsilon = norm.attributes.get_float("epsilon", 1e-5)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        s = scale / np.sqrt(variance + epsilon)
        t = bias - mean * s
    return _Affine(s, t) if np.isfinite(s).all() and np.isfinite(t).all() else None


def _constant(value: ir.Value | None) -> Wide | None:
    """The value of a float32 or float64 initializer in float64."""
    if value is None or value.const_value is None or value.const_value.dtype not in _FLOATS:
        return None
    return value.const_value.numpy().astype(np.float64)


def _only_reader_of(value: ir.Value | None) -> ir.Node | None:
    """The node that produces `value`, where it has one use and is no graph output."""
    if value is None or len(value.uses()) != 1 or value.is_graph_output():
        return None
    producer = value.producer()
    return producer if producer is not None and producer.domain == "" else None


def _fold_conv(layer: ir.Node, norm: ir.Node, affine: _Affine) -> bool:
    weight = _constant(layer.inputs[1])
    given = layer.inputs[2] if len(layer.inputs) > 2 else None
    bias = np.zeros_like(affine.shift) if given is None else _constant(given)
    if weight is None or bias is None:
        return False
    if layer.op_type == "Conv":
        scaled = weight * affine.scale.reshape(-1, *[1] * (weight.ndim - 1))
    else:
        group = layer.attributes.get_int("group", 1)
        grouped = weight.reshape(group, -1, *weight.shape[1:])
        scaled = (grouped * affine.scale.reshape(group, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)
    _set(layer, 1, scaled)
    _set(layer, 2, bias * affine.scale + affine.shift)
    _take_over(layer, norm)
    return True


def _fold_gemm(layer: ir.Node, norm: ir.Node, affine: _Affine) -> bool:
    weight = _constant(layer.inputs[1])
    given = layer.inputs[2] if len(layer.inputs) > 2 else None
    bias = np.zeros_like(affine.shift) if given is None else _constant(given)
    if weight is None or bias is None:
        return False
    transposed = layer.attributes.get_int("transB", 0) != 0
    beta = layer.attributes.get_float("beta", 1.0)
    _set(layer, 1, weight * (affine.scale[:, None] if transposed else affine.scale))
    _set(layer, 2, beta * bias * affine.scale + affine.shift)
    layer.attributes.pop("beta", None)
    _take_over(layer, norm)
    return True


def _fold_matmul(layer: ir.Node, norm: ir.Node, affine: _Affine) -> bool:
    weight = _matrix(layer)
    if weight is None:
        return False
    _set(layer, 1, weight * affine.scale)
    shift = _initializer(norm, f"{norm.name}_shift", affine.shift, layer.inputs[1])
    add = ir.Node("", "Add", [layer.outputs[0], shift], name=norm.name)
    assert isinstance(norm.graph, ir.Graph)
    norm.graph.insert_before(norm, add)
    _take_over(add, norm)
    return True


def _fold_matmul_add(add: ir.Node, norm: ir.Node, affine: _Affine) -> bool:
    position = next((number for number, value in enumerate(add.inputs) if _constant(value) is not None), None)
    if position is None:
        return False
    layer = _only_reader_of(add.inputs[1 - position])
    bias = _constant(add.inputs[position])
    if layer is None or layer.op_type != "MatMul" or bias is None or bias.ndim > 2:
        return False
    weight = _matrix(layer)
    if weight is None:
        return False
    _set(layer, 1, weight * affine.scale)
    _set(add, position, bias * affine.scale + affine.shift)
    _take_over(add, norm)
    return True


def _matrix(layer: ir.Node) -> Wide | None:
    """The constant right operand of a MatMul of two matrices."""
    x, weight = layer.inputs[0], _constant(layer.inputs[1])
    if x is None or x.shape is None or len(x.shape) != 2 or weight is None or weight.ndim != 2:
        return None
    return weight


def _set(node: ir.Node, position: int, array: Wide) -> None:
    """Make `array`, in the type of the layer's weight, the input of `node` at `position`."""
    old = node.inputs[position] if position < len(node.inputs) else None
    name = old.name if old is not None else f"{node.name}_bias"
    like = old if old is not None else node.inputs[1]
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    node.replace_input_with(position, _initializer(node, f"{name}_folded", array, like))


def _initializer(node: ir.Node, name: str, array: Wide, like: ir.Value | None) -> ir.Value:
    graph = node.graph
    assert isinstance(graph, ir.Graph) and like is not None and like.const_value is not None
    taken = {value.name for other in graph for value in other.outputs} | set(graph.initializers)
    free = name
    while free in taken:
        free += "_"
    tensor = ir.Tensor(array.astype(like.const_value.dtype.numpy()), name=free)
    value = ir.Value(name=free, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    graph.register_initializer(value)
    return value


def _take_over(layer: ir.Node, norm: ir.Node) -> None:
    """Let the output of `layer` stand for that of `norm`, under its name, and remove `norm`."""
    old, new = norm.outputs[0], layer.outputs[0]
    name = old.name
    old.name = f"{name}_folded"
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    new.name, new.shape, new.type = name, old.shape, old.type
    assert norm.graph is not None
    norm.graph.remove(norm, safe=True)
