"""``reusec compile``: from a model, and a plan or a recording, to a folder with all that a run needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reuse_compiler.cli.budget import (
    Budget,
    Effort,
    Guarded,
    JournalFile,
    ObjectiveChoice,
    ObjectiveName,
    Refresh,
    fit_settings,
    fit_to,
    require_budget,
    require_nothing_chosen,
    saying_what_is_kept,
)
from reuse_compiler.cli.console import print_json, print_line, progress_bar
from reuse_compiler.cli.fit import FITTING, fit_plan
from reuse_compiler.cli.options import (
    DEFAULT_HARDWARE,
    CentroidChoice,
    Centroids,
    ClipChoice,
    Clusters,
    Deadband,
    Exclude,
    Frames,
    HardwareName,
    Json,
    ModelFile,
    Preprocess,
    RangeClip,
    Shapes,
    SiteClusters,
    State,
    Threads,
    parse_shapes,
    parse_sites,
    parse_state,
    require_outside,
    require_parent,
    require_state,
    require_threads,
)
from reuse_compiler.cli.plan_table import print_budget
from reuse_compiler.cli.recording import open_for, profile_on
from reuse_compiler.cli.report_table import print_layers, print_summary

if TYPE_CHECKING:
    from reuse_compiler.plan import Plan
    from reuse_compiler.report import Report

__all__ = ["compile_"]

_CHOOSING = (*FITTING, "budget")
"""Options that a plan makes needless."""


def compile_(
    context: typer.Context,
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.", show_default=False)
    ],
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="P.json", help="What fit wrote.", show_default=False)
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            metavar="S",
            help="The recording: to verify and to cost; without --plan to profile and to fit, too.",
            show_default=False,
        ),
    ] = None,
    hardware: HardwareName = DEFAULT_HARDWARE,
    clusters: Clusters = 32,
    clip: RangeClip = ClipChoice.MINMAX,
    centroids: Centroids = CentroidChoice.LINEAR,
    deadband: Deadband = 0.0,
    exclude: Exclude = None,
    site: SiteClusters = None,
    budget: Budget = None,
    guard: Guarded = True,
    refresh: Refresh = None,
    objective: ObjectiveName = ObjectiveChoice.MACS,
    effort: Effort = None,
    journal: JournalFile = None,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Verify a few frames alone; do not interpret the stream.")
    ] = False,
    preprocess: Preprocess = None,
    frames: Frames = None,
    state: State = None,
    shape: Shapes = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Make the reuse model and the accelerator's program.

    DIR gets the rewritten ONNX file, the program and the plan; the profile where the plan is fitted here; and with a
    stream the report of running it. A stream's first frames are verified by replay.
    """
    from reuse_compiler.backend.accelerator.hardware import load_hardware
    from reuse_compiler.compiling import compile_model
    from reuse_compiler.directory import check_directory_place
    from reuse_compiler.frontend import load
    from reuse_compiler.plan import Plan

    _require_source(context, plan, stream)
    if budget is None:
        require_budget(context)
    else:
        require_nothing_chosen(context, FITTING, stream)
    require_threads(threads)
    require_parent(output)
    check_directory_place(output)
    require_outside(output, journal)
    fed_back, overrides = parse_state(state), parse_sites(site)
    machine = load_hardware(hardware)
    settings = fit_settings(
        fed_back,
        guard=guard,
        refresh=refresh,
        objective=objective,
        hardware=machine,
        effort=effort,
        journal=journal,
        threads=threads,
        read=(model, stream, preprocess),
    )
    chosen = None if plan is None else Plan.load(plan)
    if chosen is not None:
        require_state(fed_back, chosen.state)
        fed_back = chosen.state
    with saying_what_is_kept(budget, journal):
        loaded = load(model, shapes=parse_shapes(shape))
        recording = None if stream is None else open_for(loaded, stream, preprocess, frames, fed_back)
        observed = None
        if chosen is None:
            assert recording is not None
            observed = profile_on(loaded, recording, fed_back, threads)
            chosen = (
                fit_plan(loaded, observed, clusters, clip, centroids, deadband, exclude, overrides, fed_back)
                if budget is None
                else fit_to(loaded, recording, budget, settings)
            )
        with progress_bar() as progress:
            report = compile_model(
                loaded,
                chosen,
                output,
                stream=recording,
                hardware=machine,
                profile=observed,
                run=not no_run,
                threads=threads,
                progress=progress,
            )
    if json:
        print_json(_as_json(output, report))
        return
    print_compiled(chosen, output, report)
    if recording is not None:
        print_line("its first frames are verified by replay, in onnxruntime and on the accelerator")
    if report is not None and report.verification is not None:
        apart = ", ".join(f"{name} {value:.2g}" for name, value in report.verification.distance.items())
        print_line(f"  outputs of the two are apart by at most: {apart}")


def _require_source(context: typer.Context, plan: Path | None, stream: str | None) -> None:
    """Usage error where neither plan nor stream is given, or a plan and options that choose another."""
    if plan is None and stream is None:
        raise typer.BadParameter("give a plan, or a stream to fit one on", param_hint="--plan or --stream")
    for name in _CHOOSING:
        source = context.get_parameter_source(name)
        if plan is not None and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter("the plan says it: leave it out, or leave --plan out", param_hint=f"--{name}")


def print_compiled(plan: Plan, output: Path, report: Report | None) -> None:
    """What was written, and what it costs where the stream was run."""
    if report is not None:
        print_layers(report)
        print_line()
        print_summary(report)
        print_line()
    if plan.budget is not None:
        print_budget(plan)
        print_line()
    reusing = sum(site.mode == "reuse" for site in plan.sites)
    print_line(f"wrote {output}: {reusing} of {len(plan.sites)} sites reuse")
    for file in sorted(output.iterdir()):
        print_line(f"  {file.name}")


def _as_json(output: Path, report: Report | None) -> dict[str, object]:
    return {
        "directory": str(output),
        "files": sorted(file.name for file in output.iterdir()),
        "report": None if report is None else report.model_dump(mode="json"),
    }
