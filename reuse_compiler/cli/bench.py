"""``reusec bench``: wall clock against stock onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reuse_compiler.cli.bench_table import print_bench
from reuse_compiler.cli.console import print_json, progress_bar
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
        report = time_both(compiled, recording, model=original, threads=threads, progress=progress)
    if json:
        print_json(report.model_dump(mode="json"))
        return
    print_bench(report, recording.name)
