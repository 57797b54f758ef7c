"""Fold batch normalization and other scaling per channel into the layer before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.passes.affine import BINARY, Affine, batch_norm, binary, constant
from reuse_compiler.passes.initializers import NewInitializers

__all__ = ["FoldAffine"]

Wide = NDArray[np.float64]


@dataclass(frozen=True)
class FoldAffine(ir.passes.InPlacePass):
    """Change the weights of a linear layer so that the affine function behind it can go.

    The function is ``z * s + t`` with one s and t per output channel: a BatchNormalization, where ``s = scale /
    sqrt(var + epsilon)`` and ``t = bias - mean * s``, or an Add, Sub, Mul or Div of a constant. Weights are computed in
    float64 and rounded once.

    1. Conv and ConvTranspose: ``W * s`` along the output channels, ``B * s + t``.
    2. Gemm: ``B * s`` along the output features, ``beta * C * s + t`` with beta 1.
    3. MatMul with a constant matrix on the right: ``W * s``; a BatchNormalization or Sub becomes an Add of t.
    4. MatMul with an Add of a constant behind it: ``W * s``, and the Add takes ``b * s + t``. The Add itself stays.
    5. A BatchNormalization that no layer took: ``scale * s``, ``bias * s + t``.

    All constants must be float32 or float64 initializers, s and t finite, the layer's output read by the function alone,
    and training mode off. The layer keeps its name; its output takes that of the function's. Weights that other nodes
    read too are copied.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in place. Shapes must have been inferred."""
        new = NewInitializers(model.graph)
        folded = [node for node in model.graph if node.op_type in ("BatchNormalization", *BINARY) and _fold(node, new)]
        return ir.passes.PassResult(model, bool(folded))


def _fold(node: ir.Node, new: NewInitializers) -> bool:
    if node.domain != "":
        return False
    position = next((number for number, value in enumerate(node.inputs) if constant(value) is None), None)
    layer = None if position is None else _only_reader_of(node.inputs[position])
    if layer is None or position is None:
        return False
    affine = batch_norm(node) if node.op_type == "BatchNormalization" else binary(node, position, _channel_axis(layer))
    if affine is None or not affine.is_finite:
        return False
    match layer.op_type:
        case "Conv" | "ConvTranspose":
            return _fold_conv(layer, node, affine, new)
        case "Gemm":
            return _fold_gemm(layer, node, affine, new)
        case "MatMul":
            return _fold_matmul(layer, node, affine, new)
        case "Add":
            return _fold_matmul_add(layer, node, affine, new)
        case "BatchNormalization":
            return _fold_batch_norm(layer, node, affine, new)
        case _:
            return False


def _channel_axis(layer: ir.Node) -> int:
    return 1 if layer.op_type in ("BatchNormalization", "Conv", "ConvTranspose") else -1


def _only_reader_of(value: ir.Value | None) -> ir.Node | None:
    """The node that produces `value`, where it has one use and is no graph output."""
    if value is None or len(value.uses()) != 1 or value.is_graph_output():
        return None
    producer = value.producer()
    return producer if producer is not None and producer.domain == "" else None


def _fold_conv(layer: ir.Node, node: ir.Node, affine: Affine, new: NewInitializers) -> bool:
    weight, bias = constant(layer.inputs[1]), _bias(layer)
    if weight is None or bias is None:
        return False
    group = layer.attributes.get_int("group", 1)
    channels = weight.shape[0] if layer.op_type == "Conv" else weight.shape[1] * group
    scale = np.broadcast_to(affine.scale, channels)
    if layer.op_type == "Conv":
        scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    else:
        grouped = weight.reshape(group, -1, *weight.shape[1:])
        scaled = (grouped * scale.reshape(group, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)
    _set(new, layer, 1, scaled)
    _set(new, layer, 2, np.broadcast_to(bias * affine.scale + affine.shift, channels))
    _take_over(layer, node)
    return True


def _fold_gemm(layer: ir.Node, node: ir.Node, affine: Affine, new: NewInitializers) -> bool:
    weight, bias = constant(layer.inputs[1]), _bias(layer)
    if weight is None or bias is None:
        return False
    transposed = layer.attributes.get_int("transB", 0) != 0
    beta = layer.attributes.get_float("beta", 1.0)
    _set(new, layer, 1, weight * (affine.scale[:, None] if transposed else affine.scale))
    _set(new, layer, 2, beta * bias * affine.scale + affine.shift)
    layer.attributes.pop("beta", None)
    _take_over(layer, node)
    return True


def _fold_matmul(layer: ir.Node, node: ir.Node, affine: Affine, new: NewInitializers) -> bool:
    weight = _matrix(layer, node)
    if weight is None or node.op_type == "Add":
        return False
    _set(new, layer, 1, weight * affine.scale)
    if node.op_type in ("Mul", "Div"):
        _take_over(layer, node)
        return True
    assert isinstance(node.graph, ir.Graph)
    shift = new.add(f"{node.name}_shift", affine.shift.astype(_dtype(layer.inputs[1])))
    add = ir.Node("", "Add", [layer.outputs[0], shift], name=node.name)
    node.graph.insert_before(node, add)
    _take_over(add, node)
    return True


def _fold_matmul_add(add: ir.Node, node: ir.Node, affine: Affine, new: NewInitializers) -> bool:
    position = next((number for number, value in enumerate(add.inputs) if constant(value) is not None), None)
    if position is None:
        return False
    layer, bias = _only_reader_of(add.inputs[1 - position]), constant(add.inputs[position])
    if layer is None or layer.op_type != "MatMul" or bias is None or not _same_shape(layer.outputs[0], add.outputs[0]):
        return False
    weight = _matrix(layer, node)
    if weight is None:
        return False
    _set(new, layer, 1, weight * affine.scale)
    _set(new, add, position, bias * affine.scale + affine.shift)
    _take_over(add, node)
    return True


def _fold_batch_norm(layer: ir.Node, node: ir.Node, affine: Affine, new: NewInitializers) -> bool:
    own = batch_norm(layer)
    scale, bias = constant(layer.inputs[1]), constant(layer.inputs[2])
    if own is None or scale is None or bias is None:
        return False
    _set(new, layer, 1, scale * affine.scale)
    _set(new, layer, 2, bias * affine.scale + affine.shift)
    _take_over(layer, node)
    return True


def _same_shape(a: ir.Value, b: ir.Value) -> bool:
    return a.shape is not None and a.shape.is_static() and a.shape == b.shape


def _matrix(layer: ir.Node, node: ir.Node) -> Wide | None:
    """The constant right operand of a MatMul; before a BatchNormalization, whose channels are on axis 1, of two matrices."""
    x, weight = layer.inputs[0], constant(layer.inputs[1])
    if x is None or x.shape is None or weight is None or weight.ndim != 2 or len(x.shape) < 2:
        return None
    return None if node.op_type == "BatchNormalization" and len(x.shape) != 2 else weight


def _bias(layer: ir.Node) -> Wide | None:
    """The bias of a Conv, ConvTranspose or Gemm; zero where it has none."""
    given = layer.inputs[2] if len(layer.inputs) > 2 else None
    return np.zeros(1) if given is None else constant(given)


def _set(new: NewInitializers, node: ir.Node, position: int, array: Wide) -> None:
    """Make `array`, in the type of what it replaces or of the weight, the input of `node` at `position`."""
    assert isinstance(node.graph, ir.Graph)
    old = node.inputs[position] if position < len(node.inputs) else None
    name = f"{node.name}_bias" if old is None or old.name is None else old.name
    dtype = _dtype(node.inputs[1] if old is None else old)
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    folded = new.add(f"{name.removesuffix('_folded')}_folded", array.astype(dtype))
    node.replace_input_with(position, folded)
    if old is not None and not old.uses() and not old.is_graph_output():
        node.graph.initializers.pop(str(old.name))


def _dtype(value: ir.Value | None) -> np.dtype[Any]:
    assert value is not None and value.const_value is not None
    return np.dtype(value.const_value.dtype.numpy())


def _take_over(layer: ir.Node, node: ir.Node) -> None:
    """Let the output of `layer` stand for that of `node`, under its name, and remove `node`."""
    old, new = node.outputs[0], layer.outputs[0]
    name = old.name
    old.name = f"{name}_folded"
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    new.name, new.shape, new.type = name, old.shape, old.type
    assert node.graph is not None
    node.graph.remove(node, safe=True)
