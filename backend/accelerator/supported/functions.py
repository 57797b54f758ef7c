"""The element-wise operators of ONNX by the functions that execute them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa import Binary, Special

__all__ = ["ARITHMETIC", "BITS", "COMPARISONS", "FUNCTIONS", "LOGIC", "Parameter", "UnaryOperator"]

Parameter = float | tuple[str, float]
"""A number, or the name of an attribute and its default."""


@dataclass(frozen=True)
class UnaryOperator:
    """The function that executes an operator of one operand, and its two parameters."""

    function: Special
    alpha: Parameter = 0.0
    beta: Parameter = 0.0


FUNCTIONS: dict[str, UnaryOperator] = {
    "Abs": UnaryOperator(Special.ABS),
    "Acos": UnaryOperator(Special.ACOS),
    "Acosh": UnaryOperator(Special.ACOSH),
    "Asin": UnaryOperator(Special.ASIN),
    "Asinh": UnaryOperator(Special.ASINH),
    "Atan": UnaryOperator(Special.ATAN),
    "Atanh": UnaryOperator(Special.ATANH),
    "BitwiseNot": UnaryOperator(Special.NOT),
    "Ceil": UnaryOperator(Special.CEIL),
    "Celu": UnaryOperator(Special.CELU, ("alpha", 1.0)),
    "Cos": UnaryOperator(Special.COS),
    "Cosh": UnaryOperator(Special.COSH),
    "Elu": UnaryOperator(Special.ELU, ("alpha", 1.0)),
    "Erf": UnaryOperator(Special.ERF),
    "Exp": UnaryOperator(Special.EXP),
    "Floor": UnaryOperator(Special.FLOOR),
    "HardSigmoid": UnaryOperator(Special.HARD_SIGMOID, ("alpha", 0.2), ("beta", 0.5)),
    "HardSwish": UnaryOperator(Special.HARD_SWISH, 1 / 6, 0.5),
    "IsNaN": UnaryOperator(Special.IS_NAN),
    "LeakyRelu": UnaryOperator(Special.RAMP, ("alpha", 0.01), math.inf),
    "Log": UnaryOperator(Special.LOG),
    "Mish": UnaryOperator(Special.MISH),
    "Neg": UnaryOperator(Special.NEG),
    "Not": UnaryOperator(Special.NOT),
    "Reciprocal": UnaryOperator(Special.RECIPROCAL),
    "Round": UnaryOperator(Special.ROUND),
    "Selu": UnaryOperator(Special.SELU, ("alpha", 1.6732632423543772), ("gamma", 1.0507009873554805)),
    "Shrink": UnaryOperator(Special.SHRINK, ("lambd", 0.5), ("bias", 0.0)),
    "Sigmoid": UnaryOperator(Special.SIGMOID),
    "Sign": UnaryOperator(Special.SIGN),
    "Sin": UnaryOperator(Special.SIN),
    "Sinh": UnaryOperator(Special.SINH),
    "Softplus": UnaryOperator(Special.SOFTPLUS),
    "Softsign": UnaryOperator(Special.SOFTSIGN),
    "Sqrt": UnaryOperator(Special.SQRT),
    "Swish": UnaryOperator(Special.SWISH, ("alpha", 1.0)),
    "Tan": UnaryOperator(Special.TAN),
    "Tanh": UnaryOperator(Special.TANH),
    "ThresholdedRelu": UnaryOperator(Special.THRESHOLDED, ("alpha", 1.0)),
}
"""One instruction, one operand. Which types they take is a matter of the rules."""

ARITHMETIC = {
    "Add": Binary.ADD,
    "Div": Binary.DIV,
    "Max": Binary.MAX,
    "Mean": Binary.ADD,
    "Min": Binary.MIN,
    "Mul": Binary.MUL,
    "Sub": Binary.SUB,
    "Sum": Binary.ADD,
}
"""A chain of one instruction for each operand behind the first; of a mean one more."""

COMPARISONS = {
    "Equal": Binary.EQUAL,
    "Greater": Binary.GREATER,
    "GreaterOrEqual": Binary.GREATER_OR_EQUAL,
    "Less": Binary.LESS,
    "LessOrEqual": Binary.LESS_OR_EQUAL,
}
"""Two operands of one type, and whether it is so."""

LOGIC = {"And": Binary.AND, "Or": Binary.OR, "Xor": Binary.XOR}
"""Two bools."""

BITS = {"BitwiseAnd": Binary.AND, "BitwiseOr": Binary.OR, "BitwiseXor": Binary.XOR}
"""Two whole numbers, bit by bit."""
