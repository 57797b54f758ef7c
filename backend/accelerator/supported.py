"""Which nodes the accelerator executes itself. Everything else becomes a call to the host.

A rule is a function whose docstring is its text in reports and documentation. It returns the measured value that
breaks it, or None where it holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import broadcast_axes, constant, shape_of
from reuse_compiler.operators import is_reuse

__all__ = ["ALIASES", "BINARY", "FUNCTIONS", "POOLS", "RULES", "Rule", "verdict"]

Rule = Callable[[ir.Node], str | None]

ALIASES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
FUNCTIONS = (
    "Abs",
    "Atan",
    "Clip",
    "Elu",
    "Erf",
    "Exp",
    "HardSigmoid",
    "LeakyRelu",
    "Log",
    "Neg",
    "Reciprocal",
    "Relu",
    "Sigmoid",
    "Softplus",
    "Sqrt",
    "Tanh",
)
BINARY = ("Add", "Div", "Max", "Min", "Mul", "Sub")
POOLS = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")


def float32(node: ir.Node) -> str | None:
    """every data tensor is float32"""
    data = node.inputs[:1] if node.op_type in ALIASES else node.inputs
    values = [value for value in (*data, node.outputs[0]) if value is not None]
    other = [value for value in values if value.dtype != ir.DataType.FLOAT]
    return f"{other[0].name} is {other[0].dtype}" if other else None


def static_shape(node: ir.Node) -> str | None:
    """every shape is known when the model is compiled"""
    values = [value for value in (*node.inputs, node.outputs[0]) if value is not None]
    unknown = [value for value in values if shape_of(value) is None]
    return f"{unknown[0].name} has shape {unknown[0].shape}" if unknown else None


def elements(node: ir.Node) -> str | None:
    """no tensor is empty"""
    values = [value for value in (*node.inputs, node.outputs[0]) if value is not None]
    empty = [value for value in values if 0 in (shape_of(value) or ())]
    return f"{empty[0].name} has shape {empty[0].shape}" if empty else None


def variable_data(node: ir.Node) -> str | None:
    """the first input is not a constant"""
    value = node.inputs[0]
    return f"{value.name} is a constant" if value is not None and constant(value) is not None else None


def constant_weights(node: ir.Node) -> str | None:
    """weight and bias are constants"""
    variable = [value for value in node.inputs[1:] if value is not None and constant(value) is None]
    return f"{variable[0].name} is computed at run time" if variable else None


def constant_parameters(node: ir.Node) -> str | None:
    """inputs behind the first are constants"""
    return constant_weights(node)


def batch_of_one(node: ir.Node) -> str | None:
    """the batch is 1"""
    value = node.inputs[0]
    shape = shape_of(value) if value is not None else None
    return f"the batch is {shape[0]}" if shape and shape[0] != 1 else None


def spatial_axes(node: ir.Node) -> str | None:
    """there are 1, 2 or 3 spatial axes"""
    value = node.inputs[0]
    shape = shape_of(value) if value is not None else None
    count = len(shape) - 2 if shape else 0
    return None if 1 <= count <= 3 else f"there are {count}"


def padding_below_kernel(node: ir.Node) -> str | None:
    """padding at the start of an axis is less than the extent of the window there"""
    kernel = node.attributes.get_ints("kernel_shape", []) or []
    dilations = node.attributes.get_ints("dilations", None) or [1] * len(kernel)
    pads = node.attributes.get_ints("pads", None) or [0] * 2 * len(kernel)
    wide = [axis for axis, size in enumerate(kernel) if pads[axis] >= (size - 1) * dilations[axis] + 1]
    return f"axis {wide[0]} has padding {pads[wide[0]]} and window {kernel[wide[0]]}" if wide else None


def explicit_padding(node: ir.Node) -> str | None:
    """padding is explicit, not auto_pad"""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    return None if mode in ("NOTSET", "VALID", "") else f"auto_pad is {mode}"


def untransposed_data(node: ir.Node) -> str | None:
    """the data operand of Gemm is not transposed"""
    return "transA is 1" if node.attributes.get_int("transA", 0) else None


def bias_of_one_row(node: ir.Node) -> str | None:
    """the bias is the same for every row of the output"""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    shape = shape_of(bias) if bias is not None else None
    return f"the bias has shape {list(shape)}" if shape is not None and math.prod(shape[:-1]) != 1 else None


def matrix_weight(node: ir.Node) -> str | None:
    """the weight is a matrix"""
    value = node.inputs[1]
    shape = shape_of(value) if value is not None else None
    return None if shape is not None and len(shape) == 2 else f"it has shape {list(shape or ())}"


def one_output(node: ir.Node) -> str | None:
    """only the first output is used"""
    used = [value for value in node.outputs[1:] if value.name and (value.uses() or value.is_graph_output())]
    return f"{used[0].name} is used" if used else None


def two_operands(node: ir.Node) -> str | None:
    """there are two operands"""
    return None if len(node.inputs) == 2 else f"there are {len(node.inputs)}"


def one_variable_operand(node: ir.Node) -> str | None:
    """at least one operand is not a constant"""
    values = [value for value in node.inputs if value is not None]
    return "both are constants" if all(constant(value) is not None for value in values) else None


def four_axes(node: ir.Node) -> str | None:
    """broadcasting needs at most four axes, neighbouring ones merged where strides allow"""
    shapes = [shape_of(value) for value in node.inputs if value is not None]
    out = shape_of(node.outputs[0])
    if len(shapes) != 2 or shapes[0] is None or shapes[1] is None or out is None:
        return "a shape is unknown"
    count = len(broadcast_axes(shapes[0], shapes[1], out)[0])
    return f"it needs {count}" if count > 4 else None


def padding_outside_counts(node: ir.Node) -> str | None:
    """ceil_mode and count_include_pad are not combined"""
    both = node.attributes.get_int("ceil_mode", 0) and node.attributes.get_int("count_include_pad", 0)
    return "both are 1" if both else None


def variable_operands(node: ir.Node) -> str | None:
    """no operand is a constant"""
    fixed = [value for value in node.inputs if value is not None and constant(value) is not None]
    return f"{fixed[0].name} is a constant" if fixed else None


def slope_below_one(node: ir.Node) -> str | None:
    """the slope of LeakyRelu is 0 to 1"""
    slope = node.attributes.get_float("alpha", 0.01) or 0.0
    return None if 0 <= slope <= 1 else f"it is {slope:g}"


_TENSOR: tuple[Rule, ...] = (float32, static_shape, elements)
_CONV = (*_TENSOR, variable_data, constant_weights, batch_of_one, spatial_axes, explicit_padding)
_POOL = (*_TENSOR, variable_data, batch_of_one, spatial_axes, explicit_padding, padding_below_kernel, one_output)

RULES: dict[str, Sequence[Rule]] = {
    "Conv": _CONV,
    "Gemm": (*_TENSOR, variable_data, constant_weights, untransposed_data, bias_of_one_row),
    "MatMul": (*_TENSOR, variable_data, constant_weights, matrix_weight),
    "MaxPool": _POOL,
    "AveragePool": (*_POOL, padding_outside_counts),
    "GlobalAveragePool": (*_TENSOR, variable_data, batch_of_one, spatial_axes),
    "GlobalMaxPool": (*_TENSOR, variable_data, batch_of_one, spatial_axes),
    "Concat": (*_TENSOR, variable_operands),
    **dict.fromkeys(ALIASES, (float32, variable_data, one_output)),
    **dict.fromkeys(FUNCTIONS, (*_TENSOR, variable_data, constant_parameters)),
    "LeakyRelu": (*_TENSOR, variable_data, slope_below_one),
    **dict.fromkeys(BINARY, (*_TENSOR, two_operands, one_variable_operand, four_axes)),
}


def verdict(node: ir.Node) -> tuple[bool, str, str]:
    """Whether the accelerator executes `node`; else the rule that it breaks and the measured value."""
    if is_reuse(node):
        return True, "a reuse operator", ""
    rules = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rules is None:
        return False, "no instruction for the operator", node.op_type
    for rule in rules:
        measured = rule(node)
        if measured is not None:
            return False, rule.__doc__ or "", measured
    return True, "has an instruction", ""
