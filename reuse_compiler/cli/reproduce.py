"""``reusec reproduce``: the paper's networks, its tables and its figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reuse_compiler.cli.console import Column, print_json, print_line, print_table, status_line
from reuse_compiler.cli.options import (
    DEFAULT_HARDWARE,
    HardwareName,
    Json,
    Threads,
    require_file_place,
    require_threads,
)
from reuse_compiler.errors import ReuseError

if TYPE_CHECKING:
    from reuse_compiler.reproduce.documents import Reproduction
    from reuse_compiler.reproduce.tables import Table

__all__ = ["reproduce"]


def reproduce(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK]..", help="kaldi, eesen, c3d, c3d-small, autopilot; all by default.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PAGE.md",
            help="Write the page; its figures go to the folder PAGE beside it, its data to PAGE.json.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Two minutes: few frames, no budgeted plans, no sensitivity table."),
    ] = False,
    recording: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Run this sound (kaldi, eesen) or video (the others), in place of what is rendered: nothing says what is right on"
            " it.",
            show_default=False,
        ),
    ] = None,
    hardware: HardwareName = DEFAULT_HARDWARE,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Run the networks of the paper; its tables beside what is found."""
    from reuse_compiler.backend.accelerator.hardware import load_hardware
    from reuse_compiler.reproduce.reproducing import reproduce as run_networks

    require_threads(threads)
    machine = load_hardware(hardware)
    if output is not None:
        _require_page(output)
    with status_line() as progress:
        found = run_networks(
            networks or (),
            quick=quick,
            hardware=machine,
            recording=recording,
            threads=threads,
            progress=progress,
        )
    if output is not None:
        _write(found, output, _command(networks or [], output, quick, recording, hardware))
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _print(found)
    if output is not None:
        print_line(f"wrote {output}, {output.with_suffix('.json')} and {output.with_suffix('')}{os.sep}")


def _require_page(output: Path) -> None:
    """What cannot be written is told before the work."""
    from reuse_compiler.plots import require_plot
    from reuse_compiler.reproduce.documents import Reproduction

    if output.suffix != ".md":
        raise ReuseError(f"{output}: the page is Markdown: give a name that ends in .md")
    data = output.with_suffix(".json")
    require_file_place(output)
    require_file_place(data)
    if data.exists():
        Reproduction.load(data)  # whatever else is called so is not overwritten
    if output.with_suffix("").exists() and not output.with_suffix("").is_dir():
        raise ReuseError(f"{output.with_suffix('')}: is a file, the figures need a folder there: choose another name")
    require_plot()


def _command(networks: list[str], output: Path, quick: bool, recording: Path | None, hardware: str) -> str:
    parts = ["reusec reproduce", *networks, *(["--quick"] if quick else [])]
    parts += [f"--recording {recording.name}"] if recording is not None else []
    parts += [f"--hardware {hardware}"] if hardware != DEFAULT_HARDWARE else []
    return " ".join([*parts, f"-o {output}"])


def _write(found: Reproduction, output: Path, command: str) -> None:
    from reuse_compiler.files import write_text
    from reuse_compiler.reproduce.figures import draw_figures
    from reuse_compiler.reproduce.page import page

    folder = output.with_suffix("")
    folder.mkdir(exist_ok=True)
    figures = {name: f"{folder.name}/{path.name}" for name, path in draw_figures(found, folder).items()}
    write_text(output, page(found, command, figures))
    found.save(output.with_suffix(".json"))


def _print(found: Reproduction) -> None:
    from reuse_compiler.reproduce import tables

    shown = [tables.overview(found), tables.accuracy(found), tables.energy(found), tables.processors(found)]
    if found.same_input:
        shown.append(tables.same_input(found))
    if found.recording is not None:
        print_line(f"on {found.recording}, of which nothing says what is right: the relative RMSE is against fp32")
        print_line()
    for table in shown:
        _print_one(table)
    print_line(
        f"{found.seconds / 60:.1f} minutes, {found.peak_memory_bytes / 1e9:.1f} GB; -o PAGE.md writes all tables, with all columns"
    )


def _print_one(table: Table) -> None:
    print_line(table.title)
    print_line()
    spare = {name: len(table.spare) - place for place, name in enumerate(table.spare)}
    columns = [
        Column(name, "text" if number in table.text else "number", spare.get(name, 0))
        for number, name in enumerate(table.columns)
    ]
    print_table(columns, table.rows)
    print_line()
