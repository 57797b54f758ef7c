"""Run a program on the accelerator's interpreter over a stream, and cost it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.accounting import check_accounts, check_code
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import DeltaConv, DeltaFc
from reuse_compiler.backend.accelerator.operations import Operation
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.backend.accelerator.trace import TraceWriter
from reuse_compiler.backend.accelerator.validation import check_references
from reuse_compiler.costing import summarize
from reuse_compiler.errors import ProgramError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frames_file import FramesFile
from reuse_compiler.frontend import Model
from reuse_compiler.guard import Guard, count_clipped
from reuse_compiler.guard_report import GuardReport
from reuse_compiler.plan import Plan
from reuse_compiler.reference import Reference
from reuse_compiler.refresh_cost import estimate_refresh
from reuse_compiler.report import Report, RunStatistics
from reuse_compiler.run_accuracy import RunAccuracy
from reuse_compiler.session_statistics import SessionStatistics, Tally
from reuse_compiler.streams import Frame, Stream

__all__ = ["FrameWatcher", "SimulatedFrame", "Simulator", "StartReason", "simulate"]

Progress = Callable[[str, int, int | None], None]
Arrays = dict[str, NDArray[Any]]
StartReason = Literal["sequence", "guard"]
"""Why the state is set back before a frame: a sequence starts, or the guard has the frame quantized anew."""

_BLOCK = 64  # frames costed at once


class FrameWatcher(Protocol):
    """What sees the trace of a run, frame by frame."""

    def add(self, row: NDArray[np.int64], start: StartReason | None) -> None:
        """A frame: its trace row, int64 [columns], valid until the next, and why the state was set back before it, if it was."""


@dataclass(frozen=True)
class SimulatedFrame:
    """One frame's outputs by name, and its trace row (int64 [columns], valid until the next frame)."""

    outputs: Arrays
    row: NDArray[np.int64]


class Simulator:
    """A program on the interpreter, with the model's own state fed back.

    Parameters
    ----------
    program : Program
    model : Model
        What it was compiled from.
    state : mapping of str to str
        Input name -> name of the output that it takes its next value from.
    threads : int, optional
        Threads of the arithmetic inside an instruction; all cores by default.
    plan : Plan, optional
        Its guard is followed, as a :class:`~reuse_compiler.session.Session` does; its refresh is not.

    Attributes
    ----------
    anew : bool
        Whether the guard had the last frame quantized anew.
    statistics : SessionStatistics
        Of all frames so far.
    """

    def __init__(
        self,
        program: Program,
        model: Model,
        state: Mapping[str, str],
        threads: int | None = None,
        plan: Plan | None = None,
    ) -> None:
        if program.model_sha256 != model.sha256:
            raise ProgramError(
                f"the program is of model {program.model_sha256}, {model.path} is {model.sha256}: compile it again"
            )
        self.interpreter = Interpreter(program, threads=threads or os.cpu_count() or 1)
        self._feedback = Feedback(state, model.inputs, model.outputs)
        self._guard = None if plan is None or plan.guard is None else Guard(plan.guard)
        self._quantizers = {} if plan is None else plan.quantizers()
        self._changed = _changed_columns(self.interpreter.frame_operations)
        self._elements = sum(layer.inputs for layer in program.layers)
        self._tally = Tally()
        self.anew = False

    @property
    def statistics(self) -> SessionStatistics:
        """What was done so far."""
        return self._tally.statistics()

    def run(self, frame: Frame) -> SimulatedFrame:
        """Execute one frame; the state is reset where a sequence starts."""
        if frame.start:
            self.interpreter.reset()
            if self._guard is not None:
                self._guard.reset()
        reason = None if self._guard is None else self._guard.due()
        self.anew = reason is not None
        if reason is not None:
            self.interpreter.reset()
            self._tally.guard_reset(reason)
        outputs = self.interpreter.run(self._feedback.feed(frame))
        self._feedback.take(outputs)
        self._count()
        return SimulatedFrame(outputs, self.interpreter.counts)

    def _count(self) -> None:
        """Count the frame, and show it to the guard."""
        changed = int(self.interpreter.counts[self._changed].sum())
        self._tally.frames += 1
        self._tally.inputs += self._elements
        self._tally.changed += changed
        if self._guard is not None:
            indices = self.interpreter.indices
            clipped = {
                site: count_clipped(indices[site], self._quantizers[site]) / indices[site].size
                for site in self._guard.watched
            }
            beyond = self._guard.exceeds(clipped)
            self._guard.take(changed / max(self._elements, 1), beyond)
            self._tally.beyond += beyond


def _changed_columns(code: Sequence[Operation]) -> NDArray[np.int64]:
    """Where a trace row counts the inputs that changed."""
    found, position = [], 0
    for operation in code:
        if isinstance(operation.instruction, DeltaConv | DeltaFc):
            assert operation.classes is not None
            found.append(position + operation.classes.fan_out.size)
        position += operation.columns
    return np.array(found, np.int64)


def simulate(
    model: Model,
    program: Program,
    stream: Stream,
    *,
    hardware: Hardware,
    state: Mapping[str, str] | None = None,
    plan: Plan | None = None,
    outputs: Path | None = None,
    indices: Path | None = None,
    trace: Path | None = None,
    watchers: Sequence[AbstractContextManager[FrameWatcher]] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Execute `program` on every frame of `stream`; costs on `hardware`, and the loss against the fp32 model.

    Parameters
    ----------
    plan : Plan, optional
        What the program was compiled by: its guard is followed, its budget judged, the sequence starts that it adds are costed, and what its
        refresh would cost is estimated.
    outputs, indices : Path, optional
        Where to write one array per output, or per reuse site, frames first (`.npz`).
    trace : Path, optional
        Where to write the trace, to be costed again on other hardware.
    watchers : sequence of context managers that give a FrameWatcher
        Shown every frame.
    progress : callable, optional
        Called with ("run", frames done, frames in all or None).

    Raises
    ------
    ProgramError, StreamError, HardwareError, BudgetError
        Where the parts do not fit each other.
    VerificationError
        Where the accounts do not close.
    """
    simulator = Simulator(program, model, state or {}, threads, plan)
    reference = Reference(model, state or {}, threads)
    costs, accuracy = CostModel(program, hardware), RunAccuracy(model, plan)
    check_references(program)
    for code in (program.reuse, program.baseline):
        check_code(program, code, hardware)
    rows = np.zeros((_BLOCK, costs.columns), np.int64)
    frames = sequences = 0
    anew: list[int] = []
    seconds = 0.0
    with ExitStack() as files:
        output_file = files.enter_context(FramesFile(outputs)) if outputs else None
        index_file = files.enter_context(FramesFile(indices)) if indices else None
        writer = files.enter_context(TraceWriter(trace, digest(program), costs.columns)) if trace else None
        seeing = [files.enter_context(watcher) for watcher in watchers]
        for frame in stream:
            began = time.perf_counter()
            if frame.start:
                costs.start_sequence()
                sequences += 1
            done = simulator.run(frame)
            if simulator.anew:
                costs.start_sequence()
                anew.append(frames)
            rows[frames % _BLOCK] = done.row
            for watcher in seeing:
                watcher.add(done.row, "sequence" if frame.start else "guard" if simulator.anew else None)
            frames += 1
            if frames % _BLOCK == 0:
                _fold(rows, costs, writer)
            seconds += time.perf_counter() - began
            accuracy.add(reference.run(frame), done.outputs, frame.labels)
            if output_file is not None:
                output_file.append(done.outputs)
            if index_file is not None:
                index_file.append(simulator.interpreter.indices)
            if progress is not None:
                progress("run", frames, stream.frames)
        began = time.perf_counter()
        if frames % _BLOCK:
            _fold(rows[: frames % _BLOCK], costs, writer)
        total = costs.costs()
        seconds += time.perf_counter() - began
        if writer is not None:
            writer.sequences = sequences + len(anew)
        check_accounts(program, total, hardware)
    macs = sum(layer.macs for layer in program.layers if layer.backend != "host") * frames
    statistics = RunStatistics(
        seconds=seconds,
        macs_per_second=macs / seconds if seconds else 0.0,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    report = summarize(model, program, stream.name, total, hardware, accuracy.report(), statistics)
    if plan is None:
        return report
    return report.model_copy(
        update={
            "stream": report.stream.model_copy(update={"sequences": sequences}),
            "refresh_estimate": None if plan.refresh is None else estimate_refresh(program, total, plan.refresh),
            "guard": None if plan.guard is None else GuardReport.of(simulator.statistics, anew),
        }
    )


def _fold(rows: NDArray[np.int64], costs: CostModel, writer: TraceWriter | None) -> None:
    costs.add(rows)
    if writer is not None:
        writer.append(rows)
