"""A candidate: how far each tensor may be from what is held of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from reuse_compiler.quantizers import MAX_CLUSTERS, LinearQuantizer

__all__ = ["Candidate", "Range"]

Range = tuple[float, float]
"""The smallest and the largest value of a tensor, 0.0 included."""

_HEADROOM = 0.25
"""What the centroids cover beyond what was seen, as a share of it: a recording does not show everything."""


@dataclass(frozen=True)
class Candidate:
    """The tensors that are reused.

    Parameters
    ----------
    widths : mapping of str to float
        By tensor, the largest distance of an element from its centroid; tensors that are not in it stay dense.
    ratio : float
        Step over width. 2 is the memoryless quantizer of the paper; below that the past index stays within the width
        (a deadband), and where it does not the new one is nearer than the width.
    shapes : mapping of str to tuple of float
        By tensor, what the channels' widths are in shares of the tensor's. Only with a ratio below 2.
    """

    widths: Mapping[str, float]
    ratio: float
    shapes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def scaled(self, octaves: float) -> Candidate:
        """All widths times ``2**octaves``."""
        return self.moved(dict.fromkeys(self.widths, octaves))

    def moved(self, octaves: Mapping[str, float]) -> Candidate:
        """Widths times two to the power of their tensor's `octaves`; 0 where there is none."""
        return replace(
            self, widths={name: width * 2.0 ** octaves.get(name, 0.0) for name, width in self.widths.items()}
        )

    def quantizers(self, ranges: Mapping[str, Range]) -> dict[str, LinearQuantizer]:
        """The quantizer of each tensor, over its range and a quarter more; the widths of those that would need more than
        65,535 centroids grow to what these allow."""
        shapes = self.shapes if self.ratio < 2 else {}
        return {
            name: _quantizer(width, self.ratio, ranges[name], shapes.get(name, (1.0,)))
            for name, width in self.widths.items()
        }


def _quantizer(width: float, ratio: float, seen: Range, shape: tuple[float, ...]) -> LinearQuantizer:
    margin = _HEADROOM * (seen[1] - seen[0])
    low = seen[0] - margin if seen[0] < 0 else 0.0
    high = seen[1] + margin if seen[1] > 0 else 0.0
    finest = (high - low) / (MAX_CLUSTERS - 3)
    step = float(np.float32(max(ratio * width * min(shape), finest)))
    zero = math.ceil(-low / step)
    clusters = max(zero + math.ceil(high / step) + 1, 2)
    if ratio >= 2:
        return LinearQuantizer(step, zero, clusters)
    deadbands = tuple(float(np.float32(max(width * part, step / 2))) for part in shape)
    return LinearQuantizer(step, zero, clusters, deadbands if len(deadbands) > 1 else deadbands[0])
