"""Better widths by trying neighbours closed loop: what one tensor's change does to the whole."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.evaluator import Evaluator, Outcome

__all__ = ["refine", "scale_to_bound"]

_FIRST_MOVE = 0.7
_LAST_MOVE = 0.2
"""Octaves by which widths are tried above and below; a round that gains little makes them smaller."""
_GAIN = 0.002
"""What a round gains in reuse, or it gained little."""
_PRICES = np.geomspace(1e-4, 1, 13)


def scale_to_bound(
    evaluator: Evaluator, candidate: Candidate, low: float = -6.0, high: float = 2.0, rounds: int = 7
) -> Outcome | None:
    """The candidate with all widths scaled by what keeps the bound, between ``2**low`` and ``2**high``; the most reuse
    of those tried, None where none keeps it."""
    best: Outcome | None = None
    for _ in range(rounds):
        middle = (low + high) / 2
        outcome = evaluator.evaluate(candidate.scaled(middle))
        if outcome.loss <= 1:
            low = middle
            best = outcome if best is None or outcome.reuse > best.reuse else best
        else:
            high = middle
    return best


def refine(evaluator: Evaluator, start: Outcome, rounds: int, until: float | None, done: Callable[[], None]) -> Outcome:
    """Move widths where the reuse gained is worth the loss, for at most `rounds` rounds of twice as many trials as there
    are tensors, and some thirty more; none begins after `until`, by :func:`time.monotonic`.

    In a round each tensor is tried a move wider and a move narrower. For each of 13 prices of a loss every tensor takes
    the move that pays best, whole and half; these are tried together, and the best two scaled to the bound. `done` is
    called after each round.
    """
    best, move = start, _FIRST_MOVE
    for _ in range(rounds):
        if until is not None and time.monotonic() >= until:
            break
        steps = _worthwhile(evaluator, best, move)
        tried = evaluator.evaluate_all(steps)
        promising = sorted(tried, key=lambda outcome: outcome.reuse - 0.08 * np.log2(max(outcome.loss, 0.05)))[-2:]
        scaled = evaluator.at_once(
            lambda outcome: scale_to_bound(evaluator, outcome.candidate, -1.0, 0.6, 4), promising
        )
        kept = [outcome for outcome in (*tried, *scaled) if outcome is not None and outcome.loss <= 1]
        found = max([best, *kept], key=lambda outcome: outcome.reuse)
        if found.reuse - best.reuse < _GAIN:
            move *= 0.6
        best = found
        done()
        if move < _LAST_MOVE:
            break
    return best


def _worthwhile(evaluator: Evaluator, best: Outcome, move: float) -> list[Candidate]:
    """Candidates around `best`, one or two for each price."""
    tensors = list(best.candidate.widths)
    moves = [move, -move]
    tried = evaluator.evaluate_all([best.candidate.moved({t: octaves}) for octaves in moves for t in tensors])
    gains = np.zeros((3, len(tensors)))
    losses = np.zeros((3, len(tensors)))
    gains[1:] = np.array([outcome.reuse - best.reuse for outcome in tried]).reshape(2, -1)
    # Of counts the error says more than the loss, which stands still and jumps.
    errors = np.array([outcome.error for outcome in tried]).reshape(2, -1)
    losses[1:] = errors / max(best.error, 1e-12) - 1
    octaves = np.array([0.0, *moves])
    found: dict[tuple[float, ...], Candidate] = {}
    for price in _PRICES:
        taken = octaves[np.argmax(gains - price * losses, axis=0)]
        for share in (1.0, 0.5):
            step = tuple(share * taken)
            if any(step):
                found.setdefault(step, best.candidate.moved(dict(zip(tensors, step, strict=True))))
    return list(found.values())
