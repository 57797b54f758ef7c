"""What a movement of elements consists of, in the terms that the instruction set has for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONSTANTS", "Axis", "BoxMove", "Move", "TableMove"]

CONSTANTS = -1
"""The source of a move that reads the movement's constants and no operand."""


@dataclass(frozen=True)
class Axis:
    """`size` elements, `source` apart where they come from (below zero: backwards) and `target` apart where they go."""

    size: int
    source: int
    target: int


@dataclass(frozen=True)
class BoxMove:
    """A strided box of one source to a strided box of the output.

    Numbers and strides count elements of the flattened tensors; `first` and `target` are those of the box's first
    element. Axes are in the order of the output, outermost first, none has size 1.
    """

    source: int
    first: int
    target: int
    axes: tuple[Axis, ...]

    @property
    def elements(self) -> int:
        """Elements of the box."""
        return math.prod(axis.size for axis in self.axes)


@dataclass(frozen=True, eq=False)
class TableMove:
    """y[o, i, n] = x[o, table[i], n], where the entry is not below zero; y is all of the output.

    `table` int32 [entries] holds numbers from 0 to `rows` - 1. x[0, 0, 0] is element `first` of the source. The strides
    of x along o, rows and n count elements; y is contiguous [outer, entries, inner].
    """

    source: int
    first: int
    table: NDArray[np.int32]
    rows: int
    outer: int
    inner: int
    strides: tuple[int, int, int]

    @property
    def elements(self) -> int:
        """Elements of the output that it looks at, those that it leaves as they are included."""
        return self.outer * len(self.table) * self.inner

    @property
    def is_partial(self) -> bool:
        """Whether it leaves some elements of the output as they are."""
        return bool((self.table < 0).any())

    @property
    def row_span(self) -> int:
        """Elements of the source from the first to the last that one row of the output can need."""
        return (self.rows - 1) * self.strides[1] + 1


Move = BoxMove | TableMove
