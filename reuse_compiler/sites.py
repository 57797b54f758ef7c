"""Sites: the places of a model where reuse can apply."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.geometry import ConvGeometry

__all__ = ["Site", "find_sites"]


@dataclass(frozen=True)
class Site:
    """The input of one FC or CONV node with constant weights.

    Parameters
    ----------
    node, op : str
        Name and operator (Conv, Gemm or MatMul) of the node.
    kind : {"fc", "conv"}
    input : str
        Name of the tensor that is compared between frames.
    shape : tuple of int
        Its shape, batch included.
    output : str
        Name of the linear output; of a MatMul whose only use is the Add of a constant bias, the output of that Add.
    weight, bias : str
        Names of the initializers; bias is None where there is none.
    geometry : ConvGeometry or None
        Of a CONV.
    rows, in_features, out_features : int
        Of an FC; rows is the product of the leading axes. Of a CONV: batch, input channels, output channels.
    """

    node: str
    op: str
    kind: Literal["fc", "conv"]
    input: str
    shape: tuple[int, ...]
    output: str
    weight: str
    bias: str | None
    geometry: ConvGeometry | None
    rows: int
    in_features: int
    out_features: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, those in the padding left out."""
        if self.geometry is not None:
            return self.rows * self.geometry.macs
        return self.rows * self.in_features * self.out_features

    def fan_out(self) -> NDArray[np.int64]:
        """Multiply-accumulates that each input element takes part in: int64, broadcastable against `shape`."""
        if self.geometry is not None:
            return self.geometry.fan_out()
        return np.full((1,) * len(self.shape), self.out_features, np.int64)


def find_sites(model: Model) -> list[Site]:
    """The sites of the top graph of `model`, in topological order."""
    found = (_site(node) for node in model.ir.graph)
    return [site for site in found if site is not None]


def _site(node: ir.Node) -> Site | None:
    if node.op_type == "Conv":
        return _conv(node)
    if node.op_type == "Gemm":
        return _gemm(node)
    if node.op_type == "MatMul":
        return _matmul(node)
    return None


def _shape(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]


def _constant(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.dtype == ir.DataType.FLOAT


def _conv(node: ir.Node) -> Site | None:
    x, w = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    assert x is not None and w is not None
    if not _constant(w) or (bias is not None and not _constant(bias)):
        return None
    shape, weight = _shape(x), _shape(w)
    rank = len(shape) - 2
    attributes = node.attributes
    strides = tuple(attributes.get_ints("strides", [1] * rank) or [1] * rank)
    dilations = tuple(attributes.get_ints("dilations", [1] * rank) or [1] * rank)
    pads = tuple(attributes.get_ints("pads", [0] * 2 * rank) or [0] * 2 * rank)
    geometry = ConvGeometry(
        in_channels=shape[1],
        out_channels=weight[0],
        group=attributes.get_int("group", 1) or 1,
        in_shape=shape[2:],
        kernel=weight[2:],
        strides=strides,
        dilations=dilations,
        pads_begin=pads[:rank],
        pads_end=pads[rank:],
    )
    return Site(
        _name(node),
        "Conv",
        "conv",
        _name(x),
        shape,
        _name(node.outputs[0]),
        _name(w),
        None if bias is None else _name(bias),
        geometry,
        shape[0],
        shape[1],
        weight[0],
    )


def _gemm(node: ir.Node) -> Site | None:
    x, w = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    assert x is not None and w is not None
    if not _constant(w) or (bias is not None and not _constant(bias)):
        return None
    shape, weight = _shape(x), _shape(w)
    out_features = weight[0] if node.attributes.get_int("transB", 0) else weight[1]
    return Site(
        _name(node),
        "Gemm",
        "fc",
        _name(x),
        shape,
        _name(node.outputs[0]),
        _name(w),
        None if bias is None else _name(bias),
        None,
        shape[0],
        shape[1],
        out_features,
    )


def _matmul(node: ir.Node) -> Site | None:
    x, w = node.inputs
    assert x is not None and w is not None
    if not _constant(w):
        return None
    shape, weight = _shape(x), _shape(w)
    output, bias = node.outputs[0], None
    uses = list(output.uses())
    if len(uses) == 1 and uses[0].node.op_type == "Add" and not output.is_graph_output():
        other = uses[0].node.inputs[1 - uses[0].idx]
        if other is not None and _constant(other) and _shape(other)[-1:] == weight[1:]:
            output, bias = uses[0].node.outputs[0], other
    return Site(
        _name(node),
        "MatMul",
        "fc",
        _name(x),
        shape,
        _name(output),
        _name(w),
        None if bias is None else _name(bias),
        None,
        math.prod(shape[:-1]),
        shape[-1],
        weight[1],
    )


def _name(thing: ir.Node | ir.Value) -> str:
    assert thing.name is not None
    return thing.name
