"""Fold the values of one tensor, frame by frame, into its profile. The memory does not grow with the stream.

One pass over the elements, in blocks that fit the cache, gives everything. Each element gets the number of its cell on
the finest grid of :mod:`reuse_compiler.tensor_profile`, an integer below 2**24. The grids are nested, so a shift to the
right gives the cell on any coarser grid; the highest bit in which the cells of two frames differ (the exponent of their
exclusive or as a float32) is the coarsest grid on which the element changed; a shift gives the bin of the histogram.

Counting into bins is what takes time. So of a tensor of THIN_FROM elements or more the histogram takes every fifth of a
frame, beginning with the first to fifth in turn; range, zeros and changes take every element always.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.tensor_profile import (
    BINS,
    CODES,
    FINEST_LEVEL,
    HISTOGRAM_LEVEL,
    LEVELS,
    SMALLEST_EXPONENT,
    Counts,
    Histogram,
    TensorProfile,
    drop_levels,
    exponent_of,
)

__all__ = ["THIN", "THIN_FROM", "Scratch", "TensorFold"]

BLOCK = 1 << 16
THIN_FROM = 1 << 14
THIN = 5
CODE_SPAN = 32
"""Codes are counted in one table with a row of this many for each class of fan-out."""
_SMALLEST_NORMAL = np.float32(2.0**-126)
"""Times this, the exponent field of a float32 is 0 for 0.0 and 1 + k for 2**k."""
_MANTISSA_BITS = 23

Values = NDArray[np.float32]


class Scratch:
    """Arrays of one block; tensors folded in turn share them."""

    def __init__(self) -> None:
        self.double = np.empty(BLOCK, np.float64)
        self.cell = np.empty(BLOCK, np.int32)
        self.other = np.empty(BLOCK, np.int32)
        self.work = np.empty(BLOCK, np.int32)
        self.single = np.empty(BLOCK, np.float32)
        self.code = np.empty(BLOCK, np.uint8)
        self.flag = np.empty(BLOCK, np.bool_)


def offset_of(exponent: int) -> float:
    """What makes the cells of the finest grid positive and puts 0.0 where ``origin`` says.

    A third of a power of two: ..0101.0101 in binary, so that every grid of the ladder has 0.0 at one or two thirds of
    its cell.
    """
    return math.ldexp(1.0, LEVELS + exponent % 2) / 3


class TensorFold:
    """The running profile of one tensor.

    Parameters
    ----------
    shape : tuple of int
        Of a frame.
    classes : uint array or None
        The class of fan-out of each element, flattened; None where there is one class.
    """

    def __init__(self, shape: tuple[int, ...], classes: NDArray[np.unsignedinteger] | None, scratch: Scratch) -> None:
        self._shape = shape
        self._size = math.prod(shape)
        self._class_sizes = np.array([self._size]) if classes is None else np.bincount(classes)
        codes = self._class_sizes.size * CODE_SPAN
        self._rows = None if classes is None else classes.astype(np.min_scalar_type(codes - 1)) * CODE_SPAN
        self._scratch = scratch
        self._zeros = np.zeros(self._size, np.float32)
        self._previous: Values = self._zeros
        self._codes = np.zeros(codes, np.int64)
        self._bins = np.zeros(BINS, np.int64)
        self._frames = 0
        self._position = 0
        self._exact_zeros = 0
        self._minimum, self._maximum = math.inf, -math.inf
        self._set_exponent(SMALLEST_EXPONENT)

    def _set_exponent(self, exponent: int) -> None:
        self._exponent = exponent
        self._scale = math.ldexp(1.0, FINEST_LEVEL - exponent)
        self._offset = offset_of(exponent)
        self._first_bin = np.int32((int(self._offset) >> HISTOGRAM_LEVEL) - BINS // 2)

    def add(self, frame: NDArray[np.float32], *, start: bool) -> None:
        """Fold in one frame: float32 of the tensor's shape, which must not be changed afterwards.

        `start`: it begins a sequence, so it is compared with 0.0. Raises ValueError where a value is not finite.
        """
        self._add(np.ascontiguousarray(frame, np.float32).reshape(-1), 1, start)

    def add_steps(self, steps: NDArray[np.float32], *, start: bool) -> None:
        """Fold in many frames that follow each other: float32 [frames, ...], of a tensor with one class of fan-out."""
        assert self._rows is None
        self._add(np.ascontiguousarray(steps, np.float32).reshape(-1), len(steps), start)

    def _add(self, values: Values, frames: int, start: bool) -> None:
        if start:
            self._previous, self._position = self._zeros, 0
        rest = values.size - self._size
        previous = self._previous if rest == 0 else np.concatenate([self._previous, values[:rest]])
        for begin in range(0, values.size, BLOCK):
            block = slice(begin, min(begin + BLOCK, values.size))
            self._reach(values[block])
            self._fold(values, previous, block)
        self._previous = values[rest:]
        self._position += frames
        self._frames += frames

    def _reach(self, values: Values) -> None:
        """Extend the range to `values`."""
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"values from {low:g} to {high:g}")
        self._minimum, self._maximum = min(self._minimum, low), max(self._maximum, high)
        exponent = exponent_of(max(-low, high))
        if exponent > self._exponent:
            self._grow(exponent)

    def _sample(self, block: slice) -> slice:
        """The elements of `block` that count in the histogram."""
        return slice((self._position - block.start) % THIN, None, THIN) if self._size >= THIN_FROM else slice(None)

    def _fold(self, values: Values, previous: Values, block: slice) -> None:
        scratch, size = self._scratch, block.stop - block.start
        now, before = values[block], previous[block]
        cell, other = scratch.cell[:size], scratch.other[:size]
        self._locate(now, cell)
        self._locate(before, other)
        work, single = scratch.work[:size], scratch.single[:size]
        code, flag = scratch.code[:size], scratch.flag[:size]
        np.equal(now, np.float32(0), out=flag)
        self._exact_zeros += int(np.count_nonzero(flag))
        thin = cell[self._sample(block)]
        bins = np.right_shift(thin, HISTOGRAM_LEVEL, out=work[: thin.size])
        np.subtract(bins, self._first_bin, out=bins)
        self._bins += np.bincount(bins, minlength=BINS)

        np.bitwise_xor(cell, other, out=work)
        np.copyto(single, work, casting="unsafe")
        np.multiply(single, _SMALLEST_NORMAL, out=single)
        np.right_shift(single.view(np.int32), _MANTISSA_BITS, out=work)
        np.copyto(code, work, casting="unsafe")
        np.not_equal(now, before, out=flag)
        np.add(code, flag.view(np.uint8), out=code)
        self._count(code, block)

    def _locate(self, values: Values, cell: NDArray[np.int32]) -> None:
        """The cells of `values` on the finest grid; in float64, so that no value crosses an edge by rounding."""
        double = self._scratch.double[: values.size]
        np.copyto(double, values)
        np.multiply(double, self._scale, out=double)
        np.add(double, self._offset, out=double)
        np.copyto(cell, double, casting="unsafe")

    def _count(self, code: NDArray[np.uint8], block: slice) -> None:
        rows = code if self._rows is None else self._rows[block] + code
        self._codes += np.bincount(rows, minlength=self._codes.size)

    def _grow(self, exponent: int) -> None:
        """Go over to the range of a larger `exponent`, which drops the finest grids."""
        histogram, changes = self._histogram(), self._changes()
        levels = exponent - self._exponent
        self._set_exponent(exponent)
        self._bins = histogram.widened(exponent).bins()
        self._codes.reshape(-1, CODE_SPAN)[:, :CODES] = drop_levels(changes, levels)

    def _histogram(self) -> Histogram:
        return Histogram.of(self._exponent, self._bins)

    def _changes(self) -> Counts:
        return self._codes.reshape(-1, CODE_SPAN)[:, :CODES].copy()

    def profile(self) -> TensorProfile:
        """What was folded so far; at least one frame."""
        return TensorProfile(
            shape=self._shape,
            frames=self._frames,
            minimum=self._minimum + 0.0,  # no -0.0, which the order of frames would decide
            maximum=self._maximum + 0.0,
            zeros=self._exact_zeros,
            histogram=self._histogram(),
            classes=self._class_sizes,
            changes=self._changes(),
        )
