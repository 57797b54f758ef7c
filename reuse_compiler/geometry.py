"""The geometry of a convolution of any spatial rank: shapes, valid taps, multiply-accumulates per input.

A *tap* of an input element along one axis is a pair (output coordinate, kernel coordinate) that it takes part in. In a
convolution output o reads input ``o * stride + k * dilation - pad``, in a transposed one input i is added to output
``i * stride + k * dilation - pad``. Taps in the padding do not exist, so the products of taps are exact at the borders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConvGeometry"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ConvGeometry:
    """One CONV layer, batch left out.

    Parameters
    ----------
    in_channels, out_channels, group : int
        Channels of input and output, and the number of groups.
    in_shape, kernel, strides, dilations, pads_begin, pads_end : tuple of int
        One value per spatial axis, outermost first. Pads of a transposed convolution are cut off its output.
    transposed : bool
        Whether it is a ConvTranspose.
    output_padding : tuple of int
        Of a transposed convolution: outputs behind the last, which the kernel may reach or not. Empty means zeros.
    """

    in_channels: int
    out_channels: int
    group: int
    in_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Spatial shape of the output (ONNX Conv, floor, or ConvTranspose)."""
        return tuple(self._out_size(axis) for axis in range(len(self.in_shape)))

    def _out_size(self, axis: int) -> int:
        pads = self.pads_begin[axis] + self.pads_end[axis]
        if self.transposed:
            behind = self.output_padding[axis] if self.output_padding else 0
            return (self.in_shape[axis] - 1) * self.strides[axis] + self.reach(axis) + behind - pads
        return (self.in_shape[axis] + pads - self.reach(axis)) // self.strides[axis] + 1

    def reach(self, axis: int) -> int:
        """Coordinates from the first that the kernel touches along `axis` to the last."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    @property
    def outputs_per_group(self) -> int:
        """Output channels that one input channel reaches."""
        return self.out_channels // self.group

    @property
    def inputs_per_group(self) -> int:
        """Input channels that one output channel reads."""
        return self.in_channels // self.group

    def taps(self, axis: int, start: int = 0, stop: int | None = None) -> Counts:
        """Valid taps of every input coordinate of `axis`, counting the outputs ``start..stop-1`` alone: int64."""
        stop = self.out_shape[axis] if stop is None else stop
        moving = np.arange(self.in_shape[axis]) if self.transposed else np.arange(start, stop)
        met = (
            moving[:, None] * self.strides[axis]
            - self.pads_begin[axis]
            + np.arange(self.kernel[axis])[None, :] * self.dilations[axis]
        )
        if self.transposed:
            joined: Counts = ((met >= start) & (met < stop)).sum(axis=1, dtype=np.int64)
            return joined
        inside = (met >= 0) & (met < self.in_shape[axis])
        return np.bincount(met[inside], minlength=self.in_shape[axis]).astype(np.int64)

    def fan_out(self) -> Counts:
        """Multiply-accumulates that one input element takes part in: int64, the input's spatial shape."""
        per_axis = [self.taps(axis) for axis in range(len(self.in_shape))]
        return reduce(np.multiply.outer, per_axis) * self.outputs_per_group

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, those in the padding left out."""
        per_axis = [int(self.taps(axis).sum()) for axis in range(len(self.in_shape))]
        return math.prod(per_axis) * self.in_channels * self.outputs_per_group
