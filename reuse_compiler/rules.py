"""The rules for a reuse site.

A rule is a function whose docstring is its text in reports and documentation. It returns the measured value that
breaks it, or None where it holds. The rules of an operator are tried in order; each may rely on those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.geometry import ConvGeometry

__all__ = ["RULES", "Broken", "Rule", "broken", "conv_geometry"]

Rule = Callable[[ir.Node], str | None]


@dataclass(frozen=True)
class Broken:
    """A rule that a node breaks, and the value measured there."""

    rule: str
    measured: str


def constant_weight(node: ir.Node) -> str | None:
    """the weight, the second input, is a constant"""
    return None if _is_constant(node.inputs[1]) else _origin(node.inputs[1])


def float32_weight(node: ir.Node) -> str | None:
    """the weight is float32"""
    weight = node.inputs[1]
    dtype = None if weight is None or weight.const_value is None else weight.const_value.dtype
    return None if dtype == ir.DataType.FLOAT else f"it is {'unknown' if dtype is None else dtype.name.lower()}"


def variable_input(node: ir.Node) -> str | None:
    """the first input is not a constant"""
    return _origin(node.inputs[0]) if _is_constant(node.inputs[0]) else None


def fixed_input_shape(node: ir.Node) -> str | None:
    """every dimension of the input is known when the model is compiled, and at least 1"""
    shape = None if node.inputs[0] is None else node.inputs[0].shape
    if shape is None:
        return "its rank is unknown"
    return None if all(isinstance(dim, int) and dim > 0 for dim in shape) else f"the shape is {_show(shape)}"


def constant_bias(node: ir.Node) -> str | None:
    """the bias, the third input, is a constant or absent"""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return None if bias is None or _is_constant(bias) else _origin(bias)


def batch_of_one(node: ir.Node) -> str | None:
    """the batch, the first dimension of the input, is 1"""
    batch = _shape(node.inputs[0])[0]
    return None if batch == 1 else f"the batch is {batch}"


def spatial_axes(node: ir.Node) -> str | None:
    """there are 1, 2 or 3 spatial axes"""
    axes = len(_shape(node.inputs[0])) - 2
    return None if 1 <= axes <= 3 else f"there are {axes}"


def explicit_padding(node: ir.Node) -> str | None:
    """padding is explicit, not auto_pad"""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    return None if mode == "NOTSET" else f"auto_pad is {mode}"


def kernel_fits(node: ir.Node) -> str | None:
    """the kernel fits into the padded input"""
    shape = conv_geometry(node).out_shape
    return None if min(shape) > 0 else f"the output would have shape {list(shape)}"


def untransposed_input(node: ir.Node) -> str | None:
    """the first input is not transposed"""
    return "transA is 1" if node.attributes.get_int("transA", 0) else None


def bias_of_one_row(node: ir.Node) -> str | None:
    """the bias is the same for every row of the output"""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    shape = () if bias is None else _shape(bias)
    return f"the bias has shape {list(shape)}" if len(shape) == 2 and shape[0] != 1 else None


def matrix_weight(node: ir.Node) -> str | None:
    """the weight is a matrix"""
    shape = _shape(node.inputs[1])
    return None if len(shape) == 2 else f"it has shape {list(shape)}"


def input_with_rows(node: ir.Node) -> str | None:
    """the input has two dimensions or more"""
    shape = _shape(node.inputs[0])
    return None if len(shape) >= 2 else f"it has shape {list(shape)}"


_ALL: tuple[Rule, ...] = (constant_weight, float32_weight, variable_input, fixed_input_shape)

RULES: dict[str, Sequence[Rule]] = {
    "Conv": (*_ALL, constant_bias, spatial_axes, batch_of_one, explicit_padding, kernel_fits),
    "Gemm": (*_ALL, constant_bias, untransposed_input, bias_of_one_row),
    "MatMul": (*_ALL, matrix_weight, input_with_rows),
}
"""Rules by operator of ONNX. Other operators are no sites."""


def broken(node: ir.Node) -> Broken | None:
    """The first rule that a Conv, Gemm or MatMul breaks, or None where it is a site."""
    for rule in RULES[node.op_type]:
        measured = rule(node)
        if measured is not None:
            return Broken(rule.__doc__ or "", measured)
    return None


def conv_geometry(node: ir.Node) -> ConvGeometry:
    """Geometry of a Conv with a fixed input shape, a constant weight and explicit padding."""
    x, weight = _shape(node.inputs[0]), _shape(node.inputs[1])
    rank = len(x) - 2
    pads = tuple(node.attributes.get_ints("pads", [0] * 2 * rank))
    return ConvGeometry(
        in_channels=x[1],
        out_channels=weight[0],
        group=node.attributes.get_int("group", 1),
        in_shape=x[2:],
        kernel=weight[2:],
        strides=tuple(node.attributes.get_ints("strides", [1] * rank)),
        dilations=tuple(node.attributes.get_ints("dilations", [1] * rank)),
        pads_begin=pads[:rank],
        pads_end=pads[rank:],
    )


def _is_constant(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer() and value.const_value is not None


def _origin(value: ir.Value | None) -> str:
    if value is None:
        return "it is absent"
    if _is_constant(value):
        return f"{value.name} is a constant"
    producer = value.producer()
    if producer is None:
        return f"{value.name} is an input of the model"
    return f"{value.name} is computed by {producer.name} ({producer.op_type})"


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    assert value is not None and value.shape is not None
    return tuple(value.shape.numpy())


def _show(shape: ir.Shape) -> str:
    return "[" + ", ".join(str(dim) if isinstance(dim, int) else (dim.value or "?") for dim in shape) + "]"
