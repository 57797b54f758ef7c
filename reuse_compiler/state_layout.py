"""The layout of CONV state: channels last, ``[N, spatial.., C]``, where x and y have them second, ``[N, C, spatial..]``.

The channels of a place then lie side by side, so a kernel that corrects a linear output reads and writes whole rows of it. All
that moves the axis is here: arrays, shapes, and what an ONNX Einsum takes, which serves any number of spatial axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["TO_CHANNELS_FIRST", "TO_CHANNELS_LAST", "channels_first", "channels_last", "channels_last_shape"]

TO_CHANNELS_LAST = "nc...->n...c"
"""The equation of an Einsum from the layout of x and y to that of the state."""
TO_CHANNELS_FIRST = "n...c->nc..."
"""The equation of an Einsum from the layout of the state to that of x and y."""

Number = TypeVar("Number", bound=np.generic)
Size = TypeVar("Size")


def channels_last(values: NDArray[Number]) -> NDArray[Number]:
    """A view of `values` [N, C, spatial..] in the layout of the state."""
    return np.moveaxis(values, 1, -1)


def channels_first(state: NDArray[Number]) -> NDArray[Number]:
    """A view of `state` [N, spatial.., C] in the layout of x and y."""
    return np.moveaxis(state, -1, 1)


def channels_last_shape(shape: Sequence[Size]) -> tuple[Size, ...]:
    """The shape of the state of values of `shape`."""
    batch, channels, *spatial = shape
    return (batch, *spatial, channels)
