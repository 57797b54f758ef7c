"""Run the benchmarks and write their table into the README: ``python -m benchmarks [--recordings FOLDER]``."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.accelerator import measure_compile, measure_interpretation
from benchmarks.profiling import measure_profiling
from benchmarks.workloads import Workload, autopilot_workload, light_workload, recorded_workload

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
FRAMES = 100


def main(
    recordings: Annotated[Path | None, typer.Option(help="Folder of the recordings kit, for UltraFace.")] = None,
    write: Annotated[bool, typer.Option(help="Write the table into the README.")] = True,
) -> None:
    """Measure, print the table, and put it into the README."""
    workloads = [autopilot_workload(FRAMES)]
    if recordings is not None:
        workloads.append(recorded_workload(recordings, "ultraface@asl_book", FRAMES))
    rows = [row for workload in workloads for row in _interpretation(workload)]
    rows += [_profiling(workload) for workload in workloads]
    rows.append(_compile())
    table = "\n".join(["| what | measured |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)])
    text = f"{table}\n\nOn {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}.\n"
    print(text)
    if write:
        before, _, rest = README.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        README.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


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
