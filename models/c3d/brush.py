"""Smooth-edged shapes, drawn into all frames of a recording at once.

A canvas is linear radiance float32 [frames, rows, columns, 3]; a place is float64 [frames, 2], column and row, pixel i
covering i - 0.5 to i + 0.5.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Places", "Shown", "capsule", "disc"]

Canvas = NDArray[np.float32]
Places = NDArray[np.float64]
Shown = NDArray[np.bool_]


def capsule(
    canvas: Canvas,
    start: Places,
    end: Places,
    radius: NDArray[np.float64],
    colour: NDArray[np.float32],
    shown: Shown | None = None,
) -> None:
    """Blend in a bar with round ends from `start` to `end`.

    Parameters
    ----------
    canvas : float32 array, shape [frames, rows, columns, 3]
        Changed in place.
    start, end : float64 array, shape [frames, 2]
        Centres of the round ends, column and row.
    radius : float64 array, shape [frames]
        Half of its width, pixels.
    colour : float32 array, shape [3]
        Radiance.
    shown : bool array, shape [frames], optional
        The frames that have it; all by default.
    """
    if shown is not None and not shown.any():
        return
    reach = float(radius.max()) + 1
    low, high = np.minimum(start, end).min(axis=0) - reach, np.maximum(start, end).max(axis=0) + reach
    left, right = max(math.floor(low[0]), 0), min(math.ceil(high[0]) + 1, canvas.shape[2])
    top, bottom = max(math.floor(low[1]), 0), min(math.ceil(high[1]) + 1, canvas.shape[1])
    if left >= right or top >= bottom:
        return
    first, axis = start.astype(np.float32), (end - start).astype(np.float32)
    across = np.arange(left, right, dtype=np.float32)[None, None, :] - first[:, 0, None, None]
    down = np.arange(top, bottom, dtype=np.float32)[None, :, None] - first[:, 1, None, None]
    unit = axis / np.maximum((axis**2).sum(axis=1, keepdims=True), np.float32(1e-6))
    along = across * unit[:, 0, None, None] + down * unit[:, 1, None, None]
    np.maximum(along, 0, out=along)
    np.minimum(along, 1, out=along)
    cover = np.square(across - along * axis[:, 0, None, None])
    cover += np.square(down - along * axis[:, 1, None, None])
    np.sqrt(cover, out=cover)
    np.subtract(radius.astype(np.float32)[:, None, None] + np.float32(0.5), cover, out=cover)
    np.maximum(cover, 0, out=cover)
    np.minimum(cover, 1, out=cover)
    if shown is not None:
        cover *= shown[:, None, None]
    part = canvas[:, top:bottom, left:right]
    part += cover[..., None] * (colour - part)


def disc(
    canvas: Canvas, centre: Places, radius: NDArray[np.float64], colour: NDArray[np.float32], shown: Shown | None = None
) -> None:
    """Blend in a disc; parameters as those of `capsule`."""
    capsule(canvas, centre, centre, radius, colour, shown)
