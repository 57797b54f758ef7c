"""What is known of one tensor after a stream: its range, a histogram, and how often its elements change at any step.

How change is counted
---------------------
Whether an element changes depends on the step of the quantizer, which nobody knows yet. So every element is followed on
a ladder of grids whose steps are powers of two. The grid of step ``2**e`` has its cells at ``floor(x / 2**e + o)`` with
``o = 1/3`` for even and ``2/3`` for odd `e`. These grids are nested (each cell is a union of two cells of the next finer
grid), so one number per element, the coarsest grid on which it changed, says it for all of them; and 0.0 lies a third
of a cell away from the nearest edge on every grid, so values that dither around zero do not look as if they changed
always, as they would with an edge at zero. The grids do not depend on the data, so counts of different streams add up.

At a step between two of the ladder the counts are interpolated in the logarithm of the step, and the reading says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from reuse_compiler.errors import PlanError

__all__ = [
    "BINS",
    "CODES",
    "FINEST_LEVEL",
    "HISTOGRAM_LEVEL",
    "LARGEST_EXPONENT",
    "LEVELS",
    "SMALLEST_EXPONENT",
    "CountArray",
    "Counts",
    "Histogram",
    "Reading",
    "Strict",
    "TensorProfile",
    "drop_levels",
    "effective_step",
    "exponent_of",
    "origin",
]

BINS = 4096
"""Bins of a histogram."""
HISTOGRAM_LEVEL = 11
"""A bin of a tensor within [-2**r, 2**r] is a cell of the grid of step 2**(r - HISTOGRAM_LEVEL)."""
FINEST_LEVEL = 22
"""The finest step of its ladder is 2**(r - FINEST_LEVEL)."""
LEVELS = 24
"""Steps of a ladder: on a step of 2**(r + 2) or more nothing within [-2**r, 2**r] can change."""
CODES = LEVELS + 2
"""What an element does from frame to frame: 0 stay exactly as it was, 1 change but in no cell, 2 + j change its cell on
the j + 1 finest grids and on no coarser one."""
SMALLEST_EXPONENT = -100
"""The r of a tensor that is zero throughout."""
LARGEST_EXPONENT = 129
"""The r of a tensor that reaches the largest float32."""

Counts = NDArray[np.int64]


def exponent_of(peak: float) -> int:
    """The smallest r, at least SMALLEST_EXPONENT, such that ``abs(x) <= peak`` lies within the bins of [-2**r, 2**r]."""
    if not peak:
        return SMALLEST_EXPONENT
    return max(math.frexp(peak * (BINS // 2) / (BINS // 2 - 1))[1], SMALLEST_EXPONENT)


def origin(exponent: int) -> float:
    """Where 0.0 lies within its cell of the grid of step ``2**exponent``, as a share of the cell."""
    return 2 / 3 if exponent % 2 else 1 / 3


def _array(value: Any) -> Counts:
    return np.asarray(value, np.int64)


CountArray = Annotated[Counts, BeforeValidator(_array), PlainSerializer(lambda counts: counts.tolist())]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, frozen=True)


class Histogram(Strict):
    """Counts of values in 4096 cells of the grid of step ``2**(exponent - HISTOGRAM_LEVEL)``, that is over [-2**r, 2**r].

    Parameters
    ----------
    exponent : int
        The r.
    first : int
        The bin that `counts` begins with; all bins before it and after its end are empty.
    counts : int64 array [n]
        At most 4096; bin k covers ``(k - 2048 - o, k - 2047 - o) * width`` with o = ``origin(exponent - HISTOGRAM_LEVEL)``.
    """

    exponent: int = Field(ge=SMALLEST_EXPONENT, le=LARGEST_EXPONENT)
    first: int = Field(ge=0, le=BINS)
    counts: CountArray

    @model_validator(mode="after")
    def _inside(self) -> Histogram:
        if self.counts.ndim != 1 or self.first + self.counts.size > BINS:
            raise ValueError(f"a histogram has one row of at most {BINS} bins")
        if (self.counts < 0).any():
            raise ValueError("a histogram has no negative counts")
        return self

    @classmethod
    def of(cls, exponent: int, bins: Counts) -> Histogram:
        """From all 4096 `bins`."""
        used = np.flatnonzero(bins)
        first, stop = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        return cls(exponent=exponent, first=first, counts=bins[first:stop].copy())

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0, self.exponent - HISTOGRAM_LEVEL)

    @property
    def total(self) -> int:
        """Number of values counted."""
        return int(self.counts.sum())

    def bins(self) -> Counts:
        """All 4096 bins: int64."""
        full = np.zeros(BINS, np.int64)
        full[self.first : self.first + self.counts.size] = self.counts
        return full

    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin of `counts`: float64 [n]."""
        cells = np.arange(self.first, self.first + self.counts.size, dtype=np.float64)
        return (cells - BINS // 2 + 0.5 - origin(self.exponent - HISTOGRAM_LEVEL)) * self.width

    def widened(self, exponent: int) -> Histogram:
        """The same counts over the larger range of `exponent`, bins joined in pairs as often as needed."""
        if exponent == self.exponent:
            return self
        cells = np.arange(BINS) - BINS // 2
        for level in range(self.exponent - HISTOGRAM_LEVEL, exponent - HISTOGRAM_LEVEL):
            cells = cells + 1 >> 1 if level % 2 == 0 else cells >> 1
        bins = np.zeros(BINS, np.int64)
        np.add.at(bins, cells + BINS // 2, self.bins())
        return Histogram.of(exponent, bins)

    def merge(self, other: Histogram) -> Histogram:
        """The counts of both."""
        exponent = max(self.exponent, other.exponent)
        return Histogram.of(exponent, self.widened(exponent).bins() + other.widened(exponent).bins())


@dataclass(frozen=True)
class Reading:
    """A share, from 0 to 1, read from a profile.

    `interpolated` says that the step is not one of the ladder. `estimated` says that a deadband was asked for, which
    a profile cannot count: see :func:`effective_step`.
    """

    value: float
    interpolated: bool
    estimated: bool = False


def effective_step(step: float, deadband: float) -> float:
    """The step of the memoryless quantizer that is taken to change as often as one with a deadband.

    A deadband up to half a step has no effect, since rounding gives the same index; above that the index stays within
    a window as wide as two deadbands. So: ``max(step, 2 * deadband)``. The window of a deadband moves along with the
    value and a fixed grid does not, so the estimate is low: by 0.00 to 0.04 on camera and speech streams.
    """
    return max(step, 2 * deadband) if deadband > 0 else step


class TensorProfile(Strict):
    """One tensor that sites read, over all frames.

    Parameters
    ----------
    shape : tuple of int
        Of a frame, batch included.
    frames : int
        Frames folded.
    minimum, maximum : float
        Over all frames.
    zeros : int
        Values that were exactly 0.0, over all frames.
    histogram : Histogram
        Of the values; of every fifth where the tensor is large.
    classes : int64 array [classes]
        Elements of a frame in each class; elements of one class have the same fan-out for every site.
    changes : int64 array [classes, 26]
        Elements over all frames by what they did: 0 stayed exactly as they were, 1 changed but in no cell, 2 + j changed
        their cell on the grids of step ``2**finest`` to ``2**(finest + j)`` and on no coarser one. The first frame of
        a sequence is compared with 0.0 everywhere.
    """

    shape: tuple[int, ...]
    frames: int = Field(ge=1)
    minimum: float = Field(allow_inf_nan=False)
    maximum: float = Field(allow_inf_nan=False)
    zeros: int = Field(ge=0)
    histogram: Histogram
    classes: CountArray
    changes: CountArray

    @model_validator(mode="after")
    def _consistent(self) -> TensorProfile:
        if self.changes.shape != (self.classes.size, CODES):
            raise ValueError(f"changes must be {self.classes.size} rows of {CODES}")
        if self.classes.sum() != math.prod(self.shape):
            raise ValueError("classes do not add up to the elements of a frame")
        if (self.changes < 0).any() or (self.changes.sum(axis=1) != self.classes * self.frames).any():
            raise ValueError("changes do not add up to the elements of all frames")
        return self

    @property
    def elements(self) -> int:
        """Elements of a frame."""
        return math.prod(self.shape)

    @property
    def finest(self) -> int:
        """The finest grid of the ladder has the step ``2**finest``."""
        return self.histogram.exponent - FINEST_LEVEL

    @property
    def zero_share(self) -> float:
        """Share of values that were exactly 0.0."""
        return self.zeros / (self.elements * self.frames)

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value, 0.0 included."""
        return min(self.minimum, 0.0), max(self.maximum, 0.0)

    def step(self, clusters: int) -> float:
        """The step of `clusters` linear centroids over the whole range: range / (clusters - 1); 0 if all is zero."""
        low, high = self.value_range
        return (high - low) / (clusters - 1)

    def changed(self, step: float) -> tuple[NDArray[np.float64], bool]:
        """Elements per class that change at `step`, over all frames: float64 [classes]; and whether interpolated.

        At a step of 0, and as a bound below the ladder, every element counts that is not exactly as before. Raises
        PlanError for a negative step.
        """
        if not (step >= 0 and math.isfinite(step)):
            raise PlanError(f"step is {step:g}: give a finite number of 0 or more")
        if step < math.ldexp(1.0, self.finest):
            return self.changes[:, 1:].sum(axis=1).astype(np.float64), step > 0
        level = math.log2(step) - self.finest
        below = math.floor(level)
        share = level - below
        at = self._changed_at(below)
        if not share:
            return at, False
        return (1 - share) * at + share * self._changed_at(below + 1), True

    def _changed_at(self, level: int) -> NDArray[np.float64]:
        counts: Counts = self.changes[:, 2 + level :].sum(axis=1)
        return counts.astype(np.float64)

    def similarity(self, step: float, deadband: float = 0.0) -> Reading:
        """Share of elements that keep their index at `step`."""
        changed, interpolated = self.changed(effective_step(step, deadband))
        return Reading(1 - float(changed.sum()) / (self.elements * self.frames), interpolated, deadband > 0)

    def merge(self, other: TensorProfile) -> TensorProfile:
        """What both saw. Raises PlanError where the tensors differ in shape or classes."""
        if self.shape != other.shape or not np.array_equal(self.classes, other.classes):
            raise PlanError(f"profiles of tensors {list(self.shape)} and {list(other.shape)} do not merge")
        histogram = self.histogram.merge(other.histogram)
        finest = histogram.exponent - FINEST_LEVEL
        return TensorProfile(
            shape=self.shape,
            frames=self.frames + other.frames,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
            zeros=self.zeros + other.zeros,
            histogram=histogram,
            classes=self.classes,
            changes=drop_levels(self.changes, finest - self.finest) + drop_levels(other.changes, finest - other.finest),
        )


def drop_levels(changes: Counts, levels: int) -> Counts:
    """`changes` [classes, 26] seen on a ladder whose finest step is `levels` octaves coarser."""
    kept = np.zeros_like(changes)
    kept[:, 0] = changes[:, 0]
    kept[:, 1] = changes[:, 1 : 2 + levels].sum(axis=1)
    kept[:, 2 : max(CODES - levels, 2)] = changes[:, 2 + min(levels, LEVELS) :]
    return kept
