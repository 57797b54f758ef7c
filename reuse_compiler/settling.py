"""From what a search found to what a plan gets: sites where reuse does not pay become dense, and the rest is verified."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from reuse_compiler.budget_problem import BudgetProblem
from reuse_compiler.paying_sites import dearer_on_the_accelerator, slower_on_a_cpu
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.evaluator import Evaluator, Outcome
from reuse_compiler.search.refinement import scale_to_bound
from reuse_compiler.search.search import Found, verified

__all__ = ["Settled", "settle"]

_WIDER = 1.0
_ROUNDS = 4
"""Octaves by which the others are widened at most where sites became dense, and the steps of that."""


@dataclass(frozen=True)
class Settled:
    """What a plan is made of.

    Parameters
    ----------
    found : Found or None
        The candidate with what it came to on both parts, which it keeps the budget on; None where none does.
    unpaid : mapping of str to str
        By tensor, why it stays dense though it might be quantized.
    """

    found: Found | None
    unpaid: Mapping[str, str]

    def quantizers(self, problem: BudgetProblem) -> dict[str, LinearQuantizer]:
        """By tensor."""
        return {} if self.found is None else self.found.calibration.candidate.quantizers(problem.ranges)


def settle(problem: BudgetProblem, best: Outcome | None) -> Settled:
    """Verify `best`, drawn back if need be; leave dense what then does not pay, by the objective; widen the others by what
    that leaves of the budget; and verify again. Where that fails, the one that was verified first stays."""
    judges = problem.judging()
    found = None if best is None else verified(*judges, best)
    if found is None:
        return Settled(None, {})
    unpaid = _unpaid(problem, found.calibration.candidate)
    if not unpaid:
        return Settled(found, {})
    kept = _without(found.calibration.candidate, unpaid)
    if not kept.widths:
        return Settled(None, unpaid)
    again = verified(*judges, _widened(problem.calibrating(), kept))
    return Settled(found, {}) if again is None else Settled(again, unpaid)


def _unpaid(problem: BudgetProblem, candidate: Candidate) -> dict[str, str]:
    """By tensor, why it had better stay dense."""
    settings, quantizers = problem.settings, candidate.quantizers(problem.ranges)
    if settings.objective == "macs":
        return {}
    if settings.objective == "cpu_time":
        return slower_on_a_cpu(problem.trial, problem.sites, quantizers, problem.sample, settings.state)
    return dearer_on_the_accelerator(
        problem.model,
        problem.sites,
        quantizers,
        problem.sample,
        settings.state,
        settings.objective,
        settings.machine,
        problem.jobs,
    )


def _without(candidate: Candidate, tensors: Collection[str]) -> Candidate:
    windows = {name: window for name, window in candidate.windows.items() if name not in tensors}
    return replace(candidate, windows=windows)


def _widened(calibrating: Evaluator, candidate: Candidate) -> Outcome:
    """`candidate`, or wider where that reuses more within the bound."""
    as_it_is = calibrating.evaluate(candidate)
    wider = scale_to_bound(calibrating, candidate, 0.0, _WIDER, _ROUNDS)
    return wider if wider is not None and wider.reuse > as_it_is.reuse else as_it_is
