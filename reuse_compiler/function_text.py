"""The lines of ONNX text that quantize, which the bodies of all reuse operators share.

The order of the float32 operations is that of :mod:`reuse_compiler.quantizers`, so that indices agree bit for bit. The
one of 1 / step is cast from an integer because onnxruntime rewrites a literal 1 / step * x into x / step, which rounds
otherwise.
"""

from __future__ import annotations

__all__ = ["COMMON", "change", "constants", "keep", "present"]

COMMON = """
    one_int = Constant <value_int: int = 1> ()
    one = Cast <to: int = 1> (one_int)
    nothing = Constant <value_float: float = 0.0> ()
"""
"""Constants that a body needs once."""

_CONSTANTS = """
    {p}step = Constant <value_float: float = @{p}step> ()
    {p}zero_int = Constant <value_int: int = @{p}zero> ()
    {p}zero = Cast <to: int = 1> ({p}zero_int)
    {p}clusters_int = Constant <value_int: int = @{p}clusters> ()
    {p}clusters = Cast <to: int = 1> ({p}clusters_int)
    {p}top = Sub ({p}clusters, one)
    {p}inv_step = Div (one, {p}step)
"""

_KEEP = """
    {p}scaled = Mul ({x}, {p}inv_step)
    {p}rounded = Round ({p}scaled)
    {p}shifted = Add ({p}rounded, {p}zero)
    {p}clipped = Clip ({p}shifted, nothing, {p}top)
    {p}is_nan = IsNaN ({x})
    {p}nearest = Where ({p}is_nan, {p}zero, {p}clipped)

    {p}past_number = Cast <to: int = 1> ({past})
    {p}past_steps = Sub ({p}past_number, {p}zero)
    {p}past_value = Mul ({p}past_steps, {p}step)
    {p}difference = Sub ({x}, {p}past_value)
    {p}distance = Abs ({p}difference)
    {p}near = LessOrEqual ({p}distance, {p}deadband)
    {p}has_memory = Greater ({p}deadband, nothing)
    {p}keep = And ({p}near, {p}has_memory)
"""

_PRESENT = """
    {p}present_number = Where ({keep}, {p}past_number, {p}nearest)
    {present} = CastLike ({p}present_number, {past})
"""

_CHANGE = """
    {p}present_steps = Sub ({p}present_number, {p}zero)
    {p}present_value = Mul ({p}present_steps, {p}step)
    {p}change = Sub ({p}present_value, {p}past_value)
"""


def constants(prefix: str) -> str:
    """The quantizer's constants, from attributes ``<prefix>step`` and so on; ``<prefix>deadband`` is not among them."""
    return _CONSTANTS.format(p=prefix)


def keep(prefix: str, x: str, past: str) -> str:
    """``<prefix>nearest``, ``<prefix>past_number`` and ``<prefix>keep``: whether the past index stays, of the values `x`
    and the indices `past`."""
    return _KEEP.format(p=prefix, x=x, past=past)


def present(prefix: str, kept: str, past: str, index: str) -> str:
    """The present indices, named `index`: the `past` ones where `kept`, else the nearest."""
    return _PRESENT.format(p=prefix, keep=kept, past=past, present=index)


def change(prefix: str) -> str:
    """``<prefix>change``: c(present) - c(past)."""
    return _CHANGE.format(p=prefix)
