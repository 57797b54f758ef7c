"""The search: from a calibration part to a candidate that was verified on another part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from reuse_compiler.model_profile import Profile
from reuse_compiler.search.allocation import allocate, measure_sensitivity, savings
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.evaluator import Evaluator, Outcome
from reuse_compiler.search.refinement import refine, scale_to_bound

__all__ = ["Found", "search", "verified"]

Progress = Callable[[str, int, int | None], None]

RATIOS = (2.0, 1.4, 0.5)
"""Steps over widths: the paper's memoryless quantizer, one with hysteresis, one that holds on and then follows closely.
Which is best differs from model to model."""
_PRICES = np.geomspace(0.002, 0.5, 8)
_PROMISING = 2
_BACK_OFF = np.cumsum(np.repeat([1 / 16, 1 / 8, 5 / 16], 8)).reshape(3, 8)
"""Octaves by which widths are drawn back for the verification, in the order of trying: to a half, to 1 1/2, to 4."""


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
    profile: Profile,
    shapes: Mapping[str, tuple[float, ...]],
    *,
    rounds: int = 3,
    until: float | None = None,
    progress: Progress | None = None,
) -> Outcome | None:
    """The candidate with the most reuse on `calibration` that keeps the bound there; None where no width does.

    1. Sensitivity of one tensor at a time.
    2. For each ratio: allocations at eight prices of a loss, the best two scaled to the bound closed loop.
    3. The best is refined for `rounds` rounds, or until the clock (:func:`time.monotonic`) shows `until`.
    """
    steps = len(RATIOS) + 1 + rounds
    told = _Counter(progress, steps)
    peaks = {tensor: max(-low, high) for tensor, (low, high) in calibration.ranges.items()}
    sensitivity = measure_sensitivity(calibration, peaks, shapes)
    worth = _by_site(calibration)
    told.step()
    found: list[Outcome] = []
    for ratio in RATIOS:
        saved = savings(profile, worth, sensitivity, ratio)
        like = Candidate({}, ratio, shapes)
        tried = calibration.evaluate_all([allocate(sensitivity, saved, float(price), like) for price in _PRICES])
        ordered = sorted(tried, key=lambda outcome: outcome.reuse - 0.08 * np.log2(max(outcome.loss, 0.01)))
        scaled = calibration.at_once(
            lambda outcome: scale_to_bound(calibration, outcome.candidate), ordered[-_PROMISING:]
        )
        found.extend(outcome for outcome in (*tried, *scaled) if outcome is not None and outcome.loss <= 1)
        told.step()
        if until is not None and found and time.monotonic() >= until:
            break
    if not found:
        return None
    best = refine(calibration, max(found, key=lambda outcome: outcome.reuse), rounds, until, told.step)
    told.finish()
    return best


def verified(calibration: Evaluator, verification: Evaluator, best: Outcome) -> Found | None:
    """`best`, or where it fails the verification all its widths drawn back until both parts pass, each from a cold start.

    Eight at a time, sixteenths of an octave apart and coarser later: the most reuse of the first eight that have any that
    passes; None where even a sixteenth of the widths does not.
    """
    first = verification.evaluate(best.candidate)
    if first.loss <= 1 and best.loss <= 1:
        return Found(best, first, 0.0)
    for octaves in _BACK_OFF:
        candidates = [best.candidate.scaled(-float(octave)) for octave in octaves]
        judged = zip(calibration.evaluate_all(candidates), verification.evaluate_all(candidates), octaves, strict=True)
        passed = [Found(*found, float(octave)) for *found, octave in judged if max(one.loss for one in found) <= 1]
        if passed:
            return max(passed, key=lambda found: found.calibration.reuse)
    return None


def _by_site(evaluator: Evaluator) -> dict[str, float]:
    """The worth of slots, shared out among their sites by multiply-accumulates."""
    return {
        site.node: evaluator.worth[slot.name] * site.macs / max(slot.macs, 1)
        for slot in evaluator.trial.slots
        for site in slot.sites
    }


class _Counter:
    """Tells how many of the steps are done."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress, self._steps, self._done = progress, steps, 0

    def step(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress("search", self._done, self._steps)

    def finish(self) -> None:
        while self._done < self._steps:
            self.step()
