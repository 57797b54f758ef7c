"""Losses against the fp32 model, counted frame by frame; no output is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.accuracy import OutputError
from reuse_compiler.budget import Bound
from reuse_compiler.errors import StreamError

__all__ = ["Judge"]

Array = NDArray[Any]
_TOP = 5


@dataclass
class _Count:
    """Sums over a stream: of one bound."""

    error: OutputError = field(default_factory=OutputError)
    wrong: int = 0
    total: int = 0
    positives: int = 0
    """Of fp32 and of the run together."""
    lowest: float = np.inf
    highest: float = -np.inf


class Judge:
    """Counts the losses that `bounds` bound, over the frames that it is given.

    Attributes
    ----------
    frames : int
    """

    def __init__(self, bounds: Sequence[Bound]) -> None:
        self._counts = [(bound, _Count()) for bound in bounds]
        self.frames = 0

    def add(self, reference: Mapping[str, Array], values: Mapping[str, Array]) -> None:
        """Take one frame's outputs of the fp32 model and of the run.

        Raises StreamError where an output of the fp32 model is not finite. One of the run that is not counts as wrong, with
        an infinite error.
        """
        for bound, count in self._counts:
            exact = np.asarray(reference[bound.output])[bound.index]
            if not np.isfinite(exact).all():
                raise StreamError(
                    f"frame {self.frames}: output {bound.output} of the fp32 model is not finite: judge another output"
                )
            value = np.asarray(values[bound.output])[bound.index]
            count.lowest = min(count.lowest, float(exact.min(initial=np.inf)))
            count.highest = max(count.highest, float(exact.max(initial=-np.inf)))
            _COUNTERS[bound.metric](bound, count, exact, value)
        self.frames += 1

    @property
    def losses(self) -> list[tuple[Bound, float]]:
        """The loss of each bound so far."""
        return [(bound, _loss(bound, count)) for bound, count in self._counts]

    @property
    def excess(self) -> float:
        """The largest loss as a share of its limit: up to 1 keeps the budget. A limit of 0 is kept by no loss alone."""
        shares = [_share(loss, bound.limit) for bound, loss in self.losses]
        return max(shares, default=0.0)

    @property
    def constant(self) -> list[Bound]:
        """Bounds whose output is one value throughout, so that an error has no scale."""
        return [bound for bound, count in self._counts if count.lowest >= count.highest]


def _share(loss: float, limit: float) -> float:
    if loss == 0:
        return 0.0
    return loss / limit if limit > 0 else np.inf


def _loss(bound: Bound, count: _Count) -> float:
    if bound.metric == "relrmse":
        return count.error.relrmse
    if bound.metric == "f1":
        return count.wrong / count.positives if count.positives else 0.0
    return count.wrong / count.total if count.total else 0.0


def _relrmse(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    count.error.add(exact, value)


def _argmax(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    rows, others, sure = _rows(bound, exact, value)
    count.wrong += int(np.count_nonzero((rows.argmax(-1) != others.argmax(-1)) & sure))
    count.total += int(np.count_nonzero(sure))


def _top5(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    rows, others, sure = _rows(bound, exact, value)
    of_best = np.take_along_axis(others, rows.argmax(-1)[:, None], -1)
    missed = np.count_nonzero(others > of_best, axis=-1) >= _TOP
    count.wrong += int(np.count_nonzero((missed | np.isnan(of_best[:, 0])) & sure))
    count.total += int(np.count_nonzero(sure))


def _rows(bound: Bound, exact: Array, value: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Rows along the last axis, and those that fp32 is sure of."""
    rows = exact.reshape(-1, exact.shape[-1] if exact.ndim else 1)
    others = np.asarray(value).reshape(rows.shape)
    if bound.margin == 0 or rows.shape[1] < 2:
        return rows, others, np.ones(len(rows), np.bool_)
    best = np.partition(rows, -2, axis=-1)[:, -2:]
    return rows, others, best[:, 1] - best[:, 0] > bound.margin


def _decision(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    above, taken, sure = _sides(bound, exact, value)
    count.wrong += int(np.count_nonzero((above != taken) & sure))
    count.total += int(np.count_nonzero(sure))


def _f1(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    """1 - F1 = (false positives + false negatives) / (positives of both)."""
    above, taken, sure = _sides(bound, exact, value)
    count.wrong += int(np.count_nonzero((above != taken) & sure))
    count.positives += int(np.count_nonzero(above & sure)) + int(np.count_nonzero(taken & sure))


def _sides(bound: Bound, exact: Array, value: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """What is above the threshold in fp32 and in the run, and what fp32 is sure of. No number is on the wrong side."""
    assert bound.threshold is not None
    above = exact > bound.threshold
    taken = np.where(np.isnan(value), ~above, np.asarray(value) > bound.threshold)
    sure = np.abs(exact - bound.threshold) > bound.margin if bound.margin > 0 else np.ones(exact.shape, np.bool_)
    return above, taken, sure


_COUNTERS = {"relrmse": _relrmse, "argmax": _argmax, "top5": _top5, "decision": _decision, "f1": _f1}
