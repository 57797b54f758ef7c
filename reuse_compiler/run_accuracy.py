"""What a run loses against the fp32 model, and whether it keeps the budget of its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reuse_compiler.accuracy import Deviation
from reuse_compiler.budget import LABELLED, Bound, parse_budget
from reuse_compiler.frontend import Model
from reuse_compiler.label_metrics import has_labels
from reuse_compiler.metrics import Judge
from reuse_compiler.plan import Plan
from reuse_compiler.report import Accuracy, BoundLoss, OutputAccuracy, UnjudgedBound

__all__ = ["RunAccuracy"]


class RunAccuracy:
    """Takes the outputs of a run frame by frame; keeps none of them, but for a budget that is a function of the user's own.

    Parameters
    ----------
    model : Model
        The original.
    plan : Plan or None
        Its budget is judged, if it has one; bounds against labels only on a stream that has them from its first frame.

    Raises BudgetError where the plan's budget is not one for this model.
    """

    def __init__(self, model: Model, plan: Plan | None) -> None:
        self._deviation = Deviation()
        budget = None if plan is None else plan.budget
        self._bounds = () if budget is None else parse_budget(budget.text, model.outputs)
        self._judge: Judge | None = None
        self._unjudged: list[UnjudgedBound] = []
        self._outputs = ", ".join(spec.name for spec in model.outputs)

    def add(
        self, reference: Mapping[str, Any], values: Mapping[str, Any], labels: Mapping[str, Any] | None = None
    ) -> None:
        """Take one frame's outputs of the fp32 model and of the run, and the stream's labels by their keys.

        Raises StreamError where an output that the budget bounds is not finite in the fp32 model, or labels do not fit.
        """
        self._deviation.add(reference, values)
        known = {**reference, **(labels or {})}
        if self._judge is None:
            self._judge = Judge([bound for bound in self._bounds if _can_be_judged(bound, known)])
            self._unjudged = [
                UnjudgedBound(text=bound.text, output=bound.output)
                for bound in self._bounds
                if not _can_be_judged(bound, known)
            ]
        if self._judge.keeps_outputs:
            known, values = _copied(known), _copied(values)
        self._judge.add(known, values)

    def report(self) -> Accuracy:
        """Of all frames so far."""
        outputs = {
            name: OutputAccuracy(relrmse=error.relrmse, rmse=error.rmse, max_abs=error.max_abs)
            for name, error in self._deviation.outputs.items()
        }
        losses = [] if self._judge is None else self._judge.losses
        bounds = [self._loss(bound, loss) for bound, loss in losses]
        if not bounds:
            relrmse = self._deviation.relrmse
            return Accuracy(metric="relrmse", value=relrmse, unjudged=self._unjudged, outputs=outputs)
        worst = max(bounds, key=lambda bound: bound.share)
        kept = all(bound.kept for bound in bounds)
        return Accuracy(
            metric=worst.text.rpartition("=")[0].rstrip("<> "),
            value=worst.loss,
            budget=worst.limit,
            kept=None if kept and self._unjudged else kept,
            bounds=bounds,
            unjudged=self._unjudged,
            outputs=outputs,
        )

    def _loss(self, bound: Bound, loss: float) -> BoundLoss:
        return BoundLoss(text=bound.text, output=bound.output or self._outputs, loss=loss, limit=bound.limit)


def _can_be_judged(bound: Bound, known: Mapping[str, Any]) -> bool:
    return bound.metric not in LABELLED or has_labels(bound, known)


def _copied(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """As an executor may write the next frame into the same arrays."""
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arrays.items()}
