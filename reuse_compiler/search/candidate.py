"""A candidate: how far each tensor may be from what is held of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from reuse_compiler.quantizers import MAX_CLUSTERS, LinearQuantizer

__all__ = ["Candidate", "Range", "Window"]

Range = tuple[float, float]
"""The smallest and the largest value of a tensor, 0.0 included."""

_HEADROOM = 0.25
"""What the centroids cover beyond what was seen, as a share of it: a recording does not show everything."""


@dataclass(frozen=True)
class Window:
    """Where an element of a tensor stays.

    Parameters
    ----------
    width : float
        The largest distance of an element from its centroid.
    ratio : float
        Step over width. 2 is the memoryless quantizer of the paper; below that the past index stays within the width
        (a deadband), and where it does not the new one is nearer than the width.
    spread : float
        The power that the shares of the tensor's channels are raised to: 0 gives all the same width. Only with a ratio
        below 2.
    """

    width: float
    ratio: float
    spread: float = 1.0

    def scaled(self, octaves: float) -> Window:
        """The width times ``2**octaves``."""
        return replace(self, width=self.width * 2.0**octaves)


@dataclass(frozen=True)
class Candidate:
    """The tensors that are reused.

    Parameters
    ----------
    windows : mapping of str to Window
        By tensor; those that are not in it stay dense.
    shapes : mapping of str to tuple of float
        By tensor, what the channels' widths are in shares of the tensor's, before they are spread.
    """

    windows: Mapping[str, Window]
    shapes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def widths(self) -> dict[str, float]:
        """Of the windows, by tensor."""
        return {name: window.width for name, window in self.windows.items()}

    def scaled(self, octaves: float) -> Candidate:
        """All widths times ``2**octaves``."""
        return self.moved(dict.fromkeys(self.windows, octaves))

    def moved(self, octaves: Mapping[str, float]) -> Candidate:
        """Widths times two to the power of their tensor's `octaves`; 0 where there is none."""
        return self.with_windows({name: self.windows[name].scaled(octave) for name, octave in octaves.items()})

    def with_windows(self, windows: Mapping[str, Window]) -> Candidate:
        """These windows in the place of those of their tensors."""
        return replace(self, windows={**self.windows, **windows})

    def quantizers(self, ranges: Mapping[str, Range]) -> dict[str, LinearQuantizer]:
        """The quantizer of each tensor, over its range and a quarter more; the widths of those that would need more than
        65,535 centroids grow to what these allow."""
        return {
            name: _quantizer(window, ranges[name], self.shapes.get(name, (1.0,)))
            for name, window in self.windows.items()
        }


def _quantizer(window: Window, seen: Range, shape: tuple[float, ...]) -> LinearQuantizer:
    margin = _HEADROOM * (seen[1] - seen[0])
    low = seen[0] - margin if seen[0] < 0 else 0.0
    high = seen[1] + margin if seen[1] > 0 else 0.0
    spread = window.spread if window.ratio < 2 else 0.0
    widths = [window.width * part**spread for part in shape] if spread else [window.width]
    finest = (high - low) / (MAX_CLUSTERS - 3)
    step = float(np.float32(max(window.ratio * min(widths), finest)))
    zero = math.ceil(-low / step)
    clusters = max(zero + math.ceil(high / step) + 1, 2)
    if window.ratio >= 2:
        return LinearQuantizer(step, zero, clusters)
    deadbands = tuple(float(np.float32(max(width, step / 2))) for width in widths)
    return LinearQuantizer(step, zero, clusters, deadbands if len(deadbands) > 1 else deadbands[0])
