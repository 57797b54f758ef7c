"""Rules of element-wise layers."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import broadcast_axes, constant, shape_of
from reuse_compiler.backend.accelerator.supported.names import BINARY, FUNCTIONS
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import TENSOR, constant_parameters, variable_data

__all__ = ["RULES"]


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


def slope_below_one(node: ir.Node) -> str | None:
    """the slope of LeakyRelu is 0 to 1"""
    slope = node.attributes.get_float("alpha", 0.01) or 0.0
    return None if 0 <= slope <= 1 else f"it is {slope:g}"


RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(FUNCTIONS, (*TENSOR, variable_data, constant_parameters)),
    "LeakyRelu": (*TENSOR, variable_data, slope_below_one),
    **dict.fromkeys(BINARY, (*TENSOR, two_operands, one_variable_operand, four_axes)),
}
