"""Options of a fit to a budget, and the fit itself."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from reuse_compiler.cli.console import progress_bar

if TYPE_CHECKING:
    from reuse_compiler.frontend import Model
    from reuse_compiler.plan import Plan
    from reuse_compiler.streams import Stream

__all__ = ["Budget", "Guarded", "Refresh", "fit_to", "require_budget", "require_nothing_chosen"]

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
_WITH_BUDGET = {"guard": "--guard", "refresh": "--refresh"}


def require_budget(context: typer.Context) -> None:
    """Usage error where an option that needs a budget is given, for commands that got none."""
    for name, option in _WITH_BUDGET.items():
        if _given(context, name):
            raise typer.BadParameter("goes with a budget: give one, or leave it out", param_hint=option)


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


def fit_to(
    model: Model, stream: Stream, budget: str, state: Mapping[str, str], *, guard: bool, refresh: int | None
) -> Plan:
    """The plan, with progress on a terminal, and one line of what a default budget does not cover."""
    from reuse_compiler.budget_fit import fit_to_budget
    from reuse_compiler.default_budget import DEFAULT_BUDGET, DefaultBudgetWarning, default_warning

    with progress_bar() as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", DefaultBudgetWarning)
        plan = fit_to_budget(model, stream, budget, state=state, guard=guard, refresh=refresh, progress=progress)
    if budget == DEFAULT_BUDGET and plan.budget is not None:
        print(f"reusec: {default_warning(plan.budget.text, model.outputs)}", file=sys.stderr)
    return plan
