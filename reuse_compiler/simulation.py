"""Run a program on the accelerator's interpreter over a stream, and cost it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.accuracy import Deviation
from reuse_compiler.backend.accelerator.accounting import check_accounts, check_code
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.backend.accelerator.trace import TraceWriter
from reuse_compiler.backend.accelerator.validation import check_references
from reuse_compiler.costing import summarize
from reuse_compiler.errors import ProgramError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frames_file import FramesFile
from reuse_compiler.frontend import Model
from reuse_compiler.reference import Reference
from reuse_compiler.report import Report, RunStatistics
from reuse_compiler.streams import Frame, Stream

__all__ = ["SimulatedFrame", "Simulator", "simulate"]

Progress = Callable[[str, int, int | None], None]
Arrays = dict[str, NDArray[Any]]

_BLOCK = 64  # frames costed at once


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
    """

    def __init__(self, program: Program, model: Model, state: Mapping[str, str], threads: int | None = None) -> None:
        if program.model_sha256 != model.sha256:
            raise ProgramError(
                f"the program is of model {program.model_sha256}, {model.path} is {model.sha256}: compile it again"
            )
        self.interpreter = Interpreter(program, threads=threads or os.cpu_count() or 1)
        self._feedback = Feedback(state, model.inputs, model.outputs)

    def run(self, frame: Frame) -> SimulatedFrame:
        """Execute one frame; the state is reset where a sequence starts."""
        if frame.start:
            self.interpreter.reset()
        outputs = self.interpreter.run(self._feedback.feed(frame))
        self._feedback.take(outputs)
        return SimulatedFrame(outputs, self.interpreter.counts)


def simulate(
    model: Model,
    program: Program,
    stream: Stream,
    *,
    hardware: Hardware,
    state: Mapping[str, str] | None = None,
    outputs: Path | None = None,
    indices: Path | None = None,
    trace: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Execute `program` on every frame of `stream`; costs on `hardware`, and the loss against the fp32 model.

    Parameters
    ----------
    outputs, indices : Path, optional
        Where to write one array per output, or per reuse site, frames first (`.npz`).
    trace : Path, optional
        Where to write the trace, to be costed again on other hardware.
    progress : callable, optional
        Called with ("run", frames done, frames in all or None).

    Raises
    ------
    ProgramError, StreamError, HardwareError
        Where the parts do not fit each other.
    VerificationError
        Where the accounts do not close.
    """
    simulator = Simulator(program, model, state or {}, threads)
    reference = Reference(model, state or {}, threads)
    costs, deviation = CostModel(program, hardware), Deviation()
    check_references(program)
    for code in (program.reuse, program.baseline):
        check_code(program, code, hardware)
    rows = np.zeros((_BLOCK, costs.columns), np.int64)
    frames = sequences = 0
    seconds = 0.0
    with ExitStack() as files:
        output_file = files.enter_context(FramesFile(outputs)) if outputs else None
        index_file = files.enter_context(FramesFile(indices)) if indices else None
        writer = files.enter_context(TraceWriter(trace, digest(program), costs.columns)) if trace else None
        for frame in stream:
            began = time.perf_counter()
            if frame.start:
                costs.start_sequence()
                sequences += 1
            done = simulator.run(frame)
            rows[frames % _BLOCK] = done.row
            frames += 1
            if frames % _BLOCK == 0:
                _fold(rows, costs, writer)
            seconds += time.perf_counter() - began
            deviation.add(reference.run(frame), done.outputs)
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
            writer.sequences = sequences
        check_accounts(program, total, hardware)
    macs = sum(layer.macs for layer in program.layers if layer.backend != "host") * frames
    statistics = RunStatistics(
        seconds=seconds,
        macs_per_second=macs / seconds if seconds else 0.0,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    return summarize(model, program, stream.name, total, hardware, deviation, statistics)


def _fold(rows: NDArray[np.int64], costs: CostModel, writer: TraceWriter | None) -> None:
    costs.add(rows)
    if writer is not None:
        writer.append(rows)
