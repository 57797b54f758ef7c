"""The plan that a fit to a budget gives, with what it came to on both parts of the recording, and why."""

from __future__ import annotations

from collections.abc import Mapping

from reuse_compiler.budget_problem import BudgetProblem
from reuse_compiler.guard_observation import observe_guard
from reuse_compiler.held_recording import HeldRecording
from reuse_compiler.plan import BudgetRecord, ModelRef, NextStep, Objective, PartRecord, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.search.evaluator import Outcome
from reuse_compiler.settling import Settled
from reuse_compiler.sites import Site

__all__ = ["fitted_plan"]

_WORDS: dict[Objective, str] = {
    "macs": "multiply-accumulates",
    "cycles": "cycles",
    "energy": "energy",
    "cpu_time": "CPU time",
}


def fitted_plan(
    problem: BudgetProblem, settled: Settled, following: Mapping[str, NextStep], cut_short_seconds: float | None
) -> Plan:
    """The plan of what was settled; `following`: what the next step would come to, by tensor, where that is known;
    `cut_short_seconds`: the effort, where it cut the search short."""
    settings, quantizers = problem.settings, settled.quantizers(problem)
    reason = _reason(problem, settled)
    # As one stretch, and from where the verification starts: whoever runs it again meets the one or the other.
    frames = [*problem.whole, *problem.verification]
    watched = observe_guard(problem.trial, quantizers, frames, settings.state) if settings.guard else None
    return Plan(
        model=ModelRef(path=str(problem.model.path), sha256=problem.model.sha256),
        state=dict(settings.state),
        refresh=RefreshPlan(every=settings.refresh) if quantizers and settings.refresh is not None else None,
        guard=watched,
        budget=_record(problem, settled, cut_short_seconds),
        sites=[
            _site_plan(
                site,
                quantizers.get(site.input),
                settled.unpaid.get(site.input, reason),
                following.get(site.input),
            )
            for site in problem.sites
        ],
    )


def _reason(problem: BudgetProblem, settled: Settled) -> str:
    parts = f"{len(problem.calibration)} frames, verified on {len(problem.verification)} others"
    found = settled.found
    if found is None:
        return f"dense: no plan keeps {problem.text} on {parts}"
    objective = problem.settings.objective
    what = "model" if objective == "macs" else f"model, weighed by {_WORDS[objective]},"
    return (
        f"{problem.text} on {parts}: {found.calibration.loss:.0%} of the budget used and {found.calibration.reuse:.1%} of"
        f" the {what} reused, {found.verification.loss:.0%} and {found.verification.reuse:.1%} in the verification"
    )


def _record(problem: BudgetProblem, settled: Settled, cut_short_seconds: float | None) -> BudgetRecord:
    objective, found = problem.settings.objective, settled.found
    if found is not None:
        return BudgetRecord(
            text=problem.text,
            calibration=_part(problem, problem.calibration, found.calibration),
            verification=_part(problem, problem.verification, found.verification),
            objective=objective,
            cut_short_seconds=cut_short_seconds,
        )
    why = "no plan that reuses keeps the budget on both parts of the recording"
    if settled.unpaid:
        why = f"reuse saves {_WORDS[objective]} in no site within the budget"
    calibration, verification = (
        PartRecord(frames=len(part), reuse=0.0, loss=0.0) for part in (problem.calibration, problem.verification)
    )
    return BudgetRecord(
        text=problem.text,
        calibration=calibration,
        verification=verification,
        dense_because=why,
        objective=objective,
        cut_short_seconds=cut_short_seconds,
    )


def _part(problem: BudgetProblem, part: HeldRecording, outcome: Outcome) -> PartRecord:
    if problem.settings.objective == "macs":
        return PartRecord(frames=len(part), reuse=outcome.reuse, loss=outcome.loss)
    reuse = problem.counting(part).evaluate(outcome.candidate).reuse
    return PartRecord(frames=len(part), reuse=reuse, loss=outcome.loss, weighed=outcome.reuse)


def _site_plan(site: Site, quantizer: LinearQuantizer | None, reason: str, following: NextStep | None) -> SitePlan:
    return SitePlan(
        node=site.node,
        input=site.input,
        op=site.op,
        mode="dense" if quantizer is None else "reuse",
        quantizer=None if quantizer is None else QuantizerSpec.of(quantizer),
        reason=reason,
        next=following,
    )
