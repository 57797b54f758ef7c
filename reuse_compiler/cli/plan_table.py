"""A plan as tables and text: its budget, its options, and for each site what was chosen and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reuse_compiler.cli.console import Column, print_line, print_table
from reuse_compiler.cli.text import counted, number, percent

if TYPE_CHECKING:
    from reuse_compiler.guard_plan import GuardPlan
    from reuse_compiler.plan import NextStep, Objective, PartRecord, Plan

__all__ = ["plan_json", "print_budget", "print_options", "print_sites"]

_WEIGHTS: dict[Objective, str] = {
    "macs": "multiply-accumulates",
    "cycles": "cycles",
    "energy": "energy",
    "cpu_time": "CPU time",
}


def print_budget(plan: Plan) -> None:
    """What the plan was fitted to and what came of it, where that was a budget."""
    record = plan.budget
    if record is None:
        return
    print_line(f"budget    {record.text}")
    if record.objective != "macs":
        print_line(f"saving    {_WEIGHTS[record.objective]}")
    if record.dense_because is not None:
        print_line(f"dense     {record.dense_because}")
    else:
        print_line(f"chosen    on {_part(record.calibration, record.objective)}")
        print_line(f"verified  on {_part(record.verification, record.objective)}")
    if record.cut_short_seconds is not None:
        print_line(
            f"effort    {number(record.cut_short_seconds)} s cut the search short: without --effort, or with more, a plan may save more"
        )


def _part(part: PartRecord, objective: Objective) -> str:
    weighed = "" if part.weighed is None else f" ({percent(part.weighed)} % weighed by {_WEIGHTS[objective]})"
    return f"{counted(part.frames, 'frame')}: reuse {percent(part.reuse)} %{weighed}, {percent(part.loss)} % of the budget used"


def print_options(plan: Plan) -> None:
    """What a session does beside: state that is fed back, refresh, guard."""
    if plan.state:
        print_line(f"state     {', '.join(f'{name} from {output}' for name, output in plan.state.items())}")
    if plan.refresh is not None:
        print_line(f"refresh   every linear output once in {counted(plan.refresh.every, 'frame')}")
    if plan.guard is not None:
        for number, sign in enumerate(_signs(plan.guard)):
            print_line(f"{'' if number else 'guard':<10}anew after {sign}")


def _signs(guard: GuardPlan) -> list[str]:
    """What a guard watches for."""
    signs = []
    if guard.changed is not None:
        signs.append(f"a frame with more than {percent(guard.changed)} % of its inputs changed")
    if guard.clipped:
        signs.append(f"a frame beyond the range of its quantizers ({counted(len(guard.clipped), 'site')} watched)")
    if guard.quiet is not None:
        signs.append(f"{counted(guard.quiet.frames, 'frame')} with at most {percent(guard.quiet.share)} % changed")
    return signs


def print_sites(plan: Plan) -> None:
    """A row a site: the quantizer, what the next wider one would have come to, and why.

    A reason that all share stands below, unless it is the budget, and so does a factor. Where a budget chose them, sites that
    reuse need no other.
    """
    from reuse_compiler.inspecting import plan_rows

    rows = plan_rows(plan)
    reasons = dict.fromkeys(row.reason for row in rows if row.reason)
    factors = dict.fromkeys(row.next.factor for row in rows if row.next is not None)
    cells = [[row.node, row.words] for row in rows]
    columns = [Column("site", "name"), Column("chosen", "text")]
    if factors:
        objective = "macs" if plan.budget is None else plan.budget.objective
        reuse = "reuse %" if objective == "macs" else f"reuse % by {_WEIGHTS[objective]}"
        columns += [Column(f"wider:\n{reuse}"), Column("\nbudget %")]
        cells = [[*known, *_wider(row.next)] for known, row in zip(cells, rows, strict=True)]
    if len(factors) > 1:
        columns.append(Column("\nwidth"))
        cells = [[*known, _factor(row.next)] for known, row in zip(cells, rows, strict=True)]
    if len(reasons) > 1:
        columns.append(Column("why", "text"))
        fitted = plan.budget is not None  # to what is said above the table
        cells = [
            [*known, "" if fitted and row.mode == "reuse" else row.reason]
            for known, row in zip(cells, rows, strict=True)
        ]
    print_table(columns, cells)
    if factors:
        width = f"{number(next(iter(factors)))} times as wide" if len(factors) == 1 else "as much wider"
        print_line(f"wider: what a quantizer {width} there alone would have added")
    if plan.budget is None and len(reasons) == 1:
        print_line(f"why: {next(iter(reasons))}")


def _wider(step: NextStep | None) -> tuple[str, str]:
    return ("", "") if step is None else (f"{step.reuse * 100:+.2f}", f"{step.loss * 100:+.1f}")


def _factor(step: NextStep | None) -> str:
    return "" if step is None else f"x {number(step.factor)}"


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan, and of each site its quantizer in words and the width of it."""
    from reuse_compiler.inspecting import plan_rows

    shown = plan.model_dump(mode="json")
    for site, row in zip(shown["sites"], plan_rows(plan), strict=True):
        site.update(words=row.words, width=row.width)
    return shown
