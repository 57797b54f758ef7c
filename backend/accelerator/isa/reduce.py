"""Reductions: the special function unit's folds along axes."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.elements import Element
from reuse_compiler.backend.accelerator.isa.word import (
    Choice,
    Event,
    Instruction,
    Unit,
    byte_address,
    choice,
    instruction,
    real,
    uint,
)

__all__ = ["Reduce", "Reduction", "Scan"]


class Reduction(Choice):
    """What elements are folded into."""

    SUM = 0, "the sum of the elements"
    SUM_ABS = 1, "the sum of their absolute values"
    SUM_SQUARES = 2, "the sum of their squares"
    MAX = 3, "the largest element"
    MIN = 4, "the smallest element"
    PRODUCT = 5, "the product of the elements"
    ARG_MAX = 6, "the number of the largest element, of several the first"
    ARG_MIN = 7, "the number of the smallest element, of several the first"
    ARG_MAX_LAST = 8, "the number of the largest element, of several the last"
    ARG_MIN_LAST = 9, "the number of the smallest element, of several the last"


@instruction(0x38, "reduce", Unit.SPECIAL, Event.SPECIAL_OPERATIONS, Event.BUFFER_READ, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Reduce(Instruction):
    """y[i, j] = the reduction of x[i, j, k, l] over all k and l, times scale where both are FLOAT32. With `accumulate` that is
    folded into the y that is there: added to it, multiplied with it, or the larger or smaller of both. Elements are
    numbered along k, then l."""

    reduction: Reduction = choice(Reduction, 8, "how elements are folded")
    element: Element = choice(Element, 4, "type of the elements of x")
    result: Element = choice(
        Element, 4, "type of the elements of y: that of x, or a whole number for numbers of elements"
    )
    scale: float = real("factor of the result")
    accumulate: int = uint(1, "1: fold into y instead of replacing it; not for numbers of elements")
    x: int = byte_address(32, "I/O buffer byte address of x")
    x_stride0: int = uint(32, "elements along axis 0 of x, which stays")
    x_stride1: int = uint(32, "elements along axis 1 of x, which stays")
    x_stride2: int = uint(32, "elements along axis 2 of x, which is folded")
    x_stride3: int = uint(32, "elements along axis 3 of x, which is folded")
    y: int = byte_address(32, "I/O buffer byte address of y")
    y_stride0: int = uint(32, "elements along axis 0 of y")
    y_stride1: int = uint(32, "elements along axis 1 of y")
    size0: int = uint(32, "extent of axis 0")
    size1: int = uint(32, "extent of axis 1")
    size2: int = uint(32, "extent of axis 2")
    size3: int = uint(32, "extent of axis 3")


@instruction(0x39, "scan", Unit.SPECIAL, Event.SPECIAL_OPERATIONS, Event.BUFFER_READ, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Scan(Instruction):
    """y[i, k, j] = the reduction of x[i, l, j] over all l up to k; with `exclusive` over those before k alone, where none is
    0 for a sum and 1 for a product; with `reverse` over those from k, or behind k, to the end."""

    reduction: Reduction = choice(Reduction, 8, "how elements are folded: SUM or PRODUCT")
    element: Element = choice(Element, 4, "type of the elements of x and y")
    exclusive: int = uint(1, "1: without the element itself")
    reverse: int = uint(1, "1: from the end")
    x: int = byte_address(32, "I/O buffer byte address of x")
    x_stride0: int = uint(32, "elements along axis 0 of x")
    x_stride1: int = uint(32, "elements along axis 1 of x, which is scanned")
    x_stride2: int = uint(32, "elements along axis 2 of x")
    y: int = byte_address(32, "I/O buffer byte address of y")
    y_stride0: int = uint(32, "elements along axis 0 of y")
    y_stride1: int = uint(32, "elements along axis 1 of y, which is scanned")
    y_stride2: int = uint(32, "elements along axis 2 of y")
    size0: int = uint(32, "extent of axis 0")
    size1: int = uint(32, "extent of axis 1")
    size2: int = uint(32, "extent of axis 2")
