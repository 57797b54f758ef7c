"""Read element-wise layers of floats, whole numbers and bools."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Binary, Special
from reuse_compiler.backend.accelerator.lowering.readers.parts import Parts, Value
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import shape_at, tensor
from reuse_compiler.backend.accelerator.lowering.specs import Layer, Tensor
from reuse_compiler.backend.accelerator.supported.functions import (
    ARITHMETIC,
    BITS,
    COMPARISONS,
    FUNCTIONS,
    LOGIC,
    Parameter,
)

__all__ = ["READERS"]

Array = NDArray[Any]

_LARGEST = float(np.finfo(np.float32).max)

Make = Callable[[Parts, ir.Node], Value]
_MAKERS: dict[str, Make] = {}


def _makes(*operators: str) -> Callable[[Make], Make]:
    """Register what makes the parts of these operators."""

    def register(make: Make) -> Make:
        _MAKERS.update(dict.fromkeys(operators, make))
        return make

    return register


def _read(node: ir.Node) -> Sequence[Layer]:
    parts = Parts(node)
    return parts.layers(_MAKERS[node.op_type](parts, node))


def _operands(parts: Parts, node: ir.Node) -> list[Value]:
    return [parts.operand(position) for position, value in enumerate(node.inputs) if value is not None]


def _dtype(node: ir.Node) -> str:
    """The type of the node's output."""
    return tensor(node.outputs[0]).dtype


def _is_float(value: Value) -> bool:
    return np.dtype(value.dtype) == np.float32


# ------------------------------------------------------------------------------------------------------- one operand


@_makes(*FUNCTIONS)
def _function(parts: Parts, node: ir.Node) -> Value:
    def number(parameter: Parameter) -> float:
        if isinstance(parameter, float):
            return parameter
        name, default = parameter
        value = node.attributes.get_float(name, default)
        return default if value is None else value

    operator = FUNCTIONS[node.op_type]
    alpha, beta = number(operator.alpha), number(operator.beta)
    return parts.function(operator.function, parts.operand(0), alpha, beta, _dtype(node))


@_makes("Gelu")
def _gelu(parts: Parts, node: ir.Node) -> Value:
    tangent = node.attributes.get_string("approximate", "none") == "tanh"
    return parts.function(Special.GELU_TANH if tangent else Special.GELU, parts.operand(0))


@_makes("IsInf")
def _is_inf(parts: Parts, node: ir.Node) -> Value:
    above, below = (node.attributes.get_int(f"detect_{side}", 1) or 0 for side in ("positive", "negative"))
    return parts.function(Special.IS_INF, parts.operand(0), float(above), float(below), "bool")


@_makes("Relu")
def _relu(parts: Parts, node: ir.Node) -> Value:
    """Parameters of a function are float32: whole numbers are held against a constant of their own type."""
    x = parts.operand(0)
    if _is_float(x):
        return parts.function(Special.RAMP, x, 0.0, math.inf)
    return parts.binary(Binary.MAX, x, np.zeros((), x.dtype))


@_makes("Cast", "CastLike")
def _cast(parts: Parts, node: ir.Node) -> Value:
    return parts.converted(parts.operand(0), _dtype(node))


# ----------------------------------------------------------------------------------------------------- more operands


@_makes(*ARITHMETIC)
def _chain(parts: Parts, node: ir.Node) -> Value:
    operands = _operands(parts, node)
    total = reduce(lambda a, b: parts.binary(ARITHMETIC[node.op_type], a, b), operands)
    if node.op_type == "Mean" and len(operands) > 1:
        return parts.binary(Binary.DIV, total, np.array(len(operands), np.float32))
    return total


@_makes(*COMPARISONS, *LOGIC, *BITS)
def _pair(parts: Parts, node: ir.Node) -> Value:
    function = {**COMPARISONS, **LOGIC, **BITS}[node.op_type]
    return parts.binary(function, parts.operand(0), parts.operand(1), _dtype(node))


@_makes("BitShift")
def _shift(parts: Parts, node: ir.Node) -> Value:
    left = node.attributes["direction"].as_string() == "LEFT"
    return parts.binary(Binary.SHIFT_LEFT if left else Binary.SHIFT_RIGHT, parts.operand(0), parts.operand(1))


@_makes("Mod")
def _mod(parts: Parts, node: ir.Node) -> Value:
    like_c = node.attributes.get_int("fmod", 0)
    return parts.binary(Binary.FMOD if like_c else Binary.MOD, parts.operand(0), parts.operand(1))


@_makes("PRelu")
def _prelu(parts: Parts, node: ir.Node) -> Value:
    return parts.binary(Binary.PRELU, parts.operand(0), parts.operand(1))


@_makes("Pow")
def _pow(parts: Parts, node: ir.Node) -> Value:
    x = parts.operand(0)
    return parts.binary(Binary.POW, x, parts.converted(parts.operand(1), np.dtype(x.dtype).name))


@_makes("Where")
def _where(parts: Parts, node: ir.Node) -> Value:
    return parts.select(parts.operand(0), parts.operand(1), parts.operand(2))


@_makes("Clip")
def _clip(parts: Parts, node: ir.Node) -> Value:
    """One instruction where float32 is clipped to constants; else one for each bound."""
    x = parts.operand(0)
    low, high = (
        parts.operand(position) if len(node.inputs) > position and node.inputs[position] is not None else None
        for position in (1, 2)
    )
    if _is_float(x) and not isinstance(low, Tensor) and not isinstance(high, Tensor):
        bottom = -_LARGEST if low is None else float(low.reshape(-1)[0])
        top = _LARGEST if high is None else float(high.reshape(-1)[0])
        if bottom == 0:
            return parts.function(Special.RAMP, x, 0.0, math.inf if high is None else top)
        return parts.function(Special.CLIP, x, bottom, top)
    for function, bound in ((Binary.MAX, low), (Binary.MIN, high)):
        x = x if bound is None else parts.binary(function, x, bound)
    return x


# ------------------------------------------------------------------------------------------------------ linear scales


def _along_axis(node: ir.Node, value: Value) -> Array:
    """A scale or a zero point: float32, along the node's axis."""
    assert not isinstance(value, Tensor)
    factors = np.asarray(value, np.float32)
    if factors.size == 1:
        return factors.reshape(())
    rank = len(shape_at(node))
    axis = (node.attributes.get_int("axis", 1) or 0) % rank
    return factors.reshape(*[1] * axis, -1, *[1] * (rank - 1 - axis))


@_makes("DequantizeLinear")
def _dequantize(parts: Parts, node: ir.Node) -> Value:
    """(x - zero point) * scale, in float32."""
    scale, *zero = (_along_axis(node, value) for value in _operands(parts, node)[1:])
    x = parts.converted(parts.operand(0), "float32")
    if zero and zero[0].any():
        x = parts.binary(Binary.SUB, x, zero[0])
    return parts.binary(Binary.MUL, x, scale)


@_makes("QuantizeLinear")
def _quantize(parts: Parts, node: ir.Node) -> Value:
    """round(x / scale) + zero point, clipped to what the type holds."""
    scale, *zero = (_along_axis(node, value) for value in _operands(parts, node)[1:])
    x = parts.function(Special.ROUND, parts.binary(Binary.DIV, parts.operand(0), scale))
    if zero and zero[0].any():
        x = parts.binary(Binary.ADD, x, zero[0])
    held = np.iinfo(_dtype(node))
    return parts.function(Special.CLIP, x, float(held.min), float(held.max), held.dtype.name)


READERS: dict[str, Reader] = dict.fromkeys(_MAKERS, _read)
