"""``reusec report``: one page that shows a compilation and a run of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reuse_compiler.cli.console import print_json, print_line, progress_bar
from reuse_compiler.cli.options import (
    Directory,
    Frames,
    Json,
    Preprocess,
    Threads,
    require_file_place,
    require_threads,
)
from reuse_compiler.cli.recording import open_for
from reuse_compiler.cli.text import byte_size, counted

if TYPE_CHECKING:
    from reuse_compiler.directory import CompiledDirectory
    from reuse_compiler.report import Report
    from reuse_compiler.report_page import Recording

__all__ = ["report"]


def report(
    directory: Directory,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="F.html", help="The page.", show_default=False)],
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            metavar="S",
            help="Run this recording, too, and show similarity and cycles frame by frame, beside the frames.",
            show_default=False,
        ),
    ] = None,
    preprocess: Preprocess = None,
    frames: Frames = None,
    given: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="F.json",
            help="Show this report, of `reusec run --json`, and not the one in DIR.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="The original model, where it has moved.", show_default=False)
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Write one page: graphs, costs, similarity. It works without a network."""
    from reuse_compiler.directory import FILES, CompiledDirectory
    from reuse_compiler.report import Report
    from reuse_compiler.report_page import gather, require_report, write_page

    require_threads(threads)
    _require_stream(stream, preprocess, frames)
    require_file_place(output, stream, preprocess, given, model, *(directory / name for name in FILES))
    compiled = CompiledDirectory.open(directory, model)
    shown = require_report(compiled) if given is None else Report.load(given)
    recording = None if stream is None else _recorded(compiled, shown, stream, preprocess, frames, threads)
    contents = gather(compiled, shown, recording)
    size = write_page(contents, output)
    nodes = [len(contents.graphs[which]["boxes"]) for which in ("before", "after")]
    if json:
        run = 0 if recording is None else recording.frames
        print_json({"page": str(output), "bytes": size, "boxes": nodes, "frames": run})
        return
    seen = "" if recording is None else f", {counted(recording.frames, 'frame')} of {recording.name}"
    print_line(f"wrote {output}: {byte_size(size)}, {nodes[0]:,} boxes before and {nodes[1]:,} after{seen}")


def _require_stream(stream: str | None, preprocess: Path | None, frames: str | None) -> None:
    """Usage error for options that mean nothing without a stream."""
    for name, value in (("--preprocess", preprocess), ("--frames", frames)):
        if value is not None and stream is None:
            raise typer.BadParameter("there is no --stream that it is about: give one", param_hint=name)


def _recorded(
    compiled: CompiledDirectory,
    shown: Report,
    source: str,
    preprocess: Path | None,
    frames: str | None,
    threads: int | None,
) -> Recording:
    from reuse_compiler.report_page import record
    from reuse_compiler.report_page.roofline import report_hardware

    original = compiled.original()
    stream = open_for(original, source, preprocess, frames, compiled.plan.state)
    hardware = report_hardware(shown.hardware)
    with progress_bar() as progress:
        return record(original, compiled.program, compiled.plan, stream, hardware, threads=threads, progress=progress)
