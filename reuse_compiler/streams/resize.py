"""Resizing of 8-bit pictures, separably: every target row, then every target column, is a weighted sum of a few.

With ``s`` source pixels and ``t`` target pixels along an axis, target pixel ``i`` covers ``[i * s/t, (i + 1) * s/t)`` of the
source and has its centre at ``x = (i + 0.5) * s/t - 0.5``:

``nearest``
    The source pixel ``floor(i * s/t)``.
``bilinear``
    The two pixels around ``x``, by distance. It does not smooth when it shrinks: pixels between are left out.
``bicubic``
    The four pixels around ``x``, by the cubic of Keys [1]_ with a = -0.75. It does not smooth either.
``area``
    The mean of what the target pixel covers, pixels cut by its border by their share. An axis that does not shrink is
    taken bilinearly.

Pixels outside the picture repeat the one at the border. Sums are float32, and the result is rounded to 8 bits, half
up. ``bilinear``, ``bicubic`` and, where both axes shrink, ``area`` are OpenCV's INTER_LINEAR, INTER_CUBIC and INTER_AREA
within one level; ``nearest`` is its INTER_NEAREST but for whole ``i * s/t``, where OpenCV may round to the pixel before.
Pillow's filters of the same names differ: they smooth when they shrink.

.. [1] R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6), 1981, eq. 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Filter", "Picture", "resize"]

Filter = Literal["nearest", "bilinear", "area", "bicubic"]
Picture = NDArray[np.uint8]

_BAND_VALUES = 1 << 16  # a band of target rows is worked on at a time, so that what is between stays in the cache


@dataclass(frozen=True)
class _Taps:
    """Of every target pixel along one axis: which source pixels (intp) and how much of each (float32), both [target, n]."""

    index: NDArray[np.intp]
    weight: NDArray[np.float32]


def resize(picture: Picture, width: int, height: int, method: Filter) -> Picture:
    """Bring `picture`, uint8 [rows, columns, channels], to `height` rows and `width` columns; the channels stay."""
    rows, columns, channels = picture.shape
    if (rows, columns) == (height, width):
        return picture
    if method == "nearest":
        return picture[_nearest(rows, height)][:, _nearest(columns, width)]
    source = picture.reshape(rows, columns * channels)
    target = np.empty((height, width * channels), np.uint8)
    down, along = _taps(method, rows, height), _spread(_taps(method, columns, width), channels)
    band = max(1, _BAND_VALUES // source.shape[1])
    for top in range(0, height, band):
        part = _Taps(down.index[top : top + band], down.weight[top : top + band])
        total = _sum_columns(along, _sum_rows(part, source))
        total += np.float32(0.5)
        np.clip(total, 0, 255, out=total)
        target[top : top + band] = total.astype(np.uint8)
    return target.reshape(height, width, channels)


def _sum_rows(taps: _Taps, values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Weighted sums of the rows of a matrix: float32 [targets, columns]."""
    total: NDArray[np.float32] = np.zeros((len(taps.index), values.shape[1]), np.float32)
    for index, weight in zip(taps.index.T, taps.weight.T, strict=True):
        total += np.multiply(values.take(index, 0), weight[:, None], dtype=np.float32)
    return total


def _sum_columns(taps: _Taps, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums of the columns of a matrix: float32 [rows, targets]."""
    total: NDArray[np.float32] = np.zeros((len(values), len(taps.index)), np.float32)
    for index, weight in zip(taps.index.T, taps.weight.T, strict=True):
        total += values.take(index, 1) * weight
    return total


def _spread(taps: _Taps, channels: int) -> _Taps:
    """The taps of columns as those of the single values of a row, channels innermost."""
    index = taps.index[:, None, :] * channels + np.arange(channels)[:, None]
    return _Taps(index.reshape(-1, index.shape[2]), taps.weight.repeat(channels, axis=0))


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    return np.arange(target) * source // target


@lru_cache(maxsize=64)
def _taps(method: Filter, source: int, target: int) -> _Taps:
    if method == "area" and target < source:
        index, weight = _area(source, target)
    elif method == "bicubic":
        index, weight = _bicubic(source, target)
    else:
        index, weight = _bilinear(source, target)
    used = weight.any(axis=0)
    return _Taps(np.clip(index[:, used], 0, source - 1), weight[:, used].astype(np.float32))


def _split_centres(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The pixel at or before every target's centre, and the rest of the way to the next."""
    centre = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(centre)
    return first.astype(np.intp), centre - first


def _bilinear(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    first, rest = _split_centres(source, target)
    return first[:, None] + np.arange(2), np.stack([1 - rest, rest], axis=1)


def _bicubic(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    first, rest = _split_centres(source, target)
    offsets = np.arange(-1, 3)
    distance = np.abs(rest[:, None] - offsets)
    near = ((1.25 * distance - 2.25) * distance) * distance + 1
    far = -0.75 * (((distance - 5) * distance + 8) * distance - 4)
    return first[:, None] + offsets, np.where(distance <= 1, near, far)


def _area(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    scale = source / target
    left = np.arange(target) * scale
    index = np.floor(left).astype(np.intp)[:, None] + np.arange(int(np.ceil(scale)) + 1)
    begin = np.maximum(index, left[:, None])
    end = np.minimum(index + 1, (left + scale)[:, None])
    covered = end - begin
    covered[covered < 1e-9] = 0  # nothing, or what float64 left of nothing
    return index, covered / covered.sum(axis=1, keepdims=True)
