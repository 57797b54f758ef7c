"""At which step a profile is read for a quantizer of any kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reuse_compiler.quantizers import LinearQuantizer, Quantizer
from reuse_compiler.tensor_profile import Reading, TensorProfile

__all__ = ["expected_step", "of_quantizer"]


def expected_step(quantizer: Quantizer, tensor: TensorProfile) -> float:
    """The step of the linear quantizer that is taken to change as often as `quantizer` on `tensor`.

    That of a linear one is its own. Of a table it is the geometric mean of the widths of its cells, each weighted by the
    values of the histogram that fall into it: similarity goes about linearly with the logarithm of the step. The
    first and the last cell count as wide as the gap beside them.
    """
    if isinstance(quantizer, LinearQuantizer):
        return quantizer.step
    gaps = np.diff(np.asarray(quantizer.centroids))
    widths = (np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])) / 2
    index = np.searchsorted(quantizer.boundaries, tensor.histogram.centres())
    values = np.bincount(index, tensor.histogram.counts, widths.size)
    return float(np.exp(values @ np.log(widths) / values.sum()))


def of_quantizer(reading: Reading, quantizer: Quantizer) -> Reading:
    """`reading` at the expected step, which is an estimate where the quantizer is a table."""
    return reading if isinstance(quantizer, LinearQuantizer) else replace(reading, estimated=True)
