"""``reusec run``: a compiled model over a stream."""

from __future__ import annotations

from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from reuse_compiler.cli.console import Column, Progress, print_json, print_line, print_table, progress_bar
from reuse_compiler.cli.options import (
    Directory,
    Frames,
    Preprocess,
    State,
    StreamSource,
    Threads,
    parse_state,
    require_different,
    require_file_place,
    require_parent,
    require_state,
    require_threads,
)
from reuse_compiler.cli.recording import open_for
from reuse_compiler.cli.report_table import guard_text, print_accuracy, print_layers, print_summary
from reuse_compiler.cli.text import counted, percent
from reuse_compiler.errors import HardwareError
from reuse_compiler.files import write_text

if TYPE_CHECKING:
    from reuse_compiler.backend.accelerator.hardware import Hardware
    from reuse_compiler.directory import CompiledDirectory
    from reuse_compiler.frontend import Model
    from reuse_compiler.report import Report
    from reuse_compiler.running import SessionReport
    from reuse_compiler.streams import Stream

__all__ = ["RunCommand", "run"]

_STDOUT = Path("-")


class Executor(StrEnum):
    """The values of `--executor`."""

    ACCELERATOR = "accelerator"
    NATIVE = "native"
    PORTABLE = "portable"


class RunCommand(TyperCommand):
    """A command whose ``--json`` takes a file or nothing, which is stdout."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a ``--json`` without a file its ``-``."""
        completed = []
        for argument, following in zip_longest(args, args[1:], fillvalue="--"):
            completed.append(argument)
            is_file = following == "-" or not (following.startswith("-") or Path(following).is_dir())
            if argument == "--json" and not is_file:
                completed.append(str(_STDOUT))
        return super().parse_args(ctx, completed)


def run(
    directory: Directory,
    stream: StreamSource,
    executor: Annotated[
        Executor,
        typer.Option(
            help="accelerator: the interpreter, with cycles and energy; portable: onnxruntime; native: onnxruntime with"
            " the kernel library.",
        ),
    ] = Executor.ACCELERATOR,
    hardware: Annotated[
        str | None,
        typer.Option(
            metavar="H",
            help="Cost it on another hardware of the same memory sizes: a name that `reusec hardware` lists, or a .toml"
            " file. Default: the one that it was compiled for.",
            show_default=False,
        ),
    ] = None,
    outputs: Annotated[
        Path | None, typer.Option(metavar="F.npz", help="Write one array per output, frames first.")
    ] = None,
    indices: Annotated[
        Path | None, typer.Option(metavar="F.npz", help="Write the indices of every site, frames first.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Write the trace. To F.json: a timeline of every unit, for Perfetto (ui.perfetto.dev) and"
            " chrome://tracing, 1 µs a cycle, in less detail the longer it gets; --frames A:B shows others than the first"
            " in detail. To any other F: the counts of every frame and instruction, safetensors, to be costed again on"
            " other hardware.",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write layers.csv, a row a layer, and frames.csv, a row a frame, into FOLDER, which is made where there"
            " is none. Their counts, cycles and energies sum to the report's totals.",
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="The original model, where it has moved.", show_default=False)
    ] = None,
    preprocess: Preprocess = None,
    frames: Frames = None,
    state: State = None,
    threads: Threads = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="[F]", help="Write the report to F; without F print it and nothing else."),
    ] = None,
) -> None:
    """Run a compiled model: outputs, loss, cycles, energy."""
    from reuse_compiler.directory import FILES, CompiledDirectory

    _require_executor(executor, hardware, trace, csv)
    require_threads(threads)
    for place in (outputs, indices, trace, None if json == _STDOUT else json):
        require_file_place(place, stream, preprocess, model, *(directory / name for name in FILES[:4]))
    tables = _require_tables_place(csv)
    require_different(outputs, indices, trace, None if json == _STDOUT else json, *tables)
    compiled = CompiledDirectory.open(directory, model)
    require_state(parse_state(state), compiled.plan.state)
    original = compiled.original()
    recording = open_for(original, stream, preprocess, frames, compiled.plan.state)
    with progress_bar() as progress:
        if executor is not Executor.ACCELERATOR:
            report: Report | SessionReport = _session(
                compiled, original, recording, executor, outputs, indices, threads, progress
            )
        else:
            report = _accelerator(
                compiled, original, recording, hardware, outputs, indices, trace, csv, threads, progress
            )
    if json == _STDOUT:
        print_json(report.model_dump(mode="json"))
        return
    print_run(report)
    if json is not None:
        write_text(json, report.model_dump_json(indent=2) + "\n")
    for place in (outputs, indices, trace, *tables, json):
        if place is not None:
            print_line(f"wrote {place}")


def _require_executor(executor: Executor, hardware: str | None, trace: Path | None, csv: Path | None) -> None:
    """Usage error for options that an executor has no use for."""
    for name, value in (("--hardware", hardware), ("--trace", trace), ("--csv", csv)):
        if value is not None and executor is not Executor.ACCELERATOR:
            raise typer.BadParameter("onnxruntime has none: leave it out, or run on the accelerator", param_hint=name)


def _require_tables_place(folder: Path | None) -> list[Path]:
    """The tables that are to be written; ReuseError, before any work is done, where they cannot be."""
    if folder is None:
        return []
    from reuse_compiler.csv_tables import FRAMES_FILE, LAYERS_FILE, check_tables_place

    require_parent(folder)
    check_tables_place(folder)
    return [folder / LAYERS_FILE, folder / FRAMES_FILE]


def _accelerator(
    compiled: CompiledDirectory,
    original: Model,
    recording: Stream,
    hardware: str | None,
    outputs: Path | None,
    indices: Path | None,
    trace: Path | None,
    csv: Path | None,
    threads: int | None,
    progress: Progress | None,
) -> Report:
    from reuse_compiler.csv_tables import FramesTable, write_layers
    from reuse_compiler.simulation import simulate
    from reuse_compiler.timeline import Timeline

    program, machine = compiled.program, _machine(compiled, hardware)
    watchers: list[FramesTable | Timeline] = [] if csv is None else [FramesTable(csv, program, machine)]
    if trace is not None and trace.suffix == ".json":
        watchers.append(Timeline(trace, program, machine))
        trace = None
    report = simulate(
        original,
        program,
        recording,
        hardware=machine,
        state=compiled.plan.state,
        plan=compiled.plan,
        outputs=outputs,
        indices=indices,
        trace=trace,
        watchers=watchers,
        threads=threads,
        progress=progress,
    )
    if csv is not None:
        write_layers(csv, report)
    return report


def _machine(compiled: CompiledDirectory, name: str | None) -> Hardware:
    """The hardware called `name`, or the one that the program was compiled for."""
    from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware

    lowered = compiled.program.tiling.hardware
    if name is None and lowered not in builtin_names():
        raise HardwareError(
            f"{compiled.path}: compiled for {lowered}, which is not built in: give --hardware FILE.toml"
        )
    return load_hardware(name or lowered)


def _session(
    compiled: CompiledDirectory,
    original: Model,
    recording: Stream,
    executor: Executor,
    outputs: Path | None,
    indices: Path | None,
    threads: int | None,
    progress: Progress | None,
) -> SessionReport:
    from reuse_compiler.running import run_session

    return run_session(
        compiled,
        recording,
        model=original,
        executor="native" if executor is Executor.NATIVE else "portable",
        outputs=outputs,
        indices=indices,
        threads=threads,
        progress=progress,
    )


def print_run(report: Report | SessionReport) -> None:
    """What the run showed, as tables."""
    from reuse_compiler.report import Report

    if isinstance(report, Report):
        print_layers(report)
        print_line()
        print_summary(report)
        return
    columns = (Column("site", "name"), Column("inputs\na frame"), Column("similarity\n%"))
    frames = report.stream.frames
    rows = [(site.node, f"{site.inputs // frames:,}", percent(site.similarity)) for site in report.sites]
    inputs = sum(site.inputs for site in report.sites) // frames
    print_table(columns, rows, ("total", f"{inputs:,}", percent(report.similarity)))
    print_line()
    print_line(
        f"stream    {report.stream.name}: {counted(frames, 'frame')} in {counted(report.stream.sequences, 'sequence')}"
    )
    print_accuracy(report.accuracy)
    if report.guard is not None:
        print_line(f"guard     {guard_text(report.guard)}")
    if report.refreshed or report.drift_refreshes:
        print_line(
            f"refresh   {counted(report.refreshed, 'linear output')} in turn, all of them"
            f" {counted(report.drift_refreshes, 'time')} for drift"
        )
    how = "with native kernels" if report.executor == "native" else "on function bodies, without kernels"
    print_line(f"speed     {report.milliseconds_per_frame:.2f} ms a frame in onnxruntime, {how}; reusec bench compares")
