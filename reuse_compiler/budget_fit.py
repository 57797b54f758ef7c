"""Fit a plan to a budget: the most reuse that keeps a loss, chosen on one part of a recording and verified on another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.budget_problem import MIN_FRAMES, BudgetProblem, FitSettings
from reuse_compiler.default_budget import DEFAULT_BUDGET, DefaultBudgetWarning, default_warning
from reuse_compiler.fitted_plan import fitted_plan
from reuse_compiler.frontend import Model
from reuse_compiler.next_steps import next_steps
from reuse_compiler.pareto import FACTORS, FittedPoint, ParetoFront, measure_part, pareto_front
from reuse_compiler.plan import Objective, Plan
from reuse_compiler.scaled_budget import scaled_budget
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.channels import channel_shapes
from reuse_compiler.search.effort import Effort
from reuse_compiler.search.evaluator import Outcome
from reuse_compiler.search.refinement import scale_to_bound
from reuse_compiler.search.search import Progress, search
from reuse_compiler.settling import Settled, settle
from reuse_compiler.streams import Stream

__all__ = ["MIN_FRAMES", "FitSettings", "ParetoFit", "fit_pareto", "fit_to_budget"]

_SHAPE_FRAMES = 40
"""Frames from which channels' changes are known."""


def fit_to_budget(
    model: Model,
    stream: Stream,
    budget: str | None = None,
    *,
    state: Mapping[str, str] | None = None,
    rounds: int = 1,
    jobs: int | None = None,
    guard: bool = True,
    refresh: int | None = None,
    seconds: float | None = None,
    journal: Path | None = None,
    objective: Objective = "macs",
    hardware: Hardware | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan that saves the most and keeps `budget`.

    It is searched for on the first two thirds of the recording, and all its widths are then scaled to what these and the
    last third allow, each from a cold start: the plan keeps the budget on both, or it is the dense plan and says so. Counts
    of wrong decisions stay at what as many other frames are likely to keep (:mod:`~reuse_compiler.search.risk`), which is
    no promise. At most 1 GiB of inputs and outputs is looked at.

    Parameters
    ----------
    model : Model
    stream : Stream
    budget : str, optional
        As :mod:`~reuse_compiler.budget` describes it. None or "default": a relative RMSE of at most 0.1 of every float
        output that is not constant on the recording, with a warning of what that does not cover; see
        :mod:`~reuse_compiler.default_budget`.
    state : mapping of str to str, optional
        Inputs fed back from outputs.
    rounds : int
        Of refinement, each some ten seconds of two cores; see :func:`~reuse_compiler.search.refinement.refine`.
    jobs : int, optional
        Candidates evaluated at once; by default one a core.
    guard : bool
        Give the plan a guard that nothing in the recording sets off: where another stream leaves what was seen there, a
        session quantizes the next frame anew; see :mod:`reuse_compiler.guard`.
    refresh : int, optional
        Every linear output is computed anew once in so many frames; see :mod:`reuse_compiler.refresh`.
    seconds : float, optional
        Time after which no round of refinement begins; a plan whose search it cut short says so. Without it the result is the same on every run, but for
        "cpu_time", which is measured.
    journal : Path, optional
        Where what was tried is taken down, so that a fit that was stopped goes on from there; see
        :class:`~reuse_compiler.search.journal.Journal`. A function of your own that has changed wants another.
    objective : {"macs", "cycles", "energy", "cpu_time"}
        What is to be saved; see :mod:`~reuse_compiler.objectives`. With another than "macs", sites where reuse does not
        pay stay dense, and say why; see :mod:`~reuse_compiler.paying_sites`.
    hardware : Hardware, optional
        Whose cycles or energy; isca18 by default.
    progress : callable, optional
        Called with ("search", steps done, steps in all).

    Raises
    ------
    BudgetError
        Where the budget names what is not there, or bounds the relative error of an output that is constant; where a
        function of your own fails, or labels are missing; where `seconds`, `jobs` or `objective` is out of range.
    PlanError
        Where `refresh` is below 1.
    StreamError
        Where the recording is too short to split, an output of the fp32 model is not finite, or labels do not fit.
    HardwareError
        Where the model does not fit `hardware`.
    """
    effort = Effort(seconds)
    settings = FitSettings(
        state=dict(state or {}),
        rounds=rounds,
        jobs=jobs,
        guard=guard,
        refresh=refresh,
        seconds=seconds,
        journal=journal,
        objective=objective,
        hardware=hardware,
    )
    problem = BudgetProblem.of(model, stream, budget, settings)
    if budget in (None, DEFAULT_BUDGET):
        warnings.warn(default_warning(problem.text, model.outputs), DefaultBudgetWarning, stacklevel=2)
    return _planned(problem, settle(problem, _search(problem, effort, progress)), effort)


@dataclass(frozen=True)
class ParetoFit:
    """What :func:`fit_pareto` gives.

    Parameters
    ----------
    plan : Plan
        As :func:`fit_to_budget` gives it.
    front : ParetoFront
        Its points, those that save least first.
    plans : sequence of Plan
        In the order of the points.
    """

    plan: Plan
    front: ParetoFront
    plans: Sequence[Plan]


def fit_pareto(
    model: Model,
    stream: Stream,
    budget: str | None,
    settings: FitSettings,
    *,
    factors: Sequence[float] = FACTORS,
    progress: Progress | None = None,
) -> ParetoFit:
    """The plan for `budget`, and others for its limits times `factors`, each verified as that one is.

    The search is shared: what it found has all its widths scaled to each limit. Limits of shares that would be above 1 are
    left out, and so are limits that no plan which reuses keeps. `progress` is called with ("front", points done, points in
    all), too. Raises what :func:`fit_to_budget` raises.
    """
    effort = Effort(settings.seconds)
    problem = BudgetProblem.of(model, stream, budget, settings)
    if budget in (None, DEFAULT_BUDGET):
        warnings.warn(default_warning(problem.text, model.outputs), DefaultBudgetWarning, stacklevel=2)
    best = _search(problem, effort, progress)
    settled = settle(problem, best)
    plan = _planned(problem, settled, effort)
    points = [] if settled.found is None else [_point(problem, 1.0, settled, plan)]
    others = {} if best is None else _others(problem, factors, best.candidate)
    for number, (factor, (other, outcome)) in enumerate(others.items(), 1):
        point = settle(other, outcome)
        if point.found is not None:
            points.append(_point(problem, factor, point, fitted_plan(other, point, {}, effort.cut_short_seconds)))
        if progress is not None:
            progress("front", number, len(others))
    front, plans = pareto_front(problem, sorted(points, key=lambda point: point.factor))
    return ParetoFit(plan, front, plans)


def _search(problem: BudgetProblem, effort: Effort, progress: Progress | None) -> Outcome | None:
    """The best candidate on the calibration."""
    if not problem.ranges:
        return None
    settings = problem.settings
    frames = problem.calibration.held[:_SHAPE_FRAMES]
    shapes = channel_shapes(problem.model, problem.trial, frames, problem.ranges, settings.state)
    return search(
        problem.calibrating(), problem.profile, shapes, rounds=settings.rounds, effort=effort, progress=progress
    )


def _planned(problem: BudgetProblem, settled: Settled, effort: Effort) -> Plan:
    """The plan, whose sites say what more would have come to."""
    following = {} if settled.found is None else next_steps(problem.calibrating(), settled.found.calibration)
    return fitted_plan(problem, settled, following, effort.cut_short_seconds)


def _others(
    problem: BudgetProblem, factors: Sequence[float], candidate: Candidate
) -> dict[float, tuple[BudgetProblem, Outcome | None]]:
    """By factor other than 1: the problem with limits times it, and `candidate` scaled to them, several at once."""
    texts = {factor: scaled_budget(problem.text, factor, problem.bounds) for factor in factors if factor != 1}
    problems = {factor: problem.within(text) for factor, text in texts.items() if text is not None}
    scaled = problem.calibrating().at_once(
        lambda other: scale_to_bound(other.calibrating(), candidate), list(problems.values())
    )
    return dict(zip(problems, zip(problems.values(), scaled, strict=True), strict=True))


def _point(problem: BudgetProblem, factor: float, settled: Settled, plan: Plan) -> FittedPoint:
    assert plan.budget is not None
    return FittedPoint(
        factor=factor,
        plan=plan,
        calibration=measure_part(problem, settled, problem.calibration, plan.budget.calibration),
        verification=measure_part(problem, settled, problem.verification, plan.budget.verification),
    )
