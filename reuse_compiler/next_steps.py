"""What the next wider quantizer of each site would have come to: why a plan stops where it does."""

from __future__ import annotations

import numpy as np

from reuse_compiler.plan import NextStep
from reuse_compiler.search.evaluator import Evaluator, Outcome

__all__ = ["next_steps"]

_OCTAVES = 0.5
_RUNS = 1500
_FRAMES = (8, 60)
"""All runs of the network that the steps take together, and the fewest and most frames of one."""


def next_steps(calibration: Evaluator, chosen: Outcome) -> dict[str, NextStep]:
    """By tensor, what quantizing it by a width larger by half an octave, and nothing else otherwise, adds to the reuse and
    to the loss of `chosen`: on the first 8 to 60 frames of the calibration, closed loop."""
    tensors = list(chosen.candidate.widths)
    if not tensors:
        return {}
    part = calibration.part(min(max(_RUNS // len(tensors), _FRAMES[0]), _FRAMES[1]))
    wider = [chosen.candidate.moved({tensor: _OCTAVES}) for tensor in tensors]
    as_chosen, *tried = part.evaluate_all([chosen.candidate, *wider])
    return {
        tensor: NextStep(
            factor=float(np.exp2(_OCTAVES)), reuse=outcome.reuse - as_chosen.reuse, loss=outcome.loss - as_chosen.loss
        )
        for tensor, outcome in zip(tensors, tried, strict=True)
    }
