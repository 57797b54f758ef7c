"""What a run loses against labels: the score of the fp32 model less the score of the run, against the same labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.budget import TOP, Bound
from reuse_compiler.errors import BudgetError, StreamError
from reuse_compiler.streams.labels import label_keys

__all__ = ["LabelLoss", "has_labels"]


Array = NDArray[Any]


@dataclass
class _Score:
    """Of one model, against labels."""

    right: int = 0
    """Rows or elements; of f1 twice those above the threshold that belong there."""
    total: int = 0
    """Rows or elements; of f1 those above the threshold, and those that belong there."""

    @property
    def value(self) -> float:
        return self.right / self.total if self.total else 1.0


@dataclass
class LabelLoss:
    """The score lost by one bound: 0 where the run scores better than the fp32 model."""

    bound: Bound
    exact: _Score = field(default_factory=_Score)
    run: _Score = field(default_factory=_Score)

    def add(self, frame: int, reference: Mapping[str, Array], values: Mapping[str, Array]) -> None:
        """Take one frame. `reference` holds its labels beside the outputs of the fp32 model.

        Raises BudgetError where it holds none, StreamError where they do not fit the output.
        """
        bound = self.bound
        key, labels = _labels(bound, frame, reference)
        where = f"frame {frame}: {key}"
        for score, outputs in ((self.exact, reference), (self.run, values)):
            output = np.asarray(outputs[bound.output])[bound.index]
            if bound.metric in ("labels.argmax", "labels.top5"):
                _classes(bound, score, output, labels, where)
            else:
                _sides(bound, score, output, labels, where)

    @property
    def loss(self) -> float:
        """So far, a share of 1."""
        return max(self.exact.value - self.run.value, 0.0)


def has_labels(bound: Bound, reference: Mapping[str, Any]) -> bool:
    """Whether labels of what `bound` bounds are among these."""
    return any(key in reference for key in label_keys(bound.output))


def _labels(bound: Bound, frame: int, reference: Mapping[str, Array]) -> tuple[str, Array]:
    keys = label_keys(bound.output)
    key = next((key for key in keys if key in reference), None)
    if key is None:
        raise BudgetError(
            f"budget {bound.text!r}: frame {frame} of the stream has no labels: give {' or '.join(keys)} beside its inputs"
        )
    labels = np.asarray(reference[key])
    if labels.dtype.kind not in "biuf":
        raise StreamError(f"frame {frame}: {key} is {labels.dtype}: give numbers")
    return key, labels.reshape(-1)


def _classes(bound: Bound, score: _Score, output: Array, labels: Array, where: str) -> None:
    """Labels are class numbers, one a row; rows with one below 0 are left out."""
    rows = output.reshape(-1, output.shape[-1] if output.ndim else 1)
    classes = rows.shape[1]
    if len(labels) != len(rows):
        raise StreamError(f"{where} has {len(labels)} labels, {bound.output} {len(rows)} rows: give one a row")
    if len(labels) and (labels.dtype.kind not in "iu" or labels.max() >= classes):
        raise StreamError(f"{where} is {_range(labels)}: give the whole numbers of {classes} classes, from 0")
    known = labels >= 0
    rows, labels = rows[known], labels[known].astype(np.int64)
    own = np.take_along_axis(rows, labels[:, None], -1)
    before = np.count_nonzero(~(rows <= own), axis=-1)  # what is no number is before all
    ties = np.count_nonzero((rows == own) & (np.arange(classes) < labels[:, None]), axis=-1)
    first = 1 if bound.metric == "labels.argmax" else TOP
    score.right += int(np.count_nonzero(before + ties < first))
    score.total += len(rows)


def _sides(bound: Bound, score: _Score, output: Array, labels: Array, where: str) -> None:
    """Labels are 0 or 1, one an element: whether it belongs above the threshold; those below 0 are left out."""
    taken = output.reshape(-1)
    if len(labels) != len(taken):
        raise StreamError(
            f"{where} has {len(labels)} labels, {bound.output} {len(taken)} elements: give one an element"
        )
    if not np.isin(labels, (-1, 0, 1)).all():
        raise StreamError(f"{where} is {_range(labels)}: give 0 or 1, or -1 for what is not known")
    assert bound.threshold is not None
    known, belongs = labels >= 0, labels == 1
    above = np.where(np.isnan(taken), ~belongs, taken > bound.threshold)  # no number is on the wrong side
    if bound.metric == "labels.decision":
        score.right += int(np.count_nonzero((above == belongs) & known))
        score.total += int(np.count_nonzero(known))
        return
    score.right += 2 * int(np.count_nonzero(above & belongs & known))
    score.total += int(np.count_nonzero(above & known)) + int(np.count_nonzero(belongs & known))


def _range(labels: Array) -> str:
    return f"{labels.dtype} from {float(labels.min()):g} to {float(labels.max()):g}"
