"""Cost: cycles, events and energy of a trace on a hardware, per layer and in all, for reuse and baseline.

The cost model reads the program, the trace and the hardware, never values. The baseline needs no trace: its counts are
the same in every frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.energy import COMPONENTS, energy_pj
from reuse_compiler.backend.accelerator.events import count_events
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DeltaConv, DeltaFc, Event
from reuse_compiler.backend.accelerator.operations import Operation, operations
from reuse_compiler.backend.accelerator.program import Code, Program
from reuse_compiler.backend.accelerator.timing import schedule
from reuse_compiler.errors import HardwareError

__all__ = ["CostModel", "Costs", "LayerReuse", "MachineCost", "cost_trace", "trace_columns"]

Events = dict[Event, int]


@dataclass
class MachineCost:
    """Costs of one machine over a stream; `setup` apart, sequence starts included.

    `cycles` int64 [layers]; `events` and `energy_pj` one dict per layer, energy by component.
    """

    cycles: NDArray[np.int64]
    events: list[Events]
    energy_pj: list[dict[str, float]]
    setup_cycles: int
    setup_energy_pj: float

    @property
    def total_cycles(self) -> int:
        """Cycles of all frames."""
        return int(self.cycles.sum())

    @property
    def components_pj(self) -> dict[str, float]:
        """Energy by component, over all layers."""
        return {name: sum(layer[name] for layer in self.energy_pj) for name in COMPONENTS}

    @property
    def total_energy_pj(self) -> float:
        """Energy of all frames."""
        return sum(self.components_pj.values())


@dataclass(frozen=True)
class LayerReuse:
    """What the reuse machine did on one layer: inputs seen and changed, multiply-accumulates done and skipped on zero."""

    inputs: int
    changed: int
    macs_done: int
    macs_skipped_zero: int


@dataclass(frozen=True)
class Costs:
    """Costs of a stream on one hardware."""

    frames: int
    sequences: int
    reuse: MachineCost
    baseline: MachineCost
    layers: list[LayerReuse]

    @property
    def speedup(self) -> float:
        """Cycles of the baseline over those of the reuse machine; 0 where there are none."""
        return self.baseline.total_cycles / self.reuse.total_cycles if self.reuse.total_cycles else 0.0

    @property
    def energy_saving(self) -> float:
        """The share of the baseline's energy that the reuse machine does not spend."""
        spent = self.baseline.total_energy_pj
        return 1 - (self.reuse.total_energy_pj / spent if spent else 0.0)


@dataclass
class _Section:
    """A section's operations and the column sums of its trace."""

    operations: list[Operation]
    columns: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = np.zeros(sum(operation.columns for operation in self.operations), np.int64)


class CostModel:
    """Adds up costs block by block of the trace, so that memory does not grow with the stream."""

    def __init__(self, program: Program, hardware: Hardware) -> None:
        """Raises HardwareError where the hardware has other memory sizes than the program was lowered for."""
        _check_sizes(program, hardware)
        self._program, self._hardware = program, hardware
        self._frame = _Section(operations(program.reuse.sections.frame))
        self._cycles = np.zeros(len(program.layers), np.int64)
        self._frames = self._sequences = 0

    @property
    def columns(self) -> int:
        """Trace columns of a frame."""
        return int(self._frame.columns.size)

    def add(self, rows: NDArray[np.int64]) -> None:
        """Add frames: int64 [frames, columns]."""
        timed = schedule(self._frame.operations, rows, len(self._program.layers), self._hardware)
        self._cycles += timed.layer_cycles.sum(axis=1)
        self._frame.columns += rows.sum(axis=0)
        self._frames += len(rows)

    def start_sequence(self) -> None:
        """Add one sequence start."""
        self._sequences += 1

    def costs(self, energies: Hardware | None = None) -> Costs:
        """The costs of everything added; the energies are those of `energies`, if it is given.

        Raises HardwareError where that differs in more than energies, powers and areas, since cycles are not made anew.
        """
        hardware = self._hardware if energies is None else energies
        _check_times(self._hardware, hardware)
        program, frames, sequences = self._program, self._frames, self._sequences
        reuse = self._machine(program.reuse, self._cycles.copy(), self._frame, frames, sequences, hardware)
        dense = _Section(operations(program.baseline.sections.frame))
        cycles = self._baseline_cycles * frames
        baseline = self._machine(program.baseline, cycles, dense, frames, sequences, hardware)
        return Costs(frames, sequences, reuse, baseline, self._layers(frames))

    @cached_property
    def _baseline_cycles(self) -> NDArray[np.int64]:
        """Cycles of a frame of the baseline, per layer."""
        dense = _Section(operations(self._program.baseline.sections.frame))
        return _static_cycles(dense, len(self._program.layers), self._hardware)

    def _machine(
        self,
        code: Code,
        cycles: NDArray[np.int64],
        frame: _Section,
        frames: int,
        sequences: int,
        hardware: Hardware,
    ) -> MachineCost:
        """Costs of one code, given the cycles of its frames per layer."""
        reuse = code is self._program.reuse
        events: list[Events] = [{} for _ in self._program.layers]
        _count(frame, frames, hardware, events)
        start = _Section(operations(code.sections.start))
        _count(start, sequences, hardware, events)
        cycles = cycles + _static_cycles(start, len(events), hardware) * sequences
        energy = [
            energy_pj(layer, int(spent), hardware, reuse=reuse) for layer, spent in zip(events, cycles, strict=True)
        ]
        setup = _Section(operations(code.sections.setup))
        setup_events: list[Events] = [{} for _ in self._program.layers]
        _count(setup, 1, hardware, setup_events)
        setup_cycles = _static_cycles(setup, len(events), hardware)
        setup_energy = sum(
            sum(energy_pj(layer, int(spent), hardware, reuse=reuse).values())
            for layer, spent in zip(setup_events, setup_cycles, strict=True)
        )
        return MachineCost(cycles, events, energy, int(setup_cycles.sum()), setup_energy)

    def _layers(self, frames: int) -> list[LayerReuse]:
        """Inputs and multiply-accumulates of every layer, from the column sums."""
        program = self._program
        changed = np.zeros(len(program.layers), np.int64)
        done, zero = changed.copy(), changed.copy()
        position = 0
        for operation in self._frame.operations:
            columns = self._frame.columns[position : position + operation.columns]
            position += operation.columns
            if isinstance(operation.instruction, DeltaConv | DeltaFc):
                assert operation.classes is not None
                classes, layer = operation.classes.fan_out.size, operation.instruction.layer
                done[layer] += columns[:classes] @ operation.classes.fan_out
                changed[layer] += columns[classes]
                zero[layer] += columns[classes + 1]
        return [
            LayerReuse(
                inputs=info.inputs * frames,
                changed=int(changed[number]),
                macs_done=int(done[number]) if info.backend == "reuse" else info.macs * frames,
                macs_skipped_zero=int(zero[number]),
            )
            for number, info in enumerate(program.layers)
        ]


def _check_times(timed: Hardware, other: Hardware) -> None:
    """HardwareError where a constant differs that is no energy, power or area."""
    for (name, value, *_), (_, wanted, *_) in zip(timed.constants(), other.constants(), strict=True):
        if value != wanted and not name.endswith(("_pj", "_pj_per_byte", "_mw", "_mm2")):
            raise HardwareError(
                f"hardware {other.name}: {name} is {wanted}, cycles were made with {value}: cost it anew"
            )


def _check_sizes(program: Program, hardware: Hardware) -> None:
    lowered, given = program.tiling, hardware.tiling
    for name in ("accumulators", "edram_bytes", "buffer_bytes_base", "buffer_bytes_reuse"):
        if getattr(given, name) != getattr(lowered, name):
            raise HardwareError(
                f"hardware {given.hardware}: {name} is {getattr(given, name):,}, the program was lowered for"
                f" {getattr(lowered, name):,}: compile it again for this hardware"
            )


def _count(section: _Section, frames: int, hardware: Hardware, events: list[Events]) -> None:
    """Add the events of `frames` executions of a section to the layers' events."""
    position = 0
    for operation in section.operations:
        columns = section.columns[position : position + operation.columns]
        position += operation.columns
        layer = events[operation.instruction.layer] if events else {}
        for event, number in count_events(operation, columns, frames, hardware).items():
            layer[event] = layer.get(event, 0) + number


def _static_cycles(section: _Section, layers: int, hardware: Hardware) -> NDArray[np.int64]:
    """Cycles of one execution of a section without a trace, per layer."""
    return schedule(section.operations, np.zeros((1, 0), np.int64), layers, hardware).layer_cycles[:, 0]


def trace_columns(program: Program) -> int:
    """Columns of a trace row of `program`."""
    return sum(operation.columns for operation in operations(program.reuse.sections.frame))


def cost_trace(program: Program, blocks: Iterable[NDArray[np.int64]], sequences: int, hardware: Hardware) -> Costs:
    """Costs of a saved trace on another hardware with the same memory sizes."""
    model = CostModel(program, hardware)
    for rows in blocks:
        model.add(rows)
    for _ in range(sequences):
        model.start_sequence()
    return model.costs()
