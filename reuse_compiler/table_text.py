"""The lines of ONNX text that quantize with a table, for the bodies of the operators whose name ends in Table.

They begin with :data:`reuse_compiler.function_text.COMMON`. Counting boundaries one after the other costs 0.4 ns an element
and boundary in onnxruntime; a binary search would gather eight times at 8 ns, and all boundaries at once would take the
memory of x as often as there are boundaries. Whole numbers below 2**24 are exact in float32.
"""

from __future__ import annotations

__all__ = ["CONSTANTS", "quantize"]

CONSTANTS = """
    centroids = Constant <value_floats: floats = @centroids> ()
    boundaries = Constant <value_floats: floats = @boundaries> ()
    zero_int = Constant <value_int: int = @zero> ()
    zero = Cast <to: int = 1> (zero_int)
"""
"""The quantizer's constants, from the attributes; ``deadband`` is not among them."""

_QUANTIZE = """
    past_number = Cast <to: int = 1> (past_index)
    none = Mul (past_number, nothing)
    below = Scan <num_scan_inputs: int = 1, body: graph = count (counted, boundary) => (counted_next) {{
        above = Greater ({x}, boundary)
        above_number = Cast <to: int = 1> (above)
        counted_next = Add (counted, above_number)
    }}> (none, boundaries)
    is_nan = IsNaN ({x})
    is_nan_number = Cast <to: int = 1> (is_nan)
    of_nan = Mul (is_nan_number, zero)
    nearest = Add (below, of_nan)

    past_place = Cast <to: int = 6> (past_index)
    past_value = Gather (centroids, past_place)
    difference = Sub ({x}, past_value)
    distance = Abs (difference)
    near = LessOrEqual (distance, deadband)
    has_memory = Greater (deadband, nothing)
    keep = And (near, has_memory)
    keep_number = Cast <to: int = 1> (keep)
    jump = Sub (past_number, nearest)
    back = Mul (jump, keep_number)
    present_number = Add (nearest, back)
    present_index = CastLike (present_number, past_index)

    present_place = Cast <to: int = 6> (present_number)
    present_value = Gather (centroids, present_place)
    change = Sub (present_value, past_value)
"""


def quantize(x: str) -> str:
    """``present_index`` and ``change``, c(present) - c(past), of the values `x`, ``past_index`` and ``deadband``.

    No boundary lies below a NaN, which takes the zero index instead.
    """
    return _QUANTIZE.format(x=x)
