"""Smooth random processes with random access: a value at any place from a seed, with nothing kept.

A process is a cubic B-spline over values hashed from (seed, channel, cell number), so it is twice differentiable, has no
period and costs the same anywhere. The hash is the finalizer of SplitMix64 (Steele et al., OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["smooth", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_WORD = (1 << 64) - 1


def uniform(seed: int, channel: int, cell: ArrayLike) -> NDArray[np.float64]:
    """Values in [0, 1), one for every cell number (any integers) of a channel; the shape of `cell`."""
    key = np.uint64((seed * 0x632BE59BD9B4E019 + channel * 0xD6E8FEB86659FD93) & _WORD)
    bits = _mix(np.asarray(cell, np.int64).astype(np.uint64) * _GOLDEN + _mix(np.atleast_1d(key)))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth(seed: int, channel: int, x: ArrayLike, period: float) -> NDArray[np.float64]:
    """A smooth process in [-1, 1], with mean 0 and standard deviation near 0.4, at places `x`; cells of `period`."""
    cell, t = np.divmod(np.asarray(x, np.float64) / period, 1.0)
    values = uniform(seed, channel, cell[..., None].astype(np.int64) + np.arange(-1, 3)) * 2 - 1
    cubes = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    return np.asarray((values * np.stack(cubes, axis=-1)).sum(axis=-1) / 6)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX2
    return bits ^ (bits >> np.uint64(31))
