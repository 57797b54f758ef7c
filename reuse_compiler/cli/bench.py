"""``reusec bench``: wall clock against stock onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reuse_compiler.cli.bench_table import print_bench
from reuse_compiler.cli.console import print_json, print_line, progress_bar
from reuse_compiler.cli.options import (
    Directory,
    Frames,
    Json,
    Preprocess,
    State,
    StreamSource,
    parse_state,
    require_state,
    require_threads,
)
from reuse_compiler.cli.recording import open_for

__all__ = ["bench"]


def _calibrate(asked: bool) -> None:
    if not asked:
        return
    from reuse_compiler.cpu_calibration import calibrate
    from reuse_compiler.machine_costs import calibration_path

    found = calibrate()
    print_line(f"machine {found.machine}, kernels for {found.instruction_set}")
    print_line(f"wrote {calibration_path()}")
    raise typer.Exit


def bench(
    directory: Directory,
    stream: StreamSource,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="Threads inside an operator, in both. Default: all cores."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="The original model, where it has moved.", show_default=False)
    ] = None,
    preprocess: Preprocess = None,
    frames: Frames = None,
    state: State = None,
    adaptive: Annotated[
        bool,
        typer.Option(
            help="Let the session compute everything where reuse does not pay, as it would in use; --no-adaptive shows what"
            " reuse itself takes."
        ),
    ] = True,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            is_eager=True,
            callback=_calibrate,
            help="Measure what reuse costs on this machine, keep it, and exit: a few seconds. Adaptive sessions and"
            " fit --objective cpu_time go by it.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Time a compiled model against stock onnxruntime on the original."""
    from reuse_compiler.bench.benching import bench as time_both
    from reuse_compiler.directory import CompiledDirectory

    require_threads(threads)
    compiled = CompiledDirectory.open(directory, model)
    require_state(parse_state(state), compiled.plan.state)
    original = compiled.original()
    recording = open_for(original, stream, preprocess, frames, compiled.plan.state)
    with progress_bar() as progress:
        report = time_both(compiled, recording, model=original, threads=threads, adaptive=adaptive, progress=progress)
    if json:
        print_json(report.model_dump(mode="json"))
        return
    print_bench(report, recording.name)
