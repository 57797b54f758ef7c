"""One network through the whole path: calibrate, fit, rewrite, lower, interpret, cost, judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.bench.stock import StockModel, StockStream
from reuse_compiler.budget_fit import fit_to_budget
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model, load
from reuse_compiler.model_profile import Profile
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.profiling import profile
from reuse_compiler.report import Report
from reuse_compiler.reproduce.documents import NetworkResult, Run
from reuse_compiler.reproduce.processors import PROCESSORS, estimate, measure_cpu
from reuse_compiler.reproduce.shapes import layer_shapes
from reuse_compiler.reproduce.workloads import Recording, Sizes, Workload
from reuse_compiler.simulation import simulate
from reuse_compiler.streams import Stream, open_stream

__all__ = ["Execution", "Lowered", "Prepared", "Progress", "evaluate", "execute", "lowered", "prepared"]

Progress = Callable[[str], None]
Outputs = NDArray[Any]

_TIMED_FRAMES = 50
_FIT_SECONDS = 60.0
"""After so long no round of refinement of a budgeted plan begins."""


@dataclass(frozen=True)
class Prepared:
    """A network that is ready to run: its model, what calibration showed, and a folder for what runs leave.

    `recording` is the user's own, in place of the workload's; nothing says what is right on it.
    """

    workload: Workload
    sizes: Sizes
    model: Model
    profile: Profile
    hardware: Hardware
    threads: int
    folder: Path
    recording: Path | None = None
    progress: Progress | None = None

    def fitted(self, clusters: int | None = None, exclude: Collection[str] = ()) -> Plan:
        """The paper's scheme: linear quantizers of the calibrated range, by default of as many clusters as the paper's."""
        return fit(self.model, self.profile, clusters=clusters or self.workload.clusters, exclude=exclude)

    def opened(self, recording: Recording, frames: int | None = None) -> Stream:
        """A recording as a stream of the model; its first `frames`."""
        cut = None if frames is None else f"0:{frames}"
        return open_stream(recording.frames, self.model.inputs, frames=cut)

    @property
    def evaluation(self) -> Recording:
        """What the network is run on."""
        if self.recording is not None:
            return self.workload.opened(self.recording)
        return self.workload.evaluation(self.sizes)

    def say(self, what: str) -> None:
        """Report that a part begins."""
        if self.progress is not None:
            self.progress(f"{self.workload.name}: {what}")


@contextmanager
def prepared(
    workload: Workload,
    *,
    quick: bool,
    hardware: Hardware,
    threads: int,
    recording: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Prepared]:
    """Load and calibrate a network; what is written for it is gone when the block ends."""
    sizes = workload.quick if quick else workload.full
    with workload.file() as path, TemporaryDirectory() as folder:
        if progress is not None:
            progress(f"{workload.name}: calibrate")
        model = load(path)
        calibration = open_stream(workload.calibration(sizes).frames, model.inputs)
        observed = profile(model, calibration, threads=threads)
        yield Prepared(workload, sizes, model, observed, hardware, threads, Path(folder), recording, progress)


@dataclass(frozen=True)
class Lowered:
    """A plan and the program that comes of it on a hardware."""

    plan: Plan
    program: Program
    hardware: Hardware


@dataclass(frozen=True)
class Execution:
    """A program that ran: its trace and its report; `outputs` frames first."""

    program: Program
    trace: Path
    report: Report
    outputs: Outputs


def lowered(ready: Prepared, plan: Plan, hardware: Hardware | None = None) -> Lowered:
    """Rewrite by `plan`, and lower for `hardware`, by default the prepared one."""
    machine = hardware or ready.hardware
    return Lowered(plan, lower(rewrite(ready.model, plan), machine.tiling, ready.model.sha256), machine)


def execute(ready: Prepared, what: Lowered, recording: Recording, *, frames: int | None = None) -> Execution:
    """Interpret `recording` with values, or its first `frames`."""
    outputs, trace = ready.folder / "outputs.npz", ready.folder / "trace.safetensors"
    report = simulate(
        ready.model,
        what.program,
        ready.opened(recording, frames),
        hardware=what.hardware,
        plan=what.plan,
        outputs=outputs,
        trace=trace,
        threads=ready.threads,
    )
    with np.load(outputs) as arrays:
        values = arrays[ready.model.outputs[0].name]
    return Execution(what.program, trace, report, values)


def evaluate(ready: Prepared, scheme: Lowered, *, quick: bool) -> NetworkResult:
    """Everything that the page says of one network, of which `scheme` is the paper's.

    A budgeted plan is fitted where the weights are trained, and not when it must be quick.
    """
    began = time.perf_counter()
    workload, recording = ready.workload, ready.evaluation
    layers = layer_shapes(ready.model)
    ready.say("fp32")
    stock = StockModel(ready.model, {}, ready.threads)
    score_fp32 = _scored(recording, _reference(ready, stock, recording))
    cpu = measure_cpu(stock, _few(ready, recording), ready.threads)
    ready.say(f"{workload.clusters} clusters")
    runs = [_run(ready, f"{workload.clusters} clusters", scheme, recording)]
    others = [] if ready.recording is not None else workload.others(ready.sizes)
    for other in others:
        ready.say(other.name)
        runs.append(_run(ready, f"{workload.clusters} clusters", scheme, other))
    budget = workload.budget if workload.budget and not quick else None
    plan = None
    if budget is not None:
        ready.say(budget)
        tuning = open_stream(workload.tuning(ready.sizes).frames, ready.model.inputs)
        plan = fit_to_budget(ready.model, tuning, budget, seconds=_FIT_SECONDS, jobs=ready.threads)
        runs.append(_run(ready, budget, lowered(ready, plan), recording))
    return NetworkResult(
        name=workload.name,
        paper=workload.paper,
        frame=workload.frame,
        counted=workload.counted,
        parameters=sum(layer.parameters for layer in layers),
        macs=ready.profile.macs,
        layers=layers,
        metric=workload.metric,
        score_fp32=score_fp32,
        budget=budget,
        budget_note=None if plan is None or plan.budget is None else plan.budget.dense_because,
        runs=runs,
        cpu=cpu,
        processors=[estimate(processor, layers) for processor in PROCESSORS],
        seconds=time.perf_counter() - began,
    )


def _run(ready: Prepared, quantizers: str, what: Lowered, recording: Recording) -> Run:
    done = execute(ready, what, recording)
    return Run(
        quantizers=quantizers,
        recording=recording.name,
        score=_scored(recording, done.outputs),
        report=done.report.model_copy(
            update={"stream": done.report.stream.model_copy(update={"name": recording.name})}
        ),
    )


def _scored(recording: Recording, outputs: Outputs) -> float | None:
    return None if recording.score is None else recording.score(outputs)


def _reference(ready: Prepared, stock: StockModel, recording: Recording) -> Outputs:
    """The fp32 outputs, frames first; nothing is run where nothing can be said of them."""
    if recording.score is None:
        return np.zeros(0)
    stream, name = StockStream(stock), ready.model.outputs[0].name
    return np.stack([stream.run(frame)[name] for frame in ready.opened(recording)])


def _few(ready: Prepared, recording: Recording) -> list[Any]:
    """Frames to time a CPU on."""
    return list(islice(ready.opened(recording), _TIMED_FRAMES if ready.profile.macs < 10**9 else 2))
