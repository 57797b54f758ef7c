"""``reusec fit``: from a profile to a plan."""

from __future__ import annotations

import sys
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
    fit_front,
    fit_settings,
    fit_to,
    require_budget,
    require_nothing_chosen,
    saying_what_is_kept,
)
from reuse_compiler.cli.console import Column, print_json, print_line, print_table
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
    require_different,
    require_file_place,
    require_outside,
    require_threads,
)
from reuse_compiler.cli.pareto_table import print_front
from reuse_compiler.cli.plan_table import print_budget, print_options
from reuse_compiler.cli.recording import open_for, profile_on
from reuse_compiler.cli.text import number, percent

if TYPE_CHECKING:
    from reuse_compiler.frontend import Model
    from reuse_compiler.model_profile import Profile
    from reuse_compiler.plan import AnySpec, Plan

__all__ = ["FITTING", "fit", "fit_plan", "print_plan"]

FITTING = ("clusters", "clip", "centroids", "deadband", "exclude", "site")
"""Options of how a plan is chosen from a profile."""


def fit(
    context: typer.Context,
    model: ModelFile,
    profile: Annotated[
        Path | None, typer.Option("--profile", metavar="P.json", help="What profile wrote.", show_default=False)
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream", metavar="S", help="Without --profile: the recording to profile first.", show_default=False
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="F.json", help="Write the plan.")] = None,
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
    hardware: HardwareName = DEFAULT_HARDWARE,
    effort: Effort = None,
    journal: JournalFile = None,
    pareto: Annotated[
        Path | None,
        typer.Option(
            "--pareto",
            metavar="DIR",
            help="With a budget: write the plans for shares and multiples of its limit, too, and pareto.json, which lists"
            " them.",
            show_default=False,
        ),
    ] = None,
    preprocess: Preprocess = None,
    frames: Frames = None,
    state: State = None,
    shape: Shapes = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Choose every quantizer, from a profile or to a budget.

    Centroids are equidistant over the range that the profile saw, or where k-means puts them, with 0.0 exactly among them.
    The plan is JSON that may be edited.
    """
    from reuse_compiler.backend.accelerator.hardware import load_hardware
    from reuse_compiler.frontend import load
    from reuse_compiler.model_profile import Profile
    from reuse_compiler.pareto_folder import check_front_place

    if profile is None and stream is None:
        raise typer.BadParameter("give a profile, or a stream to profile first", param_hint="--profile or --stream")
    if budget is None:
        require_budget(context, "hardware")
    else:
        require_nothing_chosen(context, FITTING, stream)
    require_threads(threads)
    require_file_place(output, model, profile, stream, preprocess)
    require_different(output, journal, pareto)
    require_outside(pareto, output, journal)
    if pareto is not None:
        check_front_place(pareto)
    fed_back, overrides = parse_state(state), parse_sites(site)
    settings = fit_settings(
        fed_back,
        guard=guard,
        refresh=refresh,
        objective=objective,
        hardware=load_hardware(hardware),
        effort=effort,
        journal=journal,
        threads=threads,
        read=(model, profile, stream, preprocess),
    )
    unread = profile is not None and budget is None
    found = None
    with saying_what_is_kept(budget, journal):
        loaded = load(model, shapes=parse_shapes(shape))
        recording = None if stream is None or unread else open_for(loaded, stream, preprocess, frames, fed_back)
        if unread and stream is not None:
            print(f"reusec: {profile} is the profile, so {stream} is not read", file=sys.stderr)
        if profile is not None:
            observed = Profile.load(profile)
        else:
            assert recording is not None
            observed = profile_on(loaded, recording, fed_back, threads)
        if budget is None:
            plan = fit_plan(loaded, observed, clusters, clip, centroids, deadband, exclude, overrides, fed_back)
        elif pareto is None:
            assert recording is not None
            plan = fit_to(loaded, recording, budget, settings)
        else:
            assert recording is not None
            found = fit_front(loaded, recording, budget, settings, pareto)
            plan = found.plan
    if output is not None:
        plan.save(output)
    if json:
        print_json(plan.model_dump())
        return
    print_plan(plan, observed)
    print_budget(plan)
    print_options(plan)
    if found is not None:
        print_line()
        print_front(found.front)
        print_line()
    if output is not None:
        print_line(f"wrote {output}")
    if pareto is not None:
        print_line(f"wrote {pareto}")


def fit_plan(
    model: Model,
    observed: Profile,
    clusters: int,
    clip: ClipChoice,
    centroids: CentroidChoice,
    deadband: float,
    exclude: list[str] | None,
    overrides: dict[str, int],
    state: dict[str, str],
) -> Plan:
    """The plan, with the options of the command line."""
    from reuse_compiler.fitting import fit as fit_sites

    return fit_sites(
        model,
        observed,
        clusters=clusters,
        clip=clip.value,
        centroids=centroids.value,
        deadband=deadband,
        exclude=exclude or (),
        overrides=overrides,
        state=state or None,
    )


def print_plan(plan: Plan, observed: Profile) -> None:
    """The table: a row a site, with what the profile expects of it, and the model."""
    from reuse_compiler.inspecting import of_plan

    *expected, total = of_plan(plan, observed)
    columns = [
        Column("site", "name"),
        Column("op", "text", spare=3),
        Column("mode", "text"),
        Column("clusters"),
        Column("step"),
        Column("zero\nindex", spare=1),
        Column("deadband", spare=2),
        Column("similarity\n% expected"),
        Column("reuse\n% expected"),
    ]
    rows = []
    for site, reading in zip(plan.sites, expected, strict=True):
        similarity = "" if reading.similarity is None else percent(reading.similarity.value)
        rows.append(
            (site.node, site.op, site.mode, *_quantizer(site.quantizer), similarity, percent(reading.reuse.value))
        )
    similarity = "" if total.similarity is None else percent(total.similarity.value)
    print_table(columns, rows, ("model", "", "", "", "", "", "", similarity, percent(total.reuse.value)))


def _quantizer(spec: AnySpec | None) -> tuple[str, str, str, str]:
    """Clusters, step, zero and deadband; a range of deadbands where channels have their own."""
    if spec is None:
        return "", "", "", ""
    deadbands = spec.deadband if isinstance(spec.deadband, list) else [spec.deadband]
    ends = dict.fromkeys((number(min(deadbands)), number(max(deadbands))))
    if spec.kind == "table":
        return f"{spec.clusters:,}", "table", f"{spec.centroids.index(0.0):,}", "..".join(ends)
    return f"{spec.clusters:,}", number(spec.step), f"{spec.zero:,}", "..".join(ends)
