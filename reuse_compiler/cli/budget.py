"""Options of a fit to a budget, and the fit itself."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reuse_compiler.cli.console import progress_bar
from reuse_compiler.cli.options import require_append_place, require_threads
from reuse_compiler.errors import ReuseError

if TYPE_CHECKING:
    from reuse_compiler.backend.accelerator.hardware import Hardware
    from reuse_compiler.budget_fit import FitSettings, ParetoFit
    from reuse_compiler.frontend import Model
    from reuse_compiler.plan import Plan
    from reuse_compiler.streams import Stream

__all__ = [
    "Budget",
    "Effort",
    "Guarded",
    "JournalFile",
    "ObjectiveChoice",
    "ObjectiveName",
    "Refresh",
    "fit_front",
    "fit_settings",
    "fit_to",
    "require_budget",
    "require_nothing_chosen",
    "saying_what_is_kept",
]


class ObjectiveChoice(StrEnum):
    """The values of `--objective`."""

    MACS = "macs"
    CYCLES = "cycles"
    ENERGY = "energy"
    CPU_TIME = "cpu_time"


Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="B",
        help="The loss that is accepted, such as 'relrmse<=0.1', 'sqnr>=40', 'f1@0.7:scores[...,1]<=0.01',"
        " 'labels.argmax<=0.01', 'FILE.py:FUNCTION<=0.02', or default, which is relrmse<=0.1: the widest quantizers that"
        " keep it, by trying them on the stream.",
        show_default=False,
    ),
]

Guarded = Annotated[
    bool,
    typer.Option(
        "--guard/--no-guard",
        help="With a budget: have a run quantize a frame anew where its stream leaves what the recording showed.",
    ),
]
Refresh = Annotated[
    int | None,
    typer.Option(
        "--refresh",
        metavar="N",
        help="With a budget: compute every linear output anew once in N frames.",
        show_default=False,
    ),
]
ObjectiveName = Annotated[
    ObjectiveChoice,
    typer.Option(
        "--objective",
        help="With a budget: what is saved: multiply-accumulates, cycles or energy of the accelerator, or time on a CPU;"
        " but for macs, sites where reuse does not pay stay dense.",
    ),
]
Effort = Annotated[
    float | None,
    typer.Option(
        "--effort",
        metavar="SECONDS",
        help="With a budget: begin no round of the search after this time; the plan is verified in any case.",
        show_default=False,
    ),
]
JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="FILE",
        help="With a budget: take down what was tried; a fit that was stopped goes on from there.",
        show_default=False,
    ),
]
_WITH_BUDGET = ("guard", "refresh", "objective", "effort", "journal", "pareto")


def require_budget(context: typer.Context, *others: str) -> None:
    """Usage error where an option that needs a budget is given, those called `others` among them, for commands that got
    none."""
    for name in (*_WITH_BUDGET, *others):
        if _given(context, name):
            raise typer.BadParameter("goes with a budget: give one, or leave it out", param_hint=f"--{name}")


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def require_nothing_chosen(context: typer.Context, chosen: Sequence[str], stream: str | None) -> None:
    """Usage error where a budget has no stream, or comes with one of the options `chosen`, which it makes needless."""
    if stream is None:
        raise typer.BadParameter("a budget is tried on a stream: give one", param_hint="--stream")
    for name in chosen:
        if _given(context, name):
            raise typer.BadParameter("the budget chooses it: leave it out, or --budget", param_hint=f"--{name}")


def fit_settings(
    state: Mapping[str, str],
    *,
    guard: bool,
    refresh: int | None,
    objective: ObjectiveChoice,
    hardware: Hardware,
    effort: float | None,
    journal: Path | None,
    threads: int | None,
    read: Sequence[Path | str | None],
) -> FitSettings:
    """The options of a fit to a budget; ReuseError, before any work is done, where one is out of range, or the journal
    cannot be written or is one of the files that are `read`."""
    from reuse_compiler.budget_fit import FitSettings

    if effort is not None and not 0 <= effort < math.inf:
        raise ReuseError(f"effort is {effort} seconds: give a finite number of 0 or more")
    require_append_place(journal, *read)
    return FitSettings(
        state=state,
        jobs=require_threads(threads),
        guard=guard,
        refresh=refresh,
        seconds=effort,
        journal=journal,
        objective=objective.value,
        hardware=hardware,
    )


def fit_to(model: Model, stream: Stream, budget: str, settings: FitSettings) -> Plan:
    """The plan, with progress on a terminal, and one line of what a default budget does not cover."""
    from reuse_compiler.budget_fit import fit_to_budget

    with progress_bar() as progress, _quiet():
        plan = fit_to_budget(
            model,
            stream,
            budget,
            state=settings.state,
            jobs=settings.jobs,
            guard=settings.guard,
            refresh=settings.refresh,
            seconds=settings.seconds,
            journal=settings.journal,
            objective=settings.objective,
            hardware=settings.hardware,
            progress=progress,
        )
    _say_what_is_not_covered(model, budget, plan)
    return plan


def fit_front(model: Model, stream: Stream, budget: str, settings: FitSettings, folder: Path) -> ParetoFit:
    """The plan, and the front, which is written to `folder`; beside that as :func:`fit_to`."""
    from reuse_compiler.budget_fit import fit_pareto
    from reuse_compiler.pareto_folder import write_front

    with progress_bar() as progress, _quiet():
        found = fit_pareto(model, stream, budget, settings, progress=progress)
    write_front(folder, found.front, found.plans)
    _say_what_is_not_covered(model, budget, found.plan)
    return found


@contextmanager
def saying_what_is_kept(budget: str | None, journal: Path | None) -> Iterator[None]:
    """With a budget, one line on stderr where the work is interrupted: what is left of it, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if budget is not None:
            print(f"reusec: stopped: {_what_is_kept(journal)}", file=sys.stderr, flush=True)
        raise


def _what_is_kept(journal: Path | None) -> str:
    if journal is None:
        return "nothing was written: with --journal FILE the next fit can be stopped and goes on from there"
    if not journal.exists() or journal.stat().st_size == 0:
        return "nothing was tried yet, and nothing was written: the same command begins again"
    return f"{journal} holds what was tried: the same command goes on from there"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that a default budget comes with."""
    from reuse_compiler.default_budget import DefaultBudgetWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DefaultBudgetWarning)
        yield


def _say_what_is_not_covered(model: Model, budget: str, plan: Plan) -> None:
    from reuse_compiler.default_budget import DEFAULT_BUDGET, default_warning

    if budget == DEFAULT_BUDGET and plan.budget is not None:
        print(f"reusec: {default_warning(plan.budget.text, model.outputs)}", file=sys.stderr)
