"""Risk: how much of a budget a candidate uses, with what its errors make likely on other frames counted in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import nbinom

from reuse_compiler.accuracy import Deviation, OutputError
from reuse_compiler.budget import CONTINUOUS, Bound
from reuse_compiler.metrics import Judge

__all__ = ["SAFETY", "Flips", "Risk", "allowance"]

SAFETY = 0.5
"""The share of a limit that a loss may use where nothing is known of how near decisions are. Reuse carries over to frames not
seen, counts do not: calibrated at the whole limit, every third of nine recordings exceeded it later, at half of it none."""

_CONFIDENCE = 0.9
"""How often as many other frames are to keep a limit."""

_SURPRISE = 1 / 3
"""How much of what was counted beyond what was expected is taken for more than chance: a count of a few varies by half."""

_RELATIVE = 0.1
"""Largest relative RMSE of an output whose decisions are bounded. A count alone says nothing of a part in which nothing
comes near its threshold."""

_FINEST = -20
_COARSEST = 6
_PER_OCTAVE = 2
_BINS = (_COARSEST - _FINEST) * _PER_OCTAVE
_EDGES = np.arange(1, _BINS + 1) / _PER_OCTAVE + _FINEST
"""Where bins end, as logarithms."""
_KERNEL = np.bartlett(2 * _PER_OCTAVE + 3)[1:-1]
_NEAR = 64.0

Arrays = Mapping[str, NDArray[Any]]


class Flips:
    """Expected number of decisions that errors turn.

    A decision at a distance m from its threshold turns if it errs by more than m towards it. Errors are taken for
    symmetric and exponential (they have heavier tails than a normal distribution), with the mean square that is seen among
    decisions of similar distance: outputs behind a softmax or a sigmoid err most where they are least sure. Distances are
    binned by half octaves from 2^-20 to 2^6, and mean squares are smoothed over an octave to either side.
    """

    def __init__(self) -> None:
        self._decisions = np.zeros(_BINS)
        self._squares = np.zeros(_BINS)

    def add(self, margins: NDArray[Any], errors: NDArray[Any]) -> None:
        """Distances from the threshold, not negative, and errors along them: float arrays of one shape."""
        places = _bins(margins).ravel()
        self._decisions += np.bincount(places, minlength=_BINS)
        squares = np.nan_to_num(np.square(errors, dtype=np.float64), nan=np.inf).ravel()
        self._squares += np.bincount(places, squares, minlength=_BINS)

    def near(self, turned: float) -> float:
        """Root mean square of errors near the threshold, as a share of what turns `turned` decisions: it moves with every
        width, where a count stands still and jumps.

        The nearest 64 times `turned` decisions weigh most. With a density of n decisions within a margin m, normal errors of
        rms e turn about 0.4 e n / m of them.
        """
        decisions = self._decisions
        nearer = np.cumsum(decisions) - decisions / 2
        wanted = _NEAR * max(turned, 1e-9)
        weights = 1 / (1 + (nearer / wanted) ** 2)
        weighed = float((weights * decisions).sum())
        squares = float((weights * self._squares).sum())
        if weighed == 0 or squares == 0:
            return 0.0
        margin = float(np.exp2(np.interp(wanted, np.cumsum(decisions), _EDGES)))
        return float(np.sqrt(squares / weighed)) * 0.4 * _NEAR / margin

    @property
    def expected(self) -> float:
        """Of all decisions so far."""
        decisions = self._decisions
        squares = np.convolve(self._squares, _KERNEL, "same")
        deviations = np.sqrt(squares / np.maximum(np.convolve(decisions, _KERNEL, "same"), 1e-9))
        margins = 2.0 ** (_EDGES - 0.5 / _PER_OCTAVE)
        turned = np.exp(-np.sqrt(2) * margins / np.maximum(deviations, 1e-300)) / 2
        return float((decisions * turned).sum())


def _bins(values: NDArray[Any]) -> NDArray[np.intp]:
    with np.errstate(divide="ignore"):
        places = (np.log2(values) - _FINEST) * _PER_OCTAVE
    return np.asarray(np.clip(places, 0, _BINS - 1), np.intp)


class Risk:
    """Counts what a candidate does to the outputs that `bounds` bound.

    Parameters
    ----------
    bounds : sequence of Bound
    scales : sequence of float
        The variance of each bound's fp32 output over the whole recording; 0 where it is constant. A part's own variance
        would judge a part in which little happens by another measure than the rest.
    judge : Judge
        Of the same bounds.
    recorded : int
        Frames of the whole recording.
    """

    def __init__(self, bounds: Sequence[Bound], scales: Sequence[float], judge: Judge, recorded: int) -> None:
        self._judge = judge
        self._recorded = recorded
        self._deviation = Deviation()  # of all outputs, for a function of them
        self._counts = [
            (bound, scale, OutputError(), Flips(), np.zeros(2)) for bound, scale in zip(bounds, scales, strict=True)
        ]

    def add(self, reference: Arrays, values: Arrays) -> None:
        """Take one frame's outputs of the fp32 model and of the candidate."""
        self._judge.add(reference, values)
        for bound, _, error, flips, totals in self._counts:
            if bound.own is not None:
                self._deviation.add({name: reference[name] for name in values}, values)
                continue
            exact = np.asarray(reference[bound.output])[bound.index]
            value = np.asarray(values[bound.output])[bound.index]
            error.add(exact, value)
            if bound.metric in ("f1", "decision"):
                _threshold(bound, exact, value, flips, totals)
            elif bound.metric == "argmax" and exact.ndim and exact.shape[-1] > 1:
                _best(bound, exact, value, flips, totals)

    @property
    def error(self) -> float:
        """The largest relative RMSE of what is bounded. Of counts, 0.1 is about where their decisions use their limit up."""
        found = [0.0]
        for bound, scale, error, flips, (decisions, positives) in self._counts:
            relative = _relative(error, scale) if bound.own is None else self._deviation.relrmse
            if bound.metric in ("f1", "decision", "argmax"):
                fair = self._fair(bound, positives if bound.metric == "f1" else decisions)
                relative = float(np.hypot(0.3 * relative, 0.1 * flips.near(fair)))
            found.append(relative)
        return max(found)

    @property
    def strict(self) -> float:
        """The largest share of a limit that is used on these frames; 1 is the bound."""
        shares = [0.0]
        for (bound, scale, error, *_), (_, loss) in zip(self._counts, self._judge.losses, strict=True):
            shares.append(_of(_relative(error, scale) if bound.metric in ("relrmse", "sqnr") else loss, bound.limit))
        return max(shares)

    @property
    def cautious(self) -> float:
        """The same with frames in mind that are not seen.

        Wrong decisions that are to be expected, and more where more were counted, may be so many as :func:`allowance` says;
        other shares may use half of their limits. Outputs that are counted err by 0.1 of their deviation at most.
        """
        shares = [self.strict]
        for (bound, scale, error, flips, (decisions, positives)), (_, loss) in zip(
            self._counts, self._judge.losses, strict=True
        ):
            relative = _relative(error, scale)
            if bound.metric in CONTINUOUS:
                continue
            shares.append(relative / _RELATIVE)
            if bound.metric not in ("f1", "decision", "argmax"):
                shares.append(_of(loss, bound.limit * SAFETY))
                continue
            total = positives if bound.metric == "f1" else decisions
            likely = flips.expected + max(loss * total - flips.expected, 0.0) * _SURPRISE
            shares.append(_of(likely, self._fair(bound, total)))
        return max(shares)

    def _fair(self, bound: Bound, total: float) -> float:
        """How many of `total` decisions of these frames may be expected to be wrong, so that as many frames as were recorded
        keep the limit; no more of them than frames count as independent. Where nothing is positive, one that is taken for
        it makes all of F1."""
        share = self._judge.frames / self._recorded
        most = min(bound.limit * total / share, float(self._recorded))
        if most == 0:
            return allowance(0.0) * share
        return bound.limit * total * min(allowance(most) / most, 1.0)


@lru_cache(maxsize=4096)
def allowance(most: float) -> float:
    """How many wrong decisions may be expected where `most` are allowed, so that as many other frames keep to that nine times
    out of ten.

    What is expected is itself known from about as many decisions only, so that the count to come is negative binomial with
    twice the variance of a Poisson count.
    """
    expected = brentq(lambda mean: nbinom.sf(int(most), mean, 0.5) - (1 - _CONFIDENCE), 1e-9, 2 * most + 5)
    return float(expected)


def _of(loss: float, limit: float) -> float:
    if loss == 0:
        return 0.0
    return loss / limit if limit > 0 else np.inf


def _relative(error: OutputError, variance: float) -> float:
    """Relative RMSE by the recording's variance; of what never varies there is none."""
    if error.squared_error == 0 or variance == 0:
        return 0.0
    return float(np.sqrt(error.squared_error / error.elements / variance))


def _threshold(
    bound: Bound, exact: NDArray[Any], value: NDArray[Any], flips: Flips, totals: NDArray[np.float64]
) -> None:
    assert bound.threshold is not None
    margins = np.abs(exact.astype(np.float64) - bound.threshold)
    sure = margins > bound.margin if bound.margin > 0 else np.ones(margins.shape, np.bool_)
    flips.add(margins[sure], (value.astype(np.float64) - exact)[sure])
    totals += np.array([np.count_nonzero(sure), 2 * np.count_nonzero((exact > bound.threshold) & sure)])


def _best(bound: Bound, exact: NDArray[Any], value: NDArray[Any], flips: Flips, totals: NDArray[np.float64]) -> None:
    """How far the best class is before the second, and by how much that errs."""
    rows = exact.reshape(-1, exact.shape[-1]).astype(np.float64)
    others = value.reshape(rows.shape).astype(np.float64)
    best = np.argpartition(rows, -2, axis=-1)[:, -2:]
    two, taken = np.take_along_axis(rows, best, -1), np.take_along_axis(others, best, -1)
    margins = np.abs(two[:, 1] - two[:, 0])
    errors = (taken[:, 1] - taken[:, 0]) - (two[:, 1] - two[:, 0])
    sure = margins > bound.margin if bound.margin > 0 else np.ones(margins.shape, np.bool_)
    flips.add(margins[sure], errors[sure])
    totals[0] += np.count_nonzero(sure)
