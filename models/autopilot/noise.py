"""Smooth random processes with random access: a value at any place from a seed, with nothing kept.

A process is a cubic B-spline over values hashed from (seed, channel, cell number), so it is twice differentiable, has no
period and costs the same anywhere. The hash is the finalizer of SplitMix64 (Steele et al., OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["smooth", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_CHANNEL = np.uint64(0xD6E8FEB86659FD93)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_WORD = (1 << 64) - 1


def uniform(seed: int, channel: ArrayLike, cell: ArrayLike) -> NDArray[np.float64]:
    """Values in [0, 1), one for every channel and cell number (any integers, broadcast against each other)."""
    key = np.uint64(seed * 0x632BE59BD9B4E019 & _WORD) + np.atleast_1d(channel).astype(np.uint64) * _CHANNEL
    bits = _mix(np.asarray(cell, np.int64).astype(np.uint64) * _GOLDEN + _mix(key))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth(seed: int, channel: ArrayLike, x: ArrayLike, period: ArrayLike) -> NDArray[np.float64]:
    """Smooth processes in [-1, 1], mean 0 and standard deviation near 0.4, at places `x`, with cells of `period`.

    `channel`, `x` and `period` are broadcast against each other.
    """
    cell, t = np.divmod(np.asarray(x, np.float64) / np.asarray(period, np.float64), 1.0)
    cells = cell[..., None].astype(np.int64) + np.arange(-1, 3)
    values = uniform(seed, np.asarray(channel)[..., None], cells)
    t2, t3 = t * t, t * t * t
    weights = np.stack([1 - 3 * t + 3 * t2 - t3, 3 * t3 - 6 * t2 + 4, 3 * (t + t2 - t3) + 1, t3], axis=-1)
    return np.asarray((values * weights).sum(axis=-1) / 3 - 1)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX2
    return bits ^ (bits >> np.uint64(31))
