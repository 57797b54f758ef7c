"""Losses against the fp32 model, counted frame by frame; only a function of the user's own has outputs kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.accuracy import OutputError
from reuse_compiler.budget import CONTINUOUS, LABELLED, TOP, Bound
from reuse_compiler.errors import StreamError
from reuse_compiler.label_metrics import LabelLoss
from reuse_compiler.own_metric import OwnLoss

__all__ = ["Judge"]

Array = NDArray[Any]


class _Loss(Protocol):
    """The loss of one bound, frame by frame."""

    def add(self, frame: int, reference: Mapping[str, Array], values: Mapping[str, Array]) -> None:
        """Take one frame."""

    @property
    def loss(self) -> float:
        """Of all frames so far."""


@dataclass
class _Count:
    """Sums over a stream: of one bound against the fp32 model."""

    bound: Bound
    error: OutputError = field(default_factory=OutputError)
    wrong: int = 0
    total: int = 0
    positives: int = 0
    """Of fp32 and of the run together."""
    lowest: float = np.inf
    highest: float = -np.inf

    def add(self, frame: int, reference: Mapping[str, Array], values: Mapping[str, Array]) -> None:
        bound = self.bound
        exact = np.asarray(reference[bound.output])[bound.index]
        if not np.isfinite(exact).all():
            raise StreamError(
                f"frame {frame}: output {bound.output} of the fp32 model is not finite: judge another output"
            )
        value = np.asarray(values[bound.output])[bound.index]
        self.lowest = min(self.lowest, float(exact.min(initial=np.inf)))
        self.highest = max(self.highest, float(exact.max(initial=-np.inf)))
        _COUNTERS[bound.metric](bound, self, exact, value)

    @property
    def loss(self) -> float:
        metric, error = self.bound.metric, self.error
        if metric == "relrmse":
            return error.relrmse
        if metric == "rmse":
            return error.rmse
        if metric == "sqnr":
            return _noise(error)
        if metric == "f1":
            return self.wrong / self.positives if self.positives else 0.0
        return self.wrong / self.total if self.total else 0.0


class Judge:
    """Counts the losses that `bounds` bound, over the frames that it is given.

    Attributes
    ----------
    frames : int
    keeps_outputs : bool
        Whether the arrays that it is given have to stay as they are: a function of the user's own looks at them again.
    """

    def __init__(self, bounds: Sequence[Bound]) -> None:
        self._losses = [(bound, _loss(bound)) for bound in bounds]
        self.frames = 0
        self.keeps_outputs = any(bound.own is not None for bound in bounds)

    def add(self, reference: Mapping[str, Array], values: Mapping[str, Array]) -> None:
        """Take one frame's outputs of the fp32 model, the stream's labels by their keys among them, and of the run.

        Raises StreamError where an output of the fp32 model is not finite, or labels do not fit; BudgetError where labels
        that a bound asks for are not there. An output of the run that is not finite counts as wrong, with an infinite
        error.
        """
        for _, loss in self._losses:
            loss.add(self.frames, reference, values)
        self.frames += 1

    @property
    def losses(self) -> list[tuple[Bound, float]]:
        """The loss of each bound so far. Raises BudgetError where a function of the user's own fails."""
        return [(bound, loss.loss) for bound, loss in self._losses]

    @property
    def excess(self) -> float:
        """The largest loss as a share of its limit: up to 1 keeps the budget. A limit of 0 is kept by no loss alone."""
        shares = [_share(loss, bound.limit) for bound, loss in self.losses]
        return max(shares, default=0.0)

    @property
    def constant(self) -> list[Bound]:
        """Bounds whose output is one value throughout, so that a relative error has no scale."""
        return [loss.bound for _, loss in self._losses if isinstance(loss, _Count) and loss.lowest >= loss.highest]

    @property
    def silent(self) -> list[Bound]:
        """Those among them whose output is zero throughout."""
        return [loss.bound for _, loss in self._losses if isinstance(loss, _Count) and loss.lowest == loss.highest == 0]


def _loss(bound: Bound) -> _Loss:
    if bound.own is not None:
        return OwnLoss(bound.own)
    return LabelLoss(bound) if bound.metric in LABELLED else _Count(bound)


def _noise(error: OutputError) -> float:
    """Root mean squared error over the root mean square of the fp32 output."""
    if error.squared_error == 0:
        return 0.0
    return float(np.sqrt(error.squared_error / error.squares)) if error.squares > 0 else np.inf


def _share(loss: float, limit: float) -> float:
    if loss == 0:
        return 0.0
    return loss / limit if limit > 0 else np.inf


def _error(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    count.error.add(exact, value)


def _argmax(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    rows, others, sure = _rows(bound, exact, value)
    count.wrong += int(np.count_nonzero((rows.argmax(-1) != others.argmax(-1)) & sure))
    count.total += int(np.count_nonzero(sure))


def _top5(bound: Bound, count: _Count, exact: Array, value: Array) -> None:
    rows, others, sure = _rows(bound, exact, value)
    of_best = np.take_along_axis(others, rows.argmax(-1)[:, None], -1)
    missed = np.count_nonzero(others > of_best, axis=-1) >= TOP
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


_COUNTERS = {
    **dict.fromkeys(CONTINUOUS, _error),
    "argmax": _argmax,
    "top5": _top5,
    "decision": _decision,
    "f1": _f1,
}
