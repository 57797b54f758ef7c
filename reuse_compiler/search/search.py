"""The search: from a calibration part to a candidate that was verified on another part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from reuse_compiler.model_profile import Profile
from reuse_compiler.search.allocation import allocate, measure_sensitivity, savings
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.effort import Effort
from reuse_compiler.search.evaluator import Evaluator, Outcome
from reuse_compiler.search.refinement import FORMS, RATE, refine, scale_to_bound

__all__ = ["Found", "search", "verified"]

Progress = Callable[[str, int, int | None], None]

_PRICES = np.geomspace(0.002, 0.5, 8)
_PROMISING = 2
_SCALED = 6
"""How many allocations of a form, and of all, are scaled to the bound."""
_SECONDS = 1.0
"""Of one core, that a trial of the search may take, by the evaluator's estimate: longer recordings give an excerpt."""
_FEWEST = 32
_SCALES = 1 / 2 - np.cumsum(np.repeat([0, 1 / 16, 1 / 8, 5 / 16], [1, 15, 8, 8])).reshape(4, 8)
"""Octaves by which widths are scaled for the verification, in the order of trying: from 1/2 to -4."""


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Parameters
    ----------
    calibration, verification : Outcome
        Of the same candidate on both parts.
    """

    calibration: Outcome
    verification: Outcome


def search(
    calibration: Evaluator,
    profile: Profile,
    shapes: Mapping[str, tuple[float, ...]],
    *,
    rounds: int = 1,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> Outcome | None:
    """The candidate with the most reuse on `calibration` that keeps the bound there, or nearly; None where no width does.

    1. Sensitivity of one tensor at a time.
    2. For each ratio, with channels alike and different: allocations at eight prices of a loss; the best of all scaled to
       the bound closed loop.
    3. The best is refined for `rounds` rounds.
    4. Of a long recording these see an excerpt; what comes of it is scaled to the bound on the whole.

    Ratios but the first and rounds are left out where `effort` is spent.
    """
    effort = effort or Effort()
    forms = [form for form in FORMS if shapes or not form.spread]
    told = _Counter(progress, len(forms) + 1 + rounds)
    excerpt = calibration.excerpt(max(int(_SECONDS / calibration.seconds_per_frame), _FEWEST))
    peaks = {tensor: max(-low, high) for tensor, (low, high) in calibration.ranges.items()}
    sensitivity = measure_sensitivity(calibration, peaks, shapes)
    worth = _by_site(calibration)
    told.step()
    tried: list[Outcome] = []
    promising: list[Outcome] = []
    for like in forms:
        if tried and effort.is_spent():
            break
        saved = savings(profile, worth, sensitivity, like.ratio)
        outcomes = excerpt.evaluate_all(
            [Candidate(allocate(sensitivity, saved, float(price), like), shapes) for price in _PRICES]
        )
        tried += outcomes
        promising += sorted(outcomes, key=_promise)[-_PROMISING:]
        told.step()
    promising = sorted(promising, key=_promise)[-_SCALED:]
    scaled = excerpt.at_once(lambda outcome: scale_to_bound(excerpt, outcome.candidate), promising)
    found = [outcome for outcome in (*tried, *scaled) if outcome is not None and outcome.loss <= 1]
    if not found:
        return None
    best = refine(excerpt, max(found, key=lambda outcome: outcome.reuse), rounds, effort, told.step)
    told.finish()
    return _to_bound(calibration, best)


def _promise(outcome: Outcome) -> float:
    """Reuse as if the loss were scaled to the bound."""
    return outcome.reuse - RATE * float(np.log2(max(outcome.loss, 0.02)))


def _to_bound(calibration: Evaluator, best: Outcome) -> Outcome | None:
    """Scaled to the bound on the whole calibration.

    Losses of seventeen scales from a half to double are fitted by a line in the logarithms, which says where the bound is: at a
    single scale a count may be kept, or not, by luck. Coarsely where none of them is within a factor of three of the bound.
    """
    octaves = np.linspace(-1, 1, 17)
    losses = np.array(
        [found.loss for found in calibration.evaluate_all([best.candidate.scaled(float(o)) for o in octaves])]
    )
    near = (losses > 1 / 3) & (losses < 3)
    if np.count_nonzero(near) < 4:
        return scale_to_bound(calibration, best.candidate)
    slope, offset = np.polyfit(octaves[near], np.log2(losses[near]), 1)
    place = -offset / max(float(slope), 0.1)
    return calibration.evaluate(best.candidate.scaled(float(np.clip(place, -1, 1))))


def verified(calibration: Evaluator, verification: Evaluator, whole: Evaluator, best: Outcome) -> Found | None:
    """`best` with all widths scaled, from half an octave wider down until it keeps the bound on the calibration, on the
    verification and on the whole recording, each judged as it is and from a cold start.

    Of the whole a cautious judge has more to go by than of the calibration alone. A sixteenth of an octave at a time and
    coarser later, eight at once: the widest that passes; None where even a sixteenth of the widths does not.
    """
    judges = [replace(part, exact=True) for part in (calibration, verification, whole)]
    for octaves in _SCALES:
        candidates = [best.candidate.scaled(float(octave)) for octave in octaves]
        for judged in zip(*(part.evaluate_all(candidates) for part in judges), strict=True):
            if max(outcome.loss for outcome in judged) <= 1:
                return Found(*judged[:2])
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
