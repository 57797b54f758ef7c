"""Better windows around a candidate: what each tensor's options lose and save alone, and closed loop what they do together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reuse_compiler.search.candidate import Candidate, Window
from reuse_compiler.search.effort import Effort
from reuse_compiler.search.evaluator import Evaluator, Outcome

__all__ = ["FORMS", "RATE", "at_error", "refine", "scale_to_bound", "scale_to_error"]

FORMS = tuple(
    Window(0.0, ratio, spread)
    for ratio, spread in ((2.0, 0.0), (1.4, 0.0), (1.4, 1.0), (0.7, 0.0), (0.7, 1.0), (0.35, 0.0), (0.35, 1.0))
)
"""Ratios and spreads: the paper's memoryless quantizer, one with hysteresis, and two that hold on and then follow closely.
Which is best differs from model to model, and from tensor to tensor."""
_MOVES = ((-1.0, 0.0, 1.0), (-0.5, 0.0, 0.5))
"""Octaves by which widths are tried in the first round and in later ones."""
RATE = 0.08
"""Reuse that twice the error buys, as measured on networks of all kinds; within a factor of two."""
_PRICES = RATE / (2 * np.log(2)) * np.geomspace(1 / 4, 4, 7)
_PROMISING = 3
_MET, _NEAR, _INSIDE, _FAR = 0.97, 1 / 16, 1 / 8, 9.0
"""A loss that meets the bound, octaves that are near enough to it, how far inside of what is known the next is tried, and the
octaves that a loss counts for at most."""
_SECONDS = 20.0
"""Of one core, that the trials of a round may take, by the evaluator's estimate."""
_FRAMES = (12, 120)
_WORTH = 1e-3
"""Tensors that no change would save less of are left as they are."""


def at_error(outcome: Outcome, error: float) -> float:
    """The reuse if all widths were scaled to an error near by."""
    return outcome.reuse - RATE * _octaves(outcome, error)


def scale_to_error(evaluator: Evaluator, outcome: Outcome, error: float) -> Outcome:
    """All widths scaled to about this error, in three steps at most."""
    best = outcome
    for _ in range(3):
        apart = _octaves(best, error)
        if abs(apart) < 1 / 16:
            break
        best = evaluator.evaluate(best.candidate.scaled(float(np.clip(-apart, -2.0, 1.0))))
    return best


def scale_to_bound(
    evaluator: Evaluator, candidate: Candidate, low: float = -6.0, high: float = 2.0, rounds: int = 7
) -> Outcome | None:
    """The candidate with all widths scaled by what keeps the bound, between ``2**low`` and ``2**high``; the most reuse
    of those tried, None where none keeps it.

    What to try next is read off the losses known on both sides of the bound, or off one as if it were in proportion to
    the widths; at most `rounds` are tried, fewer where the bound is met.
    """
    best: Outcome | None = None
    below, above = _Tried(low), _Tried(high)
    octaves = min(max(0.0, low), high)
    for _ in range(rounds):
        outcome = evaluator.evaluate(candidate.scaled(octaves))
        if outcome.loss <= 1:
            below = _Tried(octaves, outcome.loss)
            best = outcome if best is None or outcome.reuse > best.reuse else best
            if outcome.loss > _MET:
                break
        else:
            above = _Tried(octaves, outcome.loss)
        if best is not None and above.octaves - below.octaves < _NEAR:
            break
        octaves = _next(below, above)
    return best


@dataclass(frozen=True)
class _Tried:
    """A scale, and the octaves by which its loss is above the bound where that is known."""

    octaves: float
    loss: float | None = None

    @property
    def excess(self) -> float:
        assert self.loss is not None
        return float(np.log2(np.clip(np.nan_to_num(self.loss, nan=np.inf), 2.0**-_FAR, 2.0**_FAR)))


def _next(below: _Tried, above: _Tried) -> float:
    """Between two scales, where the loss may be the bound."""
    apart = above.octaves - below.octaves
    if below.loss is not None and above.loss is not None:
        guess = below.octaves - apart * below.excess / (above.excess - below.excess)
    elif below.loss is not None:
        guess = below.octaves - below.excess
    else:
        guess = above.octaves - above.excess
    return min(max(guess, below.octaves + apart * _INSIDE), above.octaves - apart * _INSIDE)


def refine(evaluator: Evaluator, start: Outcome, rounds: int, effort: Effort, done: Callable[[], None]) -> Outcome:
    """Exchange windows where the reuse gained is worth the error, for at most `rounds` rounds; none begins where
    `effort` is spent. What comes of it has about the error of `start`; its loss may exceed the bound.

    In a round each tensor is quantized alone, by windows of every form around the present width, on an excerpt: among the
    errors of all other tensors its own would drown. Squares of errors are taken to add up. For a few prices of an error
    every tensor takes the window that pays best; of these together the best three are scaled to the error of `start`, and
    the next round begins at the one that reuses most there. Errors decide, not losses: a count of wrong decisions stands
    still and jumps. `done` is called after each round.
    """
    best = start
    for number in range(rounds):
        if effort.is_spent():
            break
        tried = evaluator.evaluate_all(_exchanged(evaluator, best.candidate, _MOVES[min(number, len(_MOVES) - 1)]))
        promising = sorted(tried, key=lambda outcome: at_error(outcome, start.error))[-_PROMISING:]
        scaled = evaluator.at_once(lambda outcome: scale_to_error(evaluator, outcome, start.error), promising)
        best = max([best, *scaled], key=lambda outcome: at_error(outcome, start.error))
        done()
    return best


def _octaves(outcome: Outcome, error: float) -> float:
    """How many times the error is doubled against another."""
    return float(np.log2(max(outcome.error, 1e-9) / max(error, 1e-9)))


def _exchanged(evaluator: Evaluator, candidate: Candidate, moves: Sequence[float]) -> list[Candidate]:
    """One or two candidates for each price."""
    options = _options(evaluator, candidate, moves)
    pairs = [(name, window) for name, windows in options.items() for window in windows]
    if not pairs:
        return []
    frames = int(_SECONDS / (len(pairs) * evaluator.seconds_per_frame))
    excerpt = replace(evaluator.excerpt(int(np.clip(frames, *_FRAMES))), exact=True)
    outcomes = dict(
        zip(pairs, excerpt.evaluate_all([replace(candidate, windows=dict([pair])) for pair in pairs]), strict=True)
    )
    alone = sum(outcomes[name, windows[0]].error ** 2 for name, windows in options.items())
    found: dict[tuple[Window, ...], Candidate] = {}
    for price in _PRICES / max(alone, 1e-30):
        chosen = {
            name: max(
                windows, key=lambda window: outcomes[name, window].reuse - price * outcomes[name, window].error ** 2
            )
            for name, windows in options.items()
        }
        found.setdefault(tuple(chosen.values()), candidate.with_windows(chosen))
    return list(found.values())


def _options(evaluator: Evaluator, candidate: Candidate, moves: Sequence[float]) -> dict[str, list[Window]]:
    """For each tensor that is worth it the present window, and those of all forms around its width."""
    worth = evaluator.worth_of_tensors
    found: dict[str, list[Window]] = {}
    for name, window in candidate.windows.items():
        if worth[name] < _WORTH:
            continue
        forms = [form for form in FORMS if name in candidate.shapes or not form.spread]
        around = [replace(form, width=window.width).scaled(move) for form in forms for move in moves]
        found[name] = list(dict.fromkeys([window, *around]))
    return found
