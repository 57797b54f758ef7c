"""The Pareto front: plans for a budget's limit and for shares and multiples of it, those that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from reuse_compiler.budget_problem import BudgetProblem
from reuse_compiler.document import Document, ModelRef, Strict, ToolRef
from reuse_compiler.held_recording import HeldRecording
from reuse_compiler.plan import Objective, PartRecord, Plan
from reuse_compiler.report import BoundLoss
from reuse_compiler.settling import Settled

__all__ = ["FACTORS", "FittedPoint", "ParetoFront", "ParetoPart", "ParetoPoint", "measure_part", "pareto_front"]

FACTORS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""Limits of the front's plans over those of the budget."""


class ParetoPart(Strict):
    """A plan on one part of the recording.

    Parameters
    ----------
    frames : int
    reuse : float
        Share of the model's multiply-accumulates avoided.
    weighed : float or None
        Reuse weighed by what layers cost by the objective, where that is another.
    loss : float
        The largest share that is used of a limit of the front's budget, not of the plan's own.
    bounds : list of BoundLoss
        The bounds of the front's budget: losses and limits in the metric's unit, a relative RMSE by the deviation of the
        whole recording.
    """

    frames: int
    reuse: float
    weighed: float | None = None
    loss: float
    bounds: list[BoundLoss]


class ParetoPoint(Strict):
    """A plan of the front.

    Parameters
    ----------
    plan : str
        Name of its file.
    budget : str
        The one it was fitted to and keeps on both parts.
    factor : float
        Its limits over those of the front's budget.
    calibration, verification : ParetoPart
    """

    plan: str
    budget: str
    factor: float
    calibration: ParetoPart
    verification: ParetoPart

    @property
    def reuse(self) -> float:
        """On the calibration, weighed by the objective."""
        return self.calibration.reuse if self.calibration.weighed is None else self.calibration.weighed

    @property
    def loss(self) -> float:
        """The larger of both parts."""
        return max(self.calibration.loss, self.verification.loss)


class ParetoFront(Document):
    """pareto.json: the points by their reuse, the least first."""

    KIND, REMEDY = "Pareto front", "fit it again"

    format_version: Literal[1] = 1
    tool: ToolRef = Field(default_factory=ToolRef)
    model: ModelRef
    budget: str
    objective: Objective
    points: list[ParetoPoint]


@dataclass(frozen=True)
class FittedPoint:
    """A plan for one of the limits: `factor` times the budget's."""

    factor: float
    plan: Plan
    calibration: ParetoPart
    verification: ParetoPart

    def document(self, name: str) -> ParetoPoint:
        """As the front lists it, its plan in the file `name`."""
        assert self.plan.budget is not None
        return ParetoPoint(
            plan=name,
            budget=self.plan.budget.text,
            factor=self.factor,
            calibration=self.calibration,
            verification=self.verification,
        )


def measure_part(problem: BudgetProblem, settled: Settled, part: HeldRecording, record: PartRecord) -> ParetoPart:
    """What was settled on `part`, by the limits of `problem`; `record` is the plan's own of that part."""
    losses = problem.losses(part, settled.quantizers(problem))
    outputs = ", ".join(spec.name for spec in problem.model.outputs)
    bounds = [
        BoundLoss(text=bound.text, output=bound.output or outputs, loss=loss, limit=bound.limit)
        for bound, loss in zip(problem.bounds, losses, strict=True)
    ]
    return ParetoPart(
        frames=record.frames,
        reuse=record.reuse,
        weighed=record.weighed,
        loss=max(bound.share for bound in bounds),
        bounds=bounds,
    )


def pareto_front(problem: BudgetProblem, points: Sequence[FittedPoint]) -> tuple[ParetoFront, list[Plan]]:
    """The front, and its plans in the same order; points that another one beats are left out: it reuses no less, loses no
    more, and is better in one."""
    listed = [(point.document(""), point.plan) for point in points]
    kept = [
        (point, plan)
        for number, (point, plan) in enumerate(listed)
        if not any(
            _beats(other, point, first=place < number) for place, (other, _) in enumerate(listed) if place != number
        )
    ]
    kept.sort(key=lambda pair: pair[0].reuse)
    named = [point.model_copy(update={"plan": f"plan-{number:02}.json"}) for number, (point, _) in enumerate(kept, 1)]
    front = ParetoFront(
        model=ModelRef(path=str(problem.model.path), sha256=problem.model.sha256),
        budget=problem.text,
        objective=problem.settings.objective,
        points=named,
    )
    return front, [plan for _, plan in kept]


def _beats(one: ParetoPoint, other: ParetoPoint, *, first: bool) -> bool:
    """Of two that are alike the first does."""
    if one.reuse < other.reuse or one.loss > other.loss:
        return False
    return first or (one.reuse, one.loss) != (other.reuse, other.loss)
