"""What a run loses against the fp32 model, and whether it keeps the budget of its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reuse_compiler.accuracy import Deviation
from reuse_compiler.budget import Bound, parse_budget
from reuse_compiler.frontend import Model
from reuse_compiler.metrics import Judge
from reuse_compiler.plan import Plan
from reuse_compiler.report import Accuracy, BoundLoss, OutputAccuracy

__all__ = ["RunAccuracy"]


class RunAccuracy:
    """Takes the outputs of a run frame by frame; keeps none of them.

    Parameters
    ----------
    model : Model
        The original.
    plan : Plan or None
        Its budget is judged, if it has one.

    Raises BudgetError where the plan's budget is not one for this model.
    """

    def __init__(self, model: Model, plan: Plan | None) -> None:
        self._deviation = Deviation()
        budget = None if plan is None else plan.budget
        self._judge = None if budget is None else Judge(parse_budget(budget.text, model.outputs))

    def add(self, reference: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Take one frame's outputs of the fp32 model and of the run.

        Raises StreamError where an output that the budget bounds is not finite in the fp32 model.
        """
        self._deviation.add(reference, values)
        if self._judge is not None:
            self._judge.add(reference, values)

    def report(self) -> Accuracy:
        """Of all frames so far."""
        outputs = {
            name: OutputAccuracy(relrmse=error.relrmse, rmse=error.rmse, max_abs=error.max_abs)
            for name, error in self._deviation.outputs.items()
        }
        bounds = [] if self._judge is None else [_loss(bound, loss) for bound, loss in self._judge.losses]
        if not bounds:
            return Accuracy(metric="relrmse", value=self._deviation.relrmse, outputs=outputs)
        worst = max(bounds, key=lambda bound: bound.share)
        return Accuracy(
            metric=worst.text.rpartition("<=")[0].strip(),
            value=worst.loss,
            budget=worst.limit,
            kept=all(bound.kept for bound in bounds),
            bounds=bounds,
            outputs=outputs,
        )


def _loss(bound: Bound, loss: float) -> BoundLoss:
    return BoundLoss(text=bound.text, output=bound.output, loss=loss, limit=bound.limit)
