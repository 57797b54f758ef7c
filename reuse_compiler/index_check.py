"""Whether recorded indices are right for inputs that are known up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.quantizers import Index, LinearQuantizer, Quantizer

__all__ = ["distance_to_right"]

Doubles = NDArray[np.float64]

# A few roundings of float32 in the quantizer itself, relative to the numbers that it compares.
_ROUNDING = 4 * 2.0**-23


def distance_to_right(
    quantizer: Quantizer, x: NDArray[np.float32], past: Index, index: Index, channel_axis: int
) -> Doubles:
    """How far each element of `x` would have to move for its `index` to be right; 0 where it is right as it is.

    The indices that `quantizer` itself gives are right. Elsewhere the inputs that an index is right for are an interval
    around its centroid and, with a deadband, the past index's band added to it or taken out of it. `x`, `past` and
    `index` have one shape; float64 of that shape, infinite where no input would do.
    """
    distance = np.zeros(x.shape)
    wrong = np.nonzero(quantizer.quantize(x, past, channel_axis) != index)
    if not wrong[0].size:
        return distance
    deadband = np.asarray(quantizer.deadband, np.float64)
    if deadband.ndim:
        deadband = deadband[wrong[channel_axis]]
    distance[wrong] = _distance(
        quantizer, x[wrong].astype(np.float64), _number(past[wrong]), _number(index[wrong]), deadband
    )
    return distance


def _number(index: NDArray[Any]) -> Doubles:
    return index.astype(np.float64)


def _cell(quantizer: Quantizer, index: Doubles) -> tuple[Doubles, Doubles]:
    """The interval of inputs whose nearest centroid is that of `index`."""
    if isinstance(quantizer, LinearQuantizer):
        low, high = (index - quantizer.zero - 0.5) * quantizer.step, (index - quantizer.zero + 0.5) * quantizer.step
        return np.where(index == 0, -np.inf, low), np.where(index == quantizer.clusters - 1, np.inf, high)
    edges = np.array([-np.inf, *quantizer.boundaries, np.inf])
    number = index.astype(np.intp)
    return edges[number], edges[number + 1]


def _distance(quantizer: Quantizer, x: Doubles, past: Doubles, index: Doubles, deadband: Doubles) -> Doubles:
    low, high = _cell(quantizer, index)
    kept = quantizer.dequantize(past.astype(np.intp)).astype(np.float64)
    rounding = _ROUNDING * (np.abs(x) + np.abs(kept) + deadband)
    inside = _to_interval(x, low, high, rounding)
    band = _to_interval(x, kept - deadband, kept + deadband, rounding)
    beside = np.minimum(
        _to_interval(x, low, np.minimum(high, kept - deadband), rounding),
        _to_interval(x, np.maximum(low, kept + deadband), high, rounding),
    )
    with_memory = np.where(index == past, np.minimum(inside, band), beside)
    return np.where(deadband > 0, with_memory, inside)


def _to_interval(x: Doubles, low: Doubles, high: Doubles, rounding: Doubles) -> Doubles:
    """Distance from `x` to the interval, both ends moved out by `rounding`; infinite where that leaves it empty."""
    low, high = low - rounding, high + rounding
    return np.where(low <= high, np.maximum(np.maximum(low - x, x - high), 0), np.inf)
