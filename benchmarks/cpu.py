"""Whole models on this CPU: adaptive sessions against stock onnxruntime, on recordings and where nothing repeats.

``python -m benchmarks.cpu FOLDER`` writes the section of this machine in docs/cpu.md; FOLDER is a recordings kit. ``--only NAME`` measures some models and
prints their rows alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.budgets import BUDGETS
from benchmarks.machine_page import write_section
from benchmarks.workloads import Workload, autopilot_workload, light_workload, recorded_workload
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.cpu import library
from reuse_compiler.bench.benching import bench
from reuse_compiler.bench.report import BenchReport
from reuse_compiler.budget_fit import fit_to_budget
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.fitting import fit
from reuse_compiler.models import autopilot
from reuse_compiler.onnx_session import open_session
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.profiling import profile
from reuse_compiler.session import Session
from reuse_compiler.streams import open_stream

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cpu.md"
PAIRS = ("pilotnet@highway", "ultraface@asl_book", "kws@speech_10ms", "silero_vad@speech")
LIGHT = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
_AUTOPILOT_FRAMES = 400
_NOISE_FRAMES = 200
_REPEATED = 12
_SIDES = (0, 12, 25, 45)

_HEAD = """# Whole models on a CPU

<!-- Written by `python -m benchmarks.cpu FOLDER`, where FOLDER holds the recordings and models. -->

One core of each machine. Stock onnxruntime runs the model as its user has it, all optimizations on; an adaptive session runs the compiled
one, in turns of sixteen frames, the first four of each not timed; medians.

**Streams.** Plans of `--budget 1 % --objective cpu_time` (the budgets of [budgets.md](budgets.md)), fitted on the first half of a recording and timed
on the second. *loss* is a share of what the budget allows: above 1, the second half does not keep it. *dense* is the share of the frames that the session
ran without reuse because they would have taken longer with it; then the two sides do the same work. *every n-th frame* and *skip* are what a user
could do instead: n, and the loss of running every n-th frame alone, as a share too, with the largest n that loses no more than the budget or the plan, or 2; and the speedup of not running frames whose inputs moved little,
at no more loss than the plan's. A relative error has the deviation of what is judged for its scale: AutoPilot's steering varies a fifth as much
in the second half of its drive as in the first, which is why it exceeds a limit of 0.1 there.

**Where little moves.** A picture of the drive that stands still, and a box in it that changes and goes on by three pixels a frame; the same network, 32
clusters on every layer. This is what a camera that does not move sees, without its noise: CONVs that read one another look at
nothing but the pixels that moved. The ratio is stock over session.

**Where nothing repeats.** Plans of 32 clusters, fitted on one picture over and over; then noise, {noise} frames. Seeded weights. The ratio is stock over
session, above 1 is faster.
"""
_BODY = """### Streams

{streams}

### Where little moves

{still}

### Where nothing repeats

{light}
"""


def stream_row(workload: Workload, budget: str, first: int, frames: int) -> list[str]:
    """Fit on the first frames, time on the rest."""
    samples = list(workload.stream)
    parts = [
        open_stream([frame.inputs for frame in some], workload.model.inputs, state=workload.state)
        for some in (samples[:first], samples[first:frames])
    ]
    plan = fit_to_budget(workload.model, parts[0], budget, state=workload.state, objective="cpu_time")
    with TemporaryDirectory(prefix="cpu-") as folder:
        compile_model(workload.model, plan, Path(folder) / "out", stream=None, hardware=load_hardware("isca18"))
        report = bench(CompiledDirectory.open(Path(folder) / "out"), parts[1], model=workload.model, threads=1)
    return _cells(workload.name, report, sum(site.mode == "reuse" for site in plan.sites), len(plan.sites))


def _cells(name: str, report: BenchReport, reused: int, sites: int) -> list[str]:
    limit = report.accuracy.budget or 1.0
    every, skips = report.alternatives.every_nth, (report.alternatives.skip_max, report.alternatives.skip_mean)
    still = max((skip.speedup for skip in skips if skip is not None), default=1.0)
    return [
        name,
        f"{reused} of {sites}",
        f"{report.similarity:.1%}",
        f"{report.accuracy.value / limit:.2f}",
        f"{report.dense_ms:.3f}",
        f"{report.reuse_ms:.3f}",
        f"{report.speedup:.2f}",
        f"{report.dense_frames / report.frames:.0%}",
        "-" if every is None else f"{every.n}: {every.loss / limit:.2f}",
        f"{still:.2f}",
    ]


def light_row(name: str) -> list[str]:
    """A plan for one picture, and then noise."""
    workload = light_workload(name, _REPEATED)
    [first, *_] = list(workload.stream)
    spec = workload.model.inputs[0]
    still = open_stream([first.inputs] * _REPEATED, workload.model.inputs)
    plan = fit(workload.model, profile(workload.model, still, threads=1), clusters=32)
    session = Session(rewrite(workload.model, plan), threads=1, adaptive=True)
    stock = open_session(workload.model.ir, 1, name)
    for _ in range(_REPEATED):
        session.run(first.inputs)
    times, share = _interleaved(stock, session, ({spec.name: x} for x in _noise(spec.shape)))
    ratio = times["stock"] / times["session"]
    return [name, f"{times['stock']:.2f}", f"{times['session']:.2f}", f"{ratio:.2f}", f"{share:.0%}"]


def still_row(side: int) -> list[str]:
    """A square of `side` pixels moves over a picture that stands still."""
    workload = autopilot_workload(_REPEATED)
    [first, *_] = list(workload.stream)
    spec = workload.model.inputs[0]
    frames = [{spec.name: _with_box(first.inputs[spec.name], side, number)} for number in range(_NOISE_FRAMES)]
    seen = open_stream(frames[:_REPEATED], workload.model.inputs)
    plan = fit(workload.model, profile(workload.model, seen, threads=1), clusters=32)
    session = Session(rewrite(workload.model, plan), threads=1, adaptive=True)
    stock = open_session(workload.model.ir, 1, workload.name)
    for frame in frames[:_REPEATED]:
        session.run(frame)
    times, share = _interleaved(stock, session, frames)
    ratio = times["stock"] / times["session"]
    area = side * side / (spec.shape[2] * spec.shape[3])
    return [f"{area:.0%}", f"{times['stock']:.3f}", f"{times['session']:.3f}", f"{ratio:.1f}", f"{share:.0%}"]


def _with_box(picture: NDArray[np.float32], side: int, number: int) -> NDArray[np.float32]:
    made = picture.copy()
    if side:
        top, left = (picture.shape[2] - side) // 2, 3 * number % (picture.shape[3] - side)
        box = made[:, :, top : top + side, left : left + side]
        np.subtract(1, box, out=box)
    return made


def _interleaved(
    stock: Any, session: Session, frames: Iterable[dict[str, NDArray[np.float32]]]
) -> tuple[dict[str, float], float]:
    """Milliseconds of both sides, medians, and the share of the frames that the session ran without reuse."""
    taken: dict[str, list[int]] = {"stock": [], "session": []}
    dense = session.statistics.dense_frames
    for frame in frames:
        began = perf_counter_ns()
        stock.run(None, frame)
        between = perf_counter_ns()
        session.run(frame)
        taken["session"].append(perf_counter_ns() - between)
        taken["stock"].append(between - began)
    times = {side: float(np.median(some)) / 1e6 for side, some in taken.items()}
    return times, (session.statistics.dense_frames - dense) / len(taken["stock"])


def _noise(shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    generator = np.random.default_rng(3)
    for _ in range(_NOISE_FRAMES):
        yield generator.standard_normal(shape).astype(np.float32)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main(
    kit: Annotated[Path, typer.Argument(help="Folder of the recordings kit.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Models whose name has this; prints, and writes nothing.")
    ] = None,
) -> None:
    """Measure every model and write the page."""
    path = library()
    if path is None:
        raise SystemExit("this build has no kernel library: install it where a C++ compiler is found")

    def wanted(name: str) -> bool:
        return not only or any(part in name for part in only)

    streams, light = [], []
    for pair in filter(wanted, PAIRS):
        workload = recorded_workload(kit, pair, None)
        frames = sum(1 for _ in workload.stream)
        streams.append(stream_row(workload, BUDGETS[pair.partition("@")[0]], frames // 2, frames))
        print(" | ".join(streams[-1]), flush=True)
    if wanted("autopilot"):
        workload = autopilot_workload(_AUTOPILOT_FRAMES)
        assert autopilot.path().is_file()
        streams.append(stream_row(workload, "relrmse<=0.1", _AUTOPILOT_FRAMES // 2, _AUTOPILOT_FRAMES))
        print(" | ".join(streams[-1]), flush=True)
    still = [still_row(side) for side in _SIDES if wanted("still")]
    for row in still:
        print(" | ".join(row), flush=True)
    for name in filter(wanted, LIGHT):
        light.append(light_row(name))
        print(" | ".join(light[-1]), flush=True)
    if only:
        return
    stream_heads = ["stream", "sites with reuse", "similarity", "loss", "stock ms", "session ms", "speedup", "dense"]
    stream_heads += ["every n-th frame: loss", "skip: speedup"]
    body = _BODY.format(
        streams=_table(stream_heads, streams),
        still=_table(["picture that moves", "stock ms", "session ms", "ratio", "dense"], still),
        light=_table(["model", "stock ms", "session ms", "ratio", "dense"], light),
    )
    write_section(PAGE, _HEAD.format(noise=_NOISE_FRAMES), body, path)
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    typer.run(main)
