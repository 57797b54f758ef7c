"""The lines of ONNX text that quantize, which the bodies of all reuse operators share.

The order of the float32 operations is that of :mod:`reuse_compiler.quantizers`, so that indices agree bit for bit. The
one of 1 / step is cast from an integer because onnxruntime rewrites a literal 1 / step * x into x / step, which rounds
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["COMMON", "TRIAL_INPUTS", "change", "constants", "keep", "present", "trial"]

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


TRIAL_INPUTS = ("step", "inv_step", "deadband", "low", "high")
"""A quantizer as inputs of a trial: float32, the deadband broadcastable to x; low and high are the first and the last
centroid in steps from zero."""

# Where would do for the last lines, but takes 20 times as long in onnxruntime; whole numbers below 2**24 are exact.
_TRIAL = """
    {p}scaled = Mul ({x}, {inv_step})
    {p}rounded = Round ({p}scaled)
    {p}nearest = Clip ({p}rounded, {low}, {high})
    {p}past_value = Mul ({past}, {step})
    {p}difference = Sub ({x}, {p}past_value)
    {p}distance = Abs ({p}difference)
    {p}far = Greater ({p}distance, {deadband})
    {p}moves = {moves}
    {p}weight = Cast <to: int = 1> ({p}moves)
    {p}jump = Sub ({p}nearest, {past})
    {p}taken = Mul ({p}jump, {p}weight)
    {p}held = Add ({past}, {p}taken)
    {p}value = Mul ({p}held, {step})
"""


def trial(prefix: str, x: str, past: str, quantizer: Sequence[str], active: str = "") -> str:
    """``<prefix>held`` and ``<prefix>value``: the centroid of finite `x` in steps from zero, and itself.

    `past` is what was held before; `quantizer` names the five TRIAL_INPUTS. Bits are those of :func:`keep`, since a
    number of steps and an index differ by the zero index, whole numbers both. Nothing moves where `active` is false.
    """
    step, inv_step, deadband, low, high = quantizer
    moves = f"And ({prefix}far, {active})" if active else f"Identity ({prefix}far)"
    return _TRIAL.format(
        p=prefix, x=x, past=past, step=step, inv_step=inv_step, deadband=deadband, low=low, high=high, moves=moves
    )
