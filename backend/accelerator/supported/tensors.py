"""Rules that several operators share."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import constant, has_place, shape_of
from reuse_compiler.backend.accelerator.supported.names import ALIASES
from reuse_compiler.backend.accelerator.supported.rule import Rule

__all__ = [
    "OPERAND",
    "TENSOR",
    "constant_parameters",
    "constant_weights",
    "elements",
    "explicit_padding",
    "float32",
    "known_operand",
    "one_output",
    "placed",
    "some_elements",
    "spatial_axes",
    "static_shape",
    "variable_data",
]


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


def placed(node: ir.Node) -> str | None:
    """what is computed at run time is arrays of numbers whose sizes are known when the model is compiled"""
    values = [value for value in (*node.inputs, *node.outputs) if value is not None and value.name]
    astray = [value for value in values if constant(value) is None and not has_place(value)]
    return f"{astray[0].name} is {astray[0].type} of shape {astray[0].shape}" if astray else None


def constant_parameters(node: ir.Node) -> str | None:
    """inputs behind the first are constants"""
    return constant_weights(node)


def one_output(node: ir.Node) -> str | None:
    """only the first output is used"""
    used = [value for value in node.outputs[1:] if value.name and (value.uses() or value.is_graph_output())]
    return f"{used[0].name} is used" if used else None


def spatial_axes(node: ir.Node) -> str | None:
    """there are 1, 2 or 3 spatial axes"""
    value = node.inputs[0]
    shape = shape_of(value) if value is not None else None
    count = len(shape) - 2 if shape else 0
    return None if 1 <= count <= 3 else f"there are {count}"


def explicit_padding(node: ir.Node) -> str | None:
    """padding is explicit, not auto_pad"""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    return None if mode in ("NOTSET", "VALID", "") else f"auto_pad is {mode}"


def constant_weights(node: ir.Node) -> str | None:
    """weight and bias are constants"""
    variable = [value for value in node.inputs[1:] if value is not None and constant(value) is None]
    return f"{variable[0].name} is computed at run time" if variable else None


def float32_operand(node: ir.Node) -> str | None:
    """the first input and the output are float32"""
    other = [value for value in _operands(node) if value.dtype != ir.DataType.FLOAT]
    return f"{other[0].name} is {other[0].dtype}" if other else None


def known_operand(node: ir.Node) -> str | None:
    """the shapes of the first input and of the output are known when the model is compiled"""
    unknown = [value for value in _operands(node) if shape_of(value) is None]
    return f"{unknown[0].name} has shape {unknown[0].shape}" if unknown else None


def some_elements(node: ir.Node) -> str | None:
    """neither the first input nor the output is empty"""
    empty = [value for value in _operands(node) if 0 in (shape_of(value) or ())]
    return f"{empty[0].name} has shape {shape_of(empty[0])}" if empty else None


def _operands(node: ir.Node) -> list[ir.Value]:
    return [value for value in (*node.inputs[:1], *node.outputs[:1]) if value is not None]


OPERAND: tuple[Rule, ...] = (float32_operand, known_operand, some_elements, variable_data)
"""Of every operator of one float32 operand whose other inputs are parameters."""

TENSOR: tuple[Rule, ...] = (float32, static_shape, elements)
"""Of every operator that reads and writes float32 alone."""
