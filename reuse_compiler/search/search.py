"""The search: from a calibration part to a candidate that was verified on another part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reuse_compiler.model_profile import Profile
from reuse_compiler.search.allocation import allocate, measure_sensitivity
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.evaluator import Evaluator, Outcome
from reuse_compiler.search.refinement import refine, scale_to_bound

__all__ = ["Found", "search"]

Progress = Callable[[str, int, int | None], None]

RATIOS = (2.0, 1.6, 0.25)
"""Steps over widths: the paper's memoryless quantizer, one with hysteresis, one that holds on and then follows exactly.
Which is best differs from model to model."""
_PRICES = np.geomspace(0.002, 0.5, 8)
_SENSITIVITY_FRAMES = 60
_BACK_OFF = 0.25
_LARGEST_BACK_OFF = 4.0


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Parameters
    ----------
    calibration, verification : Outcome
        Of the same candidate on both parts.
    octaves : float
        How far all widths were drawn back so that it passed the verification.
    """

    calibration: Outcome
    verification: Outcome
    octaves: float


def search(
    calibration: Evaluator,
    verification: Evaluator,
    profile: Profile,
    *,
    rounds: int = 4,
    progress: Progress | None = None,
) -> Found | None:
    """The candidate with the most reuse on `calibration` that keeps the bound there and, from a cold start, on
    `verification`; None where even widths of a sixteenth of those that calibration allows do not.

    1. For each ratio: sensitivity of one tensor at a time, then allocations at eight prices of a loss, scaled to the
       bound closed loop.
    2. The best is refined for `rounds` rounds.
    3. All widths are drawn back by quarter octaves until the verification passes.
    """
    best: Outcome | None = None
    for number, ratio in enumerate(RATIOS):
        found = _allocated(calibration, profile, ratio)
        if found is not None and (best is None or found.reuse > best.reuse):
            best = found
        if progress is not None:
            progress("search", number + 1, len(RATIOS) + 1)
    if best is None:
        return None
    best = refine(calibration, best, rounds)
    if progress is not None:
        progress("search", len(RATIOS) + 1, len(RATIOS) + 1)
    return _verified(calibration, verification, best)


def _allocated(evaluator: Evaluator, profile: Profile, ratio: float) -> Outcome | None:
    """The best allocation of a ratio that keeps the bound."""
    peaks = {tensor: max(-low, high) for tensor, (low, high) in evaluator.ranges.items()}
    sensitivity = measure_sensitivity(evaluator.part(_SENSITIVITY_FRAMES), profile, peaks, ratio)
    tried = evaluator.evaluate_all([allocate(sensitivity, float(price)) for price in _PRICES])
    promising = sorted(tried, key=lambda outcome: outcome.reuse - 0.08 * np.log2(max(outcome.loss, 0.01)))[-3:]
    scaled = [scale_to_bound(evaluator, outcome.candidate) for outcome in promising]
    kept = [outcome for outcome in (*tried, *scaled) if outcome is not None and outcome.loss <= 1]
    return max(kept, key=lambda outcome: outcome.reuse, default=None)


def _verified(calibration: Evaluator, verification: Evaluator, best: Outcome) -> Found | None:
    octaves, candidate, seen = 0.0, best.candidate, best
    while octaves <= _LARGEST_BACK_OFF:
        judged = verification.evaluate(candidate)
        if judged.loss <= 1 and seen.loss <= 1:
            return Found(seen, judged, octaves)
        octaves += _BACK_OFF
        candidate = _drawn_back(best.candidate, octaves)
        seen = calibration.evaluate(candidate)
    return None


def _drawn_back(candidate: Candidate, octaves: float) -> Candidate:
    return candidate.scaled(-octaves)
