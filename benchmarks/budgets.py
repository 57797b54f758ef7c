"""What budgets come to on recordings: fitted on the first half, judged on the second from a cold start.

``python -m benchmarks.budgets FOLDER`` writes docs/budgets.md; FOLDER is a recordings kit. ``--only NAME`` measures some
pairs and prints their rows alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from benchmarks.frontier import reuse_in_hindsight
from benchmarks.workloads import Workload, recorded_pairs, recorded_workload
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.budget import parse_budget
from reuse_compiler.budget_fit import fit_to_budget
from reuse_compiler.fitting import fit
from reuse_compiler.metrics import Judge
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.profiling import profile
from reuse_compiler.reference import Reference
from reuse_compiler.simulation import simulate
from reuse_compiler.streams import Stream

PAGE = Path(__file__).resolve().parent.parent / "docs" / "budgets.md"
BUDGETS = {
    "pilotnet": "relrmse<=0.1",
    "ultraface": "f1@0.7:scores[...,1]<=0.01",
    "kws": "argmax:labels_softmax<=0.01",
    "silero_vad": "decision@0.5:prob<=0.01",
}
"""One percent in the terms of each task: of the variance of a regression (a relative RMSE of 0.1), of F1, of decisions."""
HARDWARE = "isca18"
_CLUSTERS = (16, 32)

_TEXT = """# Budgets on recordings

<!-- Written by `python -m benchmarks.budgets FOLDER`, where FOLDER holds the recordings and models. -->

Each model was trained by others, and so was each recording made. `reusec fit --budget` sees the first half of a recording, and
chooses and verifies a plan there. The plan then runs on the second half from a cold start, on the accelerator's
interpreter; reuse, loss, speedup and energy saving are of that half. Budgets are 1 % in the terms of the task: `relrmse<=0.1` for a
steering angle (1 % of its variance), F1 of faces at 0.7, the best class of a keyword network, decisions at 0.5 of a voice detector.
Losses are strict: nothing is left out, however near fp32 itself is to its threshold. Beside it the paper's setting, one number
of clusters for all layers over the range that the first half showed.

{table}

*loss* of a steering angle is 1 - R², so that all are to be at most 1 %. *fit* is what choosing the plan took, on {cores} cores, in
seconds. *in hindsight* is the reuse of the same plan with all its widths scaled until the second half itself uses the 1 % up:
what the plan could have reused, had its recording told; a recording that varies less than what comes after it, as the
highway's, makes a relative budget stricter than need be. Reuse is the share of all multiply-accumulates of the model.

Machines round differently, and the search then takes other turns: the table is of one with AVX-512; on one without it the first three pairs
came to 0.779, 0.736 and 0.747, 0.872, 0.771 and 0.825 in hindsight, at losses of 0.14, 0.45 and 0.17 %.

These recordings, second halves included, were at hand while the search and its safety rule were built, and several rules were
compared on them: these are development figures, not a test on recordings that nobody had looked at.
"""


@dataclass(frozen=True)
class Judged:
    """A plan on the second half of a recording; all shares."""

    reuse: float
    loss: float
    speedup: float
    energy_saving: float


@dataclass(frozen=True)
class Row:
    """One pair: the budgeted plan, how many seconds it took, the reuse of its widest scaling that keeps the budget on the half
    that judges, and by number of clusters the paper's setting."""

    pair: str
    budgeted: Judged
    seconds: float
    hindsight: float
    clusters: Mapping[int, Judged]


def measure(kit: Path, pair: str) -> Row:
    """Fit on the first half, judge on the second."""
    budget = BUDGETS[pair.partition("@")[0]]
    first, second = _halves(kit, pair)
    model, state = first.model, first.state
    began = time.perf_counter()
    plan = fit_to_budget(model, first.stream, budget, state=state)
    seconds = time.perf_counter() - began
    seen = profile(model, first.stream, state=state)
    others = {
        clusters: _judge(second, fit(model, seen, clusters=clusters, state=state), budget) for clusters in _CLUSTERS
    }
    hindsight = reuse_in_hindsight(model, plan, parse_budget(budget, model.outputs), list(second.stream))
    return Row(pair, _judge(second, plan, budget), seconds, hindsight, others)


def _halves(kit: Path, pair: str) -> tuple[Workload, Workload]:
    frames = sum(1 for _ in recorded_workload(kit, pair, None).stream)
    return recorded_workload(kit, pair, slice(0, frames // 2)), recorded_workload(kit, pair, slice(frames // 2, frames))


def _judge(workload: Workload, plan: Plan, budget: str) -> Judged:
    model, hardware = workload.model, load_hardware(HARDWARE)
    program = lower(rewrite(model, plan), hardware.tiling, model.sha256)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "outputs.npz"
        report = simulate(
            model, program, workload.stream, hardware=hardware, state=workload.state, plan=plan, outputs=path
        )
        with np.load(path) as outputs:
            loss = _loss(workload, workload.stream, dict(outputs), budget)
    totals = report.totals
    return Judged(totals.reuse, loss, totals.speedup, totals.energy_saving)


def _loss(
    workload: Workload,
    stream: Stream,
    outputs: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]],
    budget: str,
) -> float:
    """The loss on a whole stream, of a steering angle squared."""
    judge = Judge(parse_budget(budget, workload.model.outputs))
    reference = Reference(workload.model, workload.state, threads=1)
    for number, frame in enumerate(stream):
        judge.add(reference.run(frame), {name: array[number] for name, array in outputs.items()})
    [(bound, loss)] = judge.losses
    return loss**2 if bound.metric == "relrmse" else loss


def _table(rows: Sequence[Row]) -> str:
    heads = ["pair", "budget", "reuse", "loss %", "speedup", "energy saving", "fit", "in hindsight"]
    heads += [f"{clusters} clusters: {what}" for clusters in _CLUSTERS for what in ("reuse", "loss %")]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for row in rows:
        cells = [
            row.pair,
            f"`{BUDGETS[row.pair.partition('@')[0]]}`",
            *_cells(row.budgeted, whole=True),
            f"{row.seconds:.0f}",
            f"{row.hindsight:.3f}",
        ]
        cells += [cell for clusters in _CLUSTERS for cell in _cells(row.clusters[clusters], whole=False)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, _mean(rows)])


def _cells(judged: Judged, *, whole: bool) -> list[str]:
    cells = [f"{judged.reuse:.3f}", f"{judged.loss * 100:.2f}"]
    return [*cells, f"{judged.speedup:.2f}", f"{judged.energy_saving:.3f}"] if whole else cells


def _mean(rows: Sequence[Row]) -> str:
    """Of reuse and energy saving, and the geometric mean of the speedup."""
    reuse, saving = (
        float(np.mean([getattr(row.budgeted, what) for row in rows])) for what in ("reuse", "energy_saving")
    )
    hindsight = float(np.mean([row.hindsight for row in rows]))
    speedup = float(np.exp(np.mean(np.log([row.budgeted.speedup for row in rows]))))
    others = [f"{float(np.mean([row.clusters[clusters].reuse for row in rows])):.3f} | " for clusters in _CLUSTERS]
    return f"| mean | | {reuse:.3f} | | {speedup:.2f} | {saving:.3f} | | {hindsight:.3f} | " + "| ".join(others) + "|"


def main(
    kit: Annotated[Path, typer.Argument(help="Folder of the recordings kit.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Pairs whose name has this; prints, and writes nothing.")
    ] = None,
) -> None:
    """Measure every pair and write the page."""
    pairs = [pair for pair in recorded_pairs(kit) if not only or any(part in pair for part in only)]
    rows = []
    for pair in pairs:
        rows.append(measure(kit, pair))
        print(_table(rows[-1:]).splitlines()[2], flush=True)
    if not only:
        PAGE.write_text(_TEXT.format(table=_table(rows), cores=os.cpu_count()))
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    typer.run(main)
