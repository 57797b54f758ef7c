"""A candidate: how far each tensor may be from what is held of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

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
    """

    widths: Mapping[str, float]
    ratio: float

    def scaled(self, octaves: float) -> Candidate:
        """All widths times ``2**octaves``."""
        return Candidate({tensor: width * 2.0**octaves for tensor, width in self.widths.items()}, self.ratio)

    def quantizers(self, ranges: Mapping[str, Range]) -> dict[str, LinearQuantizer]:
        """The quantizer of each tensor, over its range and a quarter more; the widths of those that would need more than
        65,535 centroids grow to what these allow."""
        return {tensor: _quantizer(width, self.ratio, ranges[tensor]) for tensor, width in self.widths.items()}


def _quantizer(width: float, ratio: float, seen: Range) -> LinearQuantizer:
    margin = _HEADROOM * (seen[1] - seen[0])
    low = seen[0] - margin if seen[0] < 0 else 0.0
    high = seen[1] + margin if seen[1] > 0 else 0.0
    finest = (high - low) / (MAX_CLUSTERS - 3)
    step = float(np.float32(max(ratio * width, finest)))
    zero = math.ceil(-low / step)
    clusters = max(zero + math.ceil(high / step) + 1, 2)
    return LinearQuantizer(step, zero, clusters, 0.0 if ratio >= 2 else float(np.float32(max(width, step / 2))))
