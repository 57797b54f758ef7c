"""Run the benchmarks, and write their table and the demo's into the README.

``python -m benchmarks [--recordings FOLDER]``
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.accelerator import measure_compile, measure_interpretation
from benchmarks.profiling import measure_profiling
from benchmarks.workloads import (
    Workload,
    autopilot_workload,
    c3d_workload,
    eesen_workload,
    light_workload,
    recorded_workload,
)

README = Path(__file__).resolve().parent.parent / "README.md"
FRAMES = 100
C3D_FRAMES = 8
EESEN_UTTERANCES = 8


def main(
    recordings: Annotated[Path | None, typer.Option(help="Folder of the recordings kit, for UltraFace.")] = None,
    write: Annotated[bool, typer.Option(help="Write the tables into the README.")] = True,
) -> None:
    """Measure, print the table, and put it and the table of the demo into the README."""
    workloads = [autopilot_workload(FRAMES)]
    if recordings is not None:
        workloads.append(recorded_workload(recordings, "ultraface@asl_book", slice(0, FRAMES)))
    layers = [c3d_workload(C3D_FRAMES), eesen_workload(EESEN_UTTERANCES)]
    rows = [row for workload in (*workloads, *layers) for row in _interpretation(workload)]
    rows += [_profiling(workload) for workload in workloads]
    rows.append(_compile())
    table = "\n".join(["| what | measured |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)])
    text = f"{table}\n\nOn {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}.\n"
    print(text)
    if write:
        _write("benchmarks", text)
        _write("demo", f"```\n{_demo_table()}\n```\n")


def _write(name: str, text: str) -> None:
    """Put `text` between the marks of that name in the README."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = README.read_text().partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}\n{text}{end}{after}")


def _demo_table() -> str:
    """The table that the demo ends with, and its line on the loss."""
    with TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).parent / "reusec"), "demo", "-o", f"{folder}/demo"]
        environment = os.environ | {"COLUMNS": "100"}
        shown = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    lines = shown.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("$ reusec run")) + 1
    last = next(number for number, line in enumerate(lines) if line.startswith("steering error"))
    return "\n".join(line.rstrip() for line in lines[first : last + 1])


def _interpretation(workload: Workload) -> list[tuple[str, str]]:
    measured = measure_interpretation(workload)
    run, frames = measured.report.run, measured.report.totals.frames
    return [
        (
            f"interpret {workload.name}: values, cycles, energy; {measured.instructions:,} instructions a frame",
            f"{run.macs_per_second / 1e9:.1f} GMAC/s, {run.seconds / frames * 1e3:.1f} ms a frame ({frames} frames)",
        ),
        (f"cost its saved trace on another hardware ({workload.name})", f"{measured.recost_seconds:.2f} s"),
    ]


def _profiling(workload: Workload) -> tuple[str, str]:
    cost = measure_profiling(workload.model, workload.stream, state=workload.state, repeats=3)
    return (
        f"profile {workload.name}, beside running it in onnxruntime",
        f"{cost.profile_ms:.1f} ms beside {cost.run_ms:.1f} ms a frame ({cost.ratio:.1f}x)",
    )


def _compile() -> tuple[str, str]:
    begin = time.perf_counter()
    workload = light_workload("resnet50", 3)
    loaded = time.perf_counter() - begin
    seconds = measure_compile(workload)
    return (
        "compile ResNet-50 (structure of the onnx wheel, seeded weights): rewrite, verify 3 frames, lower, write",
        f"{seconds:.1f} s, and {loaded:.1f} s to read it",
    )


if __name__ == "__main__":
    typer.run(main)
