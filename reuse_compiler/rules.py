"""The rules for a reuse site.

A rule is a function whose docstring is its text in reports and documentation. It returns the measured value that
breaks it, or None where it holds. The rules of an operator are tried in order; each may rely on those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.recurrent import KNOWN_ACTIVATIONS, OPERATORS

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


def spatial_axes(node: ir.Node) -> str | None:
    """there are 1, 2 or 3 spatial axes"""
    axes = len(_shape(node.inputs[0])) - 2
    return None if 1 <= axes <= 3 else f"there are {axes}"


def explicit_padding(node: ir.Node) -> str | None:
    """padding is explicit, not auto_pad"""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    return None if mode == "NOTSET" else f"auto_pad is {mode}"


def padding_of_its_output(node: ir.Node) -> str | None:
    """the size of the output is given by padding, not by output_shape"""
    given = node.attributes.get_ints("output_shape", None)
    return None if given is None else f"output_shape is {list(given)}"


def kernel_fits(node: ir.Node) -> str | None:
    """the kernel fits into the padded input"""
    shape = conv_geometry(node).out_shape
    return None if min(shape) > 0 else f"the output would have shape {list(shape)}"


def output_remains(node: ir.Node) -> str | None:
    """padding leaves some of the output"""
    return kernel_fits(node)


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


def constant_recurrence(node: ir.Node) -> str | None:
    """the recurrence weight R, the third input, is a constant of float32"""
    weight = node.inputs[2]
    if not _is_constant(weight):
        return _origin(weight)
    assert weight is not None and weight.const_value is not None
    return None if weight.const_value.dtype == ir.DataType.FLOAT else f"it is {weight.const_value.dtype.name.lower()}"


def constant_recurrent_bias(node: ir.Node) -> str | None:
    """bias B and peepholes P, the fourth and the eighth input, are constants or absent"""
    for position in (3, 7):
        value = node.inputs[position] if len(node.inputs) > position else None
        if value is not None and not _is_constant(value):
            return _origin(value)
    return None


def one_direction(node: ir.Node) -> str | None:
    """the layer has one direction; those of a bidirectional layer are taken apart where its weights are constants"""
    direction = node.attributes.get_string("direction", "forward")
    return None if direction in ("forward", "reverse") else f"the direction is {direction}"


def time_first(node: ir.Node) -> str | None:
    """the layout is 0, time before batch"""
    layout = node.attributes.get_int("layout", 0)
    return None if layout == 0 else f"the layout is {layout}"


def sequence_of_rows(node: ir.Node) -> str | None:
    """the input has three dimensions: time, batch, features"""
    shape = _shape(node.inputs[0])
    return None if len(shape) == 3 else f"it has shape {list(shape)}"


def known_activations(node: ir.Node) -> str | None:
    """the activations are those of ONNX's recurrent operators"""
    given = node.attributes.get_strings("activations", None) or ()
    unknown = [name for name in given if name.lower() not in KNOWN_ACTIVATIONS]
    return f"{unknown[0]} is among them" if unknown else None


def known_lengths(node: ir.Node) -> str | None:
    """the sequence lengths, the fifth input, are absent, or constants of 1 and more"""
    value = node.inputs[4] if len(node.inputs) > 4 else None
    if value is None:
        return None
    if value.const_value is None:
        return _origin(value)
    shortest = int(value.const_value.numpy().min(initial=1))
    return None if shortest >= 1 else f"one is {shortest}"


_RECURRENT: tuple[Rule, ...] = (
    *(constant_weight, float32_weight, constant_recurrence, variable_input, fixed_input_shape, sequence_of_rows),
    *(constant_recurrent_bias, one_direction, time_first, known_lengths, known_activations),
)

_ALL: tuple[Rule, ...] = (constant_weight, float32_weight, variable_input, fixed_input_shape)

RULES: dict[str, Sequence[Rule]] = {
    "Conv": (*_ALL, constant_bias, spatial_axes, explicit_padding, kernel_fits),
    "ConvTranspose": (
        *(*_ALL, constant_bias, spatial_axes, explicit_padding),
        *(padding_of_its_output, output_remains),
    ),
    "Gemm": (*_ALL, constant_bias, untransposed_input, bias_of_one_row),
    "MatMul": (*_ALL, matrix_weight, input_with_rows),
    **dict.fromkeys(OPERATORS, _RECURRENT),
}
"""Rules by operator of ONNX. Other operators are no sites."""


def broken(node: ir.Node) -> Broken | None:
    """The first rule that a node of one of these operators breaks, or None where it is a site."""
    for rule in RULES[node.op_type]:
        measured = rule(node)
        if measured is not None:
            return Broken(rule.__doc__ or "", measured)
    return None


def conv_geometry(node: ir.Node) -> ConvGeometry:
    """Geometry of a Conv or ConvTranspose with a fixed input shape, a constant weight and explicit padding."""
    x, weight = _shape(node.inputs[0]), _shape(node.inputs[1])
    rank = len(x) - 2
    group = node.attributes.get_int("group", 1)
    pads = tuple(node.attributes.get_ints("pads", [0] * 2 * rank))
    transposed = node.op_type == "ConvTranspose"
    return ConvGeometry(
        in_channels=x[1],
        out_channels=weight[1] * group if transposed else weight[0],
        group=group,
        in_shape=x[2:],
        kernel=weight[2:],
        strides=tuple(node.attributes.get_ints("strides", [1] * rank)),
        dilations=tuple(node.attributes.get_ints("dilations", [1] * rank)),
        pads_begin=pads[:rank],
        pads_end=pads[rank:],
        transposed=transposed,
        output_padding=tuple(node.attributes.get_ints("output_padding", [0] * rank)) if transposed else (),
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
