"""Run the program over a stream once more, and keep what happened in each frame: similarity, cycles, and its picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DeltaConv, DeltaFc
from reuse_compiler.backend.accelerator.operations import Operation, operations
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.backend.accelerator.timing import schedule
from reuse_compiler.frontend import Model
from reuse_compiler.plan import Plan
from reuse_compiler.report_page.pictures import FramePictures, Pictures, shown_input
from reuse_compiler.report_page.thinning import FrameSums
from reuse_compiler.simulation import Simulator
from reuse_compiler.streams import Stream
from reuse_compiler.streams.sound import SUFFIXES

__all__ = ["Recording", "record"]

Progress = Callable[[str, int, int | None], None]

_MOST_STRETCHES = 400
_MOST_STARTS = 1000
_BLOCK = 32


@dataclass(frozen=True)
class Recording:
    """What a stream did to the program, frame by frame.

    Parameters
    ----------
    name, description : str
        Of the stream.
    frames, every : int
        Frames of the stream; each number below is the mean over `every` of them.
    similarity : dict
        By reuse layer: share of its inputs whose index stayed, for each stretch.
    total : list of float
        The same over the inputs of all reuse layers.
    reuse : list of float
        Share of all multiply-accumulates that were skipped.
    cycles : list of float
        Of a frame of the reuse machine.
    baseline_cycles : float
        Of a frame of the baseline, the same in all.
    starts : list of int
        Frames where a sequence starts, or the guard had all quantized anew; the first thousand.
    pictures : Pictures or None
        What the frames look like; None where the model has no input of numbers.
    """

    name: str
    description: str
    frames: int
    every: int
    similarity: dict[str, list[float]]
    total: list[float]
    reuse: list[float]
    cycles: list[float]
    baseline_cycles: float
    starts: list[int]
    pictures: Pictures | None


def record(
    model: Model,
    program: Program,
    plan: Plan,
    stream: Stream,
    hardware: Hardware,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Recording:
    """Execute `program` on every frame of `stream`, on the interpreter, following the plan's guard.

    Memory does not grow with the stream: of a long one, neighbouring frames are taken together.

    Raises ProgramError, StreamError and HardwareError where the parts do not fit each other.
    """
    simulator = Simulator(program, model, plan.state, threads, plan)
    code = operations(program.reuse.sections.frame)
    counters = _Counters(program, code)
    sums = FrameSums(counters.columns + 1, _MOST_STRETCHES)
    spec = shown_input(model.inputs, plan.state)
    sound = Path(stream.name).suffix.lower() in SUFFIXES
    pictures = None if spec is None else FramePictures(spec, sound=sound)
    starts: list[int] = []
    rows = np.zeros((_BLOCK, counters.trace_columns), np.int64)
    number = -1
    for number, frame in enumerate(stream):
        done = simulator.run(frame)
        if (frame.start or simulator.anew) and len(starts) < _MOST_STARTS:
            starts.append(number)
        if pictures is not None and spec is not None and spec.name in frame.inputs:
            pictures.add(number, frame.inputs[spec.name])
        rows[number % _BLOCK] = done.row
        if number % _BLOCK == _BLOCK - 1:
            _fold(rows, code, program, hardware, counters, sums)
        if progress is not None:
            progress("run", number + 1, stream.frames)
    if (left := (number + 1) % _BLOCK) > 0:
        _fold(rows[:left], code, program, hardware, counters, sums)
    baseline = schedule(
        operations(program.baseline.sections.frame), np.zeros((1, 0), np.int64), len(program.layers), hardware
    )
    return _recording(stream, program, sums, counters, float(baseline.total_cycles[0]), starts, pictures)


class _Counters:
    """From a trace row to the inputs that changed and the multiply-accumulates done in each layer."""

    def __init__(self, program: Program, code: list[Operation]) -> None:
        self.layers = len(program.layers)
        self.trace_columns = sum(operation.columns for operation in code)
        changed, macs, layer_of = (np.zeros(self.trace_columns, np.int64) for _ in range(3))
        position = 0
        for operation in code:
            if isinstance(operation.instruction, DeltaConv | DeltaFc):
                assert operation.classes is not None
                classes = operation.classes.fan_out.size
                layer_of[position : position + operation.columns] = operation.instruction.layer
                macs[position : position + classes] = operation.classes.fan_out
                changed[position + classes] = 1
            position += operation.columns
        self._changed, self._macs, self._layer_of = changed, macs, layer_of

    @property
    def columns(self) -> int:
        """Numbers of a frame: changed inputs of each layer, then its multiply-accumulates."""
        return 2 * self.layers

    def of(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of one trace row: float64 [columns]."""
        changed = np.bincount(self._layer_of, row * self._changed, self.layers)
        return np.concatenate([changed, np.bincount(self._layer_of, row * self._macs, self.layers)])


def _fold(
    rows: NDArray[np.int64],
    code: list[Operation],
    program: Program,
    hardware: Hardware,
    counters: _Counters,
    sums: FrameSums,
) -> None:
    cycles = schedule(code, rows, len(program.layers), hardware).total_cycles
    for row, spent in zip(rows, np.broadcast_to(cycles, len(rows)), strict=True):
        sums.add(np.append(counters.of(row), float(spent)))


def _recording(
    stream: Stream,
    program: Program,
    sums: FrameSums,
    counters: _Counters,
    baseline: float,
    starts: list[int],
    pictures: FramePictures | None,
) -> Recording:
    means, layers = sums.means(), program.layers
    changed, done = means[:, : counters.layers], means[:, counters.layers : -1]
    reusing = [number for number, layer in enumerate(layers) if layer.backend == "reuse"]
    inputs = np.array([layer.inputs for layer in layers], np.float64)
    every = max(float(inputs[reusing].sum()), 1.0)
    macs = max(sum(layer.macs for layer in layers), 1)
    dense = sum(layer.macs for layer in layers if layer.backend != "reuse")
    return Recording(
        name=stream.name,
        description=stream.description,
        frames=sums.frames,
        every=sums.every,
        similarity={
            layers[number].name: _rounded(1 - changed[:, number] / max(inputs[number], 1.0)) for number in reusing
        },
        total=_rounded(1 - changed[:, reusing].sum(axis=1) / every) if reusing else [],
        reuse=_rounded(1 - (done[:, reusing].sum(axis=1) + dense) / macs),
        cycles=[round(float(value), 1) for value in means[:, -1]],
        baseline_cycles=baseline,
        starts=starts,
        pictures=None if pictures is None else pictures.pictures(),
    )


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]
