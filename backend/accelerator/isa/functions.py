"""What the special function unit computes, element by element: the table of its functions.

A member says what it computes, in words and in numpy, and what it passes through. Interpreter, cost model and the
reference page read it here.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from reuse_compiler.backend.accelerator.isa.word import Choice

__all__ = ["Binary", "Computed", "Pass", "Special"]

Array = NDArray[Any]
Float = NDArray[Any] | np.float32


class Pass(enum.StrEnum):
    """What an element can pass through; the hardware gives the number of passes of each."""

    SIMPLE = "simple"
    DIVIDE = "divide"
    TRANSCENDENTAL = "transcendental"


_S, _D, _T = (Pass.SIMPLE,), (Pass.DIVIDE,), (Pass.TRANSCENDENTAL,)


class Computed(Choice):
    """A choice of something to compute: `passes` are what each element passes through, `compute` is its meaning."""

    passes: tuple[Pass, ...]
    compute: Callable[..., Array]

    def __new__(cls, value: int, doc: str, passes: tuple[Pass, ...], compute: Callable[..., Array]) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        member.passes = passes
        member.compute = compute
        return member


def _sigmoid(x: Array) -> Array:
    y: Array = 1 / (1 + np.exp(-x))
    return y


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, np.float32(0))


def _ramp(x: Array, a: Float, b: Float) -> Array:
    return np.minimum(np.where(x > 0, x, a * x if a else np.zeros_like(x)), b)


def _gelu_tanh(x: Array) -> Array:
    y: Array = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return y


def _shrink(x: Array, a: Float, b: Float) -> Array:
    y: Array = np.where(x < -a, x + b, np.where(x > a, x - b, np.zeros_like(x)))
    return y


def _is_infinite(x: Array, a: Float, b: Float) -> Array:
    y: Array = np.isinf(x) & np.where(x > 0, a != 0, b != 0)
    return y


class Special(Computed):
    """Element-wise functions of one operand; `alpha` and `beta` are the instruction's parameters."""

    IDENTITY = 0, "x", _S, lambda x, a, b: x
    RAMP = 1, "min(x where x > 0, else alpha * x, beta): Relu, LeakyRelu, Relu6", _S, _ramp
    SIGMOID = 2, "1 / (1 + exp(-x))", _T, lambda x, a, b: _sigmoid(x)
    TANH = 3, "hyperbolic tangent of x", _T, lambda x, a, b: np.tanh(x)
    ATAN = 4, "arctangent of x", _T, lambda x, a, b: np.arctan(x)
    EXP = 5, "exp(x)", _T, lambda x, a, b: np.exp(x)
    LOG = 6, "natural logarithm of x", _T, lambda x, a, b: np.log(x)
    SQRT = 7, "square root of x", _T, lambda x, a, b: np.sqrt(x)
    ABS = 8, "absolute value of x", _S, lambda x, a, b: np.abs(x)
    NEG = 9, "-x", _S, lambda x, a, b: np.negative(x)
    CLIP = 10, "x clipped to alpha..beta", _S, lambda x, a, b: np.minimum(np.maximum(x, a), b)
    ELU = 11, "x where x > 0, else alpha * (exp(x) - 1)", _T, lambda x, a, b: np.where(x < 0, a * np.expm1(x), x)
    SOFTPLUS = 12, "log(1 + exp(x))", _T, lambda x, a, b: _softplus(x)
    HARD_SIGMOID = 13, "max(0, min(1, alpha * x + beta))", _S, lambda x, a, b: np.clip(a * x + b, 0, 1)
    RECIPROCAL = 14, "1 / x", _D, lambda x, a, b: np.reciprocal(x)
    ERF = 15, "the error function of x", _T, lambda x, a, b: erf(x)
    FLOOR = 16, "the largest whole number not above x", _S, lambda x, a, b: np.floor(x)
    CEIL = 17, "the smallest whole number not below x", _S, lambda x, a, b: np.ceil(x)
    ROUND = 18, "the nearest whole number, of two the even one", _S, lambda x, a, b: np.rint(x)
    SIGN = 19, "1 where x > 0, -1 where x < 0, 0 where x = 0", _S, lambda x, a, b: np.sign(x)
    SIN = 20, "sine of x", _T, lambda x, a, b: np.sin(x)
    COS = 21, "cosine of x", _T, lambda x, a, b: np.cos(x)
    TAN = 22, "tangent of x", _T, lambda x, a, b: np.tan(x)
    ASIN = 23, "arcsine of x", _T, lambda x, a, b: np.arcsin(x)
    ACOS = 24, "arccosine of x", _T, lambda x, a, b: np.arccos(x)
    SINH = 25, "hyperbolic sine of x", _T, lambda x, a, b: np.sinh(x)
    COSH = 26, "hyperbolic cosine of x", _T, lambda x, a, b: np.cosh(x)
    ASINH = 27, "inverse hyperbolic sine of x", _T, lambda x, a, b: np.arcsinh(x)
    ACOSH = 28, "inverse hyperbolic cosine of x", _T, lambda x, a, b: np.arccosh(x)
    ATANH = 29, "inverse hyperbolic tangent of x", _T, lambda x, a, b: np.arctanh(x)
    CELU = (
        30, "x where x > 0, else alpha * (exp(x / alpha) - 1)", _D + _T,
        lambda x, a, b: np.where(x > 0, x, a * np.expm1(x / a)),
    )  # fmt: skip
    SELU = (
        31, "beta * x where x > 0, else beta * alpha * (exp(x) - 1)", _T + _S,
        lambda x, a, b: b * np.where(x > 0, x, a * np.expm1(x)),
    )  # fmt: skip
    GELU = (
        32, "x / 2 * (1 + erf(x / sqrt(2)))", _T + _S,
        lambda x, a, b: 0.5 * x * (1 + erf(x * math.sqrt(0.5))),
    )  # fmt: skip
    GELU_TANH = (
        33, "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))", _S * 3 + _T + _S,
        lambda x, a, b: _gelu_tanh(x),
    )  # fmt: skip
    SWISH = 34, "x / (1 + exp(-alpha * x))", _T + _S, lambda x, a, b: x * _sigmoid(a * x)
    HARD_SWISH = 35, "x * max(0, min(1, alpha * x + beta))", _S * 2, lambda x, a, b: x * np.clip(a * x + b, 0, 1)
    MISH = 36, "x * tanh(log(1 + exp(x)))", _T * 2 + _S, lambda x, a, b: x * np.tanh(_softplus(x))
    SOFTSIGN = 37, "x / (1 + abs(x))", _S + _D, lambda x, a, b: x / (1 + np.abs(x))
    SHRINK = 38, "x + beta where x < -alpha, x - beta where x > alpha, else 0", _S, _shrink
    THRESHOLDED = 39, "x where x > alpha, else 0", _S, lambda x, a, b: np.where(x > a, x, np.zeros_like(x))
    AFFINE = 40, "alpha * x + beta", _S, lambda x, a, b: a * x + b
    SCALED_TANH = 41, "alpha * tanh(beta * x)", _T + _S, lambda x, a, b: a * np.tanh(b * x)
    NOT = 42, "every bit of x inverted; for BOOL whether x is 0", _S, lambda x, a, b: np.invert(x)
    IS_NAN = 43, "whether x is not a number", _S, lambda x, a, b: np.isnan(x)
    IS_INF = 44, "whether x is infinite: above zero unless alpha is 0, below zero unless beta is 0", _S, _is_infinite


def _divide(x: Array, y: Array) -> Array:
    """Of whole numbers the quotient toward zero, 0 where `y` is 0."""
    if x.dtype.kind == "f":
        return np.divide(x, y)
    down = np.floor_divide(x, y)
    return np.where((y != 0) & (down * y != x) & ((x < 0) != (y < 0)), down + x.dtype.type(1), down)


def _power(x: Array, y: Array) -> Array:
    """Of whole numbers and a negative `y` the whole part of the power."""
    power: Array = np.power(x, np.maximum(y, 0) if x.dtype.kind == "i" else y)
    if x.dtype.kind != "i":
        return power
    below: Array = np.where(np.abs(x) == 1, x ** (y & 1), 0)
    return np.where(y < 0, below, power)


class Binary(Computed):
    """Element-wise functions of two operands of one type."""

    ADD = 0, "a + b", _S, np.add
    SUB = 1, "a - b", _S, np.subtract
    MUL = 2, "a * b", _S, np.multiply
    DIV = 3, "a / b; of whole numbers the quotient rounded toward zero", _D, _divide
    MAX = 4, "the larger of a and b", _S, np.maximum
    MIN = 5, "the smaller of a and b", _S, np.minimum
    POW = 6, "a to the power of b", _T + _S + _T, _power
    MOD = 7, "the remainder of a / b with the sign of b", _D + _S, np.mod
    FMOD = 8, "the remainder of a / b with the sign of a", _D + _S, np.fmod
    PRELU = 9, "a where a >= 0, else a * b", _S, lambda a, b: np.where(a < 0, a * b, a)
    EQUAL = 10, "whether a = b", _S, np.equal
    GREATER = 11, "whether a > b", _S, np.greater
    GREATER_OR_EQUAL = 12, "whether a >= b", _S, np.greater_equal
    LESS = 13, "whether a < b", _S, np.less
    LESS_OR_EQUAL = 14, "whether a <= b", _S, np.less_equal
    AND = 15, "the bits that are set in both", _S, np.bitwise_and
    OR = 16, "the bits that are set in either", _S, np.bitwise_or
    XOR = 17, "the bits that are set in one alone", _S, np.bitwise_xor
    SHIFT_LEFT = 18, "a shifted left by b bits", _S, np.left_shift
    SHIFT_RIGHT = 19, "a shifted right by b bits, its sign kept", _S, np.right_shift
