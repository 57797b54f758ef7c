"""Rules of element-wise layers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from reuse_compiler.backend.accelerator.isa import Element
from reuse_compiler.backend.accelerator.shapes import constant, shape_of
from reuse_compiler.backend.accelerator.supported.functions import ARITHMETIC, BITS, COMPARISONS, FUNCTIONS, LOGIC
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import elements, static_shape, variable_data

__all__ = ["RULES"]

_FLOAT = frozenset({Element.FLOAT32, Element.FLOAT16})
_BOOL = frozenset({Element.BOOL})
_WHOLE = frozenset(element for element in Element if element.dtype.kind in "iu")


def _element(value: ir.Value) -> Element | None:
    """The type of the value's elements, or None where the accelerator has none such."""
    names = Element.__members__
    return None if value.dtype is None else names.get(_NAMES.get(value.dtype.name, value.dtype.name))


_NAMES = {"FLOAT": "FLOAT32", "DOUBLE": "FLOAT64"}


def _other(values: list[ir.Value], allowed: frozenset[Element]) -> str | None:
    """The first of the values whose elements are of another type."""
    other = [value for value in values if _element(value) not in allowed]
    return f"{other[0].name} is {other[0].dtype}" if other else None


def _inputs(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs if value is not None]


def floats(node: ir.Node) -> str | None:
    """every operand is float32, or float16 and converted"""
    return _other(_inputs(node), _FLOAT)


def numbers(node: ir.Node) -> str | None:
    """every operand is float32, or float16 and converted, or holds whole numbers"""
    return _other(_inputs(node), _FLOAT | _WHOLE)


def whole_numbers(node: ir.Node) -> str | None:
    """every operand holds whole numbers"""
    return _other(_inputs(node), _WHOLE)


def bools(node: ir.Node) -> str | None:
    """every operand is bool"""
    return _other(_inputs(node), _BOOL)


def comparable(node: ir.Node) -> str | None:
    """every operand is float32, or float16 and converted, or bool, or holds whole numbers"""
    return _other(_inputs(node), _FLOAT | _BOOL | _WHOLE)


def convertible(node: ir.Node) -> str | None:
    """the data are floats of 16, 32 or 64 bits, whole numbers of 8 to 64 bits or bool, before and after"""
    return _other([*_inputs(node)[:1], *node.outputs], frozenset(Element))


def filled_data(node: ir.Node) -> str | None:
    """the shape of the data is known when the model is compiled, and they are not empty"""
    value = _inputs(node)[0]
    shape = shape_of(value)
    return f"{value.name} has shape {value.shape}" if shape is None or 0 in shape else None


def wide_base(node: ir.Node) -> str | None:
    """the base is float32, or float16 and converted, or base and exponent hold whole numbers of one type"""
    base, exponent = _inputs(node)
    if _element(base) in _FLOAT or (base.dtype == exponent.dtype and _element(base) in _WHOLE):
        return _other([exponent], _FLOAT | _WHOLE)
    return f"base is {base.dtype}, exponent {exponent.dtype}"


def variable_operand(node: ir.Node) -> str | None:
    """at least one operand is not a constant"""
    fixed = all(constant(value) is not None for value in _inputs(node))
    return "all are constants" if fixed else None


def constant_scale(node: ir.Node) -> str | None:
    """scale and zero point are constants, one number or one for each index of an axis"""
    parameters = _inputs(node)[1:]
    variable = [value for value in parameters if constant(value) is None]
    if variable:
        return f"{variable[0].name} is computed at run time"
    blocks = node.attributes.get_int("block_size", 0)
    if blocks:
        return f"there is one for each block of {blocks}"
    many = [value for value in parameters if len(shape_of(value) or ()) > 1]
    return f"{many[0].name} has shape {many[0].shape}" if many else None


def float32_scale(node: ir.Node) -> str | None:
    """the scale is float32 or float16"""
    return _other(_inputs(node)[1:2], _FLOAT)


def quantized_to_whole_numbers(node: ir.Node) -> str | None:
    """the data are float32 or float16, quantized to whole numbers of 8 or 16 bits"""
    narrow = frozenset(element for element in _WHOLE if element.bytes <= 2)
    return _other(_inputs(node)[:1], _FLOAT) or _other(list(node.outputs), narrow)


def quantized_whole_numbers(node: ir.Node) -> str | None:
    """the data are whole numbers of 8 to 32 bits, zero points of 32 bits are 0, and the result is float32 or float16"""
    broken = _other(_inputs(node)[:1], frozenset(e for e in _WHOLE if e.bytes <= 4)) or _other(
        list(node.outputs), _FLOAT
    )
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if broken is None and zero is not None and zero.dtype.itemsize > 2 and zero.any():
        return f"the zero point is {np.asarray(zero).reshape(-1)[0]}"
    return broken


_SHAPES: tuple[Rule, ...] = (static_shape, elements)
_UNARY: dict[str, Rule] = {
    **dict.fromkeys(FUNCTIONS, floats),
    **dict.fromkeys(("Abs", "Neg", "Sign"), numbers),
    **dict.fromkeys(("Gelu", "IsInf"), floats),
    "BitwiseNot": whole_numbers,
    "Cast": convertible,
    "Not": bools,
    "Relu": numbers,
}
_OTHERS: dict[str, Rule] = {
    **dict.fromkeys(ARITHMETIC, numbers),
    **dict.fromkeys(COMPARISONS, numbers),
    **dict.fromkeys(LOGIC, bools),
    **dict.fromkeys(BITS, whole_numbers),
    "BitShift": whole_numbers,
    "Clip": numbers,
    "Equal": comparable,
    "Mean": floats,
    "Mod": numbers,
    "PRelu": numbers,
    "Pow": wide_base,
    "Where": comparable,
}

RULES: dict[str, tuple[Rule, ...]] = {
    **{name: (rule, *_SHAPES, variable_data) for name, rule in _UNARY.items()},
    **{name: (rule, *_SHAPES, variable_operand) for name, rule in _OTHERS.items()},
    "CastLike": (convertible, filled_data, variable_data),
    "DequantizeLinear": (quantized_whole_numbers, float32_scale, *_SHAPES, variable_data, constant_scale),
    "QuantizeLinear": (quantized_to_whole_numbers, float32_scale, *_SHAPES, variable_data, constant_scale),
}
"""Rules by operator; types are held to before shapes."""
