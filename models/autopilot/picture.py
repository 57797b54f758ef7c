"""Pictures in the making: linear radiance as float32 [rows, columns, 3], mixed by how much of a pixel something covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Float", "blend", "clip"]

Float = NDArray[np.float32]


def blend(picture: Float, share: Float, colour: Float) -> None:
    """Move `picture` [rows, columns, 3] in place towards `colour` (of a shape that broadcasts) by `share` [rows, columns]."""
    difference = colour - picture
    difference *= share[..., None]
    picture += difference


def clip(values: Float, low: float, high: float) -> Float:
    """`values` held in low..high, in place; for small arrays a good deal quicker than numpy's own."""
    np.maximum(values, np.float32(low), out=values)
    np.minimum(values, np.float32(high), out=values)
    return values
