"""Quantizers: from an input element to the number of a centroid, and back.

Every executor (the ONNX function bodies, the accelerator interpreter, native kernels) computes the same index bit for
bit. That rests on one sequence of float32 operations, written here once for numpy and once, in the same order, in
:mod:`reuse_compiler.operators` for ONNX::

    inv_step = 1f / step
    k        = clip(rint_half_even(x * inv_step) + zero, 0, clusters - 1)        NaN counts as 0.0
    keep     = deadband > 0 and abs(x - c(past)) <= deadband
    index    = past where keep, else k

with the centroids ``c(k) = (k - zero) * step``.

A table lists its centroids instead, in ascending order. The nearest wins and of two that are equally near the lower, for
real numbers, without any rounding: the boundary between two neighbours is the largest float32 that is not above the
middle of them, and ::

    k = how many boundaries lie below x                                          NaN counts as 0.0

No arithmetic is done on x, only comparisons, so every way to count gives the same index.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import PlanError

__all__ = ["MAX_CLUSTERS", "MAX_TABLE", "Index", "LinearQuantizer", "Quantizer", "TableQuantizer", "of_channels"]

MAX_CLUSTERS = 65_535
"""Centroids of a linear quantizer."""
MAX_TABLE = 256
"""Centroids of a table."""
_ZERO = np.float32(0)

Index = NDArray[np.uint8] | NDArray[np.uint16]
Float = NDArray[np.float32]


class _Memory:
    """What quantizers of every kind have in common: whether the past index stays."""

    deadband: float | tuple[float, ...]

    @property
    def has_memory(self) -> bool:
        """Whether any deadband is above zero, so that the past index is consulted."""
        return bool(np.any(np.asarray(self.deadband) > 0))

    def dequantize(self, index: NDArray[Any]) -> Float:
        """The centroids of an array of indices: float32, the shape of `index`."""
        raise NotImplementedError

    def quantize(self, x: Float, past: Index, channel_axis: int = 1) -> Index:
        """The indices of float32 `x`, given the `past` indices of the same shape.

        `channel_axis` is the axis along which per-channel deadbands lie: 1 for CONV, -1 for FC.
        """
        index = self._memoryless(x)
        if not self.has_memory:
            return index
        distance = self.dequantize(past)
        np.subtract(x, distance, out=distance)
        np.abs(distance, out=distance)
        deadband = self._broadcast_deadband(x.ndim, channel_axis)
        keep = (distance <= deadband) & (deadband > 0)
        np.copyto(index, past, where=keep)
        return index

    def _memoryless(self, x: Float) -> Index:
        raise NotImplementedError

    def _broadcast_deadband(self, rank: int, channel_axis: int) -> Float:
        deadband = np.asarray(self.deadband, np.float32)
        if deadband.ndim == 0:
            return deadband
        shape = [1] * rank
        shape[channel_axis] = deadband.size
        return deadband.reshape(shape)

    def _check_deadband(self) -> None:
        """Make the deadband exactly float32. Raises PlanError where it cannot be one."""
        deadbands = np.asarray(self.deadband, np.float32)
        if deadbands.size == 0 or not np.isfinite(deadbands).all() or (deadbands < 0).any():
            raise PlanError(f"deadband is {self.deadband}: give finite values of 0 or more")
        exact = tuple(float(d) for d in deadbands) if deadbands.ndim else float(deadbands)
        object.__setattr__(self, "deadband", exact)


@dataclass(frozen=True)
class LinearQuantizer(_Memory):
    """Equidistant centroids, 0.0 always among them.

    Parameters
    ----------
    step : float
        Distance of two centroids; exactly a float32.
    zero : int
        The index whose centroid is 0.0, in ``0..clusters-1``.
    clusters : int
        Number of centroids, 2 to 65,535; indices are uint8 up to 256 and uint16 above.
    deadband : float or tuple of float
        The past index stays while ``abs(x - c(past)) <= deadband``; one value, or one per channel. With 0 the past is
        not consulted, which is the memoryless scheme of the paper. Exactly float32.

    Raises
    ------
    PlanError
        If a value is out of range.
    """

    step: float
    zero: int
    clusters: int
    deadband: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.clusters <= MAX_CLUSTERS:
            raise PlanError(f"clusters is {self.clusters}: give 2 to {MAX_CLUSTERS:,}")
        if not 0 <= self.zero < self.clusters:
            raise PlanError(f"zero is {self.zero}: it must be an index, 0 to {self.clusters - 1}")
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            step = np.float32(self.step)
            usable = bool(step > 0 and np.isfinite(step) and np.isfinite(np.float32(1) / step))
        if not usable:
            raise PlanError(f"step is {self.step:g}: give a positive, finite float32")
        object.__setattr__(self, "step", float(step))
        self._check_deadband()

    @property
    def index_dtype(self) -> np.dtype[Any]:
        """uint8 up to 256 clusters, uint16 above."""
        return np.dtype(np.uint8 if self.clusters <= 256 else np.uint16)

    def dequantize(self, index: NDArray[Any]) -> Float:
        """The centroids of an array of indices: float32, the shape of `index`."""
        value = index.astype(np.float32)
        value -= np.float32(self.zero)
        value *= np.float32(self.step)
        return value

    def _memoryless(self, x: Float) -> Index:
        inv_step, zero, top = self._scalars
        with np.errstate(over="ignore", invalid="ignore"):
            k = np.multiply(x, inv_step, dtype=np.float32)
        np.rint(k, out=k)
        k += zero
        k.clip(_ZERO, top, out=k)
        flat = k.reshape(-1)
        if np.isnan(np.dot(flat, flat)):  # k is finite, so only a NaN makes one
            np.nan_to_num(k, copy=False, nan=float(self.zero))
        return k.astype(self.index_dtype)

    @cached_property
    def _scalars(self) -> tuple[np.float32, np.float32, np.float32]:
        """1 / step, the zero index, and the last index."""
        return np.float32(1) / np.float32(self.step), np.float32(self.zero), np.float32(self.clusters - 1)


@dataclass(frozen=True)
class TableQuantizer(_Memory):
    """Centroids from a list, as k-means finds them.

    Parameters
    ----------
    centroids : tuple of float
        2 to 256 values in ascending order, exactly float32, 0.0 among them.
    deadband : float or tuple of float
        As that of :class:`LinearQuantizer`.

    Raises
    ------
    PlanError
        If the centroids are too few, too many, not in order, not finite or lack 0.0, or a deadband is out of range.
    """

    centroids: tuple[float, ...]
    deadband: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        count = len(self.centroids)
        if not 2 <= count <= MAX_TABLE:
            raise PlanError(f"centroids are {count}: give 2 to {MAX_TABLE} of them")
        with np.errstate(over="ignore", under="ignore"):
            table = np.asarray(self.centroids, np.float32) + np.float32(0)  # no negative zero
        for centroid, given in zip(table, self.centroids, strict=True):
            if not np.isfinite(centroid):
                raise PlanError(f"centroid {given:g} is no finite float32: leave it out")
        for number in np.flatnonzero(np.diff(table) <= 0):
            low, high = self.centroids[number : number + 2]
            raise PlanError(f"centroids {low:g} and {high:g} are not in ascending order as float32: sort them")
        if not (table == 0).any():
            raise PlanError(f"centroids {table[0]:g} to {table[-1]:g} lack 0.0: add it, a sequence begins there")
        object.__setattr__(self, "centroids", tuple(table.tolist()))
        self._check_deadband()

    @property
    def clusters(self) -> int:
        """Number of centroids."""
        return len(self.centroids)

    @property
    def zero(self) -> int:
        """The index whose centroid is 0.0."""
        return self.centroids.index(0.0)

    @property
    def index_dtype(self) -> np.dtype[Any]:
        """uint8: a table has no more than 256 centroids."""
        return np.dtype(np.uint8)

    @cached_property
    def boundaries(self) -> tuple[float, ...]:
        """One less than the centroids, ascending: the last float32 that belongs to each centroid but the highest."""
        return tuple(map(_last_of_lower, self.centroids[:-1], self.centroids[1:]))

    def dequantize(self, index: NDArray[Any]) -> Float:
        """The centroids of an array of indices: float32, the shape of `index`; the last one for indices beyond."""
        return np.take(self._table, index, mode="clip")

    def _memoryless(self, x: Float) -> Index:
        index = np.searchsorted(self._edges, x, side="left").astype(np.uint8)
        missing = np.isnan(x)
        if missing.any():
            index[missing] = self.zero
        return index

    @cached_property
    def _table(self) -> Float:
        return np.asarray(self.centroids, np.float32)

    @cached_property
    def _edges(self) -> Float:
        return np.asarray(self.boundaries, np.float32)


Quantizer = LinearQuantizer | TableQuantizer
"""A quantizer of any kind."""


def of_channels(quantizer: Quantizer, first: int, count: int) -> Quantizer:
    """The `quantizer` of `count` channels from the channel `first` on."""
    if not isinstance(quantizer.deadband, tuple):
        return quantizer
    return replace(quantizer, deadband=quantizer.deadband[first : first + count])


def _last_of_lower(low: float, high: float) -> float:
    """The largest float32 that is as near to `low` as to `high`, or nearer."""
    middle = (Fraction(low) + Fraction(high)) / 2
    nearest = np.float32(float(middle))
    if Fraction(float(nearest)) > middle:
        nearest = np.nextafter(nearest, np.float32(-math.inf))
    return float(nearest)
