"""What the units do in a section of a program, as slices: instruction by instruction, or run by run of one layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.events import count_events
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DeltaConv, DeltaFc, Event, Instruction, Quantize, Unit
from reuse_compiler.backend.accelerator.operations import Operation, operations
from reuse_compiler.backend.accelerator.program import LayerInfo
from reuse_compiler.backend.accelerator.timing import Schedule, Slot, schedule
from reuse_compiler.timeline.trace_events import Arguments

__all__ = ["LAYERS", "Section", "Slice", "TimedSection"]

LAYERS = -1
"""The track of the layers that cycles are booked on; the tracks of units are called by their number."""


@dataclass(frozen=True)
class Slice:
    """Something that a unit does: `cycles` long, `start` cycles after its section begins."""

    track: int
    name: str
    kind: str
    start: int
    cycles: int
    arguments: Arguments


class Section:
    """The operations of a section of code, and where their columns of the trace are.

    Parameters
    ----------
    code : sequence of Instruction
    layers : sequence of LayerInfo
        Of the program.
    hardware : Hardware
    """

    def __init__(self, code: Sequence[Instruction], layers: Sequence[LayerInfo], hardware: Hardware) -> None:
        self.operations = operations(code)
        self.layers, self.hardware = layers, hardware
        ends = np.cumsum([0, *(operation.columns for operation in self.operations)])
        self.columns = [slice(int(start), int(end)) for start, end in pairwise(ends)]
        self.width = int(ends[-1])
        self.committed = [
            columns.start + operation.classes.fan_out.size
            for operation, columns in zip(self.operations, self.columns, strict=True)
            if _is_delta(operation) and operation.classes is not None
        ]
        self.units = sorted({operation.instruction.UNIT for operation in self.operations} - {Unit.CONTROL})
        executed = [operation.instruction for operation in self.operations]
        executed = [instruction for instruction in executed if instruction.UNIT is not Unit.CONTROL]
        self.instructions = len(executed)
        self.runs = sum(
            len(list(groupby(instruction.layer for instruction in executed if instruction.UNIT is unit)))
            for unit in self.units
        )

    def time(self, rows: NDArray[np.int64]) -> TimedSection:
        """Time it in all frames of `rows`: int64 [frames, columns]."""
        return TimedSection(
            self, rows, schedule(self.operations, rows, len(self.layers), self.hardware, keep_slots=True)
        )

    def once(self) -> TimedSection:
        """Time one execution of a section that writes no trace."""
        return self.time(np.zeros((1, 0), np.int64))


@dataclass(frozen=True)
class TimedSection:
    """A section in several frames: when each instruction runs."""

    section: Section
    rows: NDArray[np.int64]
    schedule: Schedule

    def cycles(self, frame: int = 0) -> int:
        """How long it takes until all is complete."""
        return int(self.schedule.total_cycles[frame])

    @cached_property
    def busy(self) -> dict[Unit, NDArray[np.int64]]:
        """Cycles that each unit is busy: int64 [frames]."""
        found = {unit: np.zeros(len(self.rows), np.int64) for unit in self.section.units}
        for slot in self.schedule.slots:
            found[self._operation(slot).instruction.UNIT] += slot.end - slot.start
        return found

    @cached_property
    def changed(self) -> NDArray[np.int64]:
        """Inputs of reuse layers whose index changed, each counted once: int64 [frames]."""
        total: NDArray[np.int64] = self.rows[:, self.section.committed].sum(axis=1)
        return total

    def by_instruction(self, frame: int = 0) -> Iterator[Slice]:
        """A slice an instruction."""
        for slot in self.schedule.slots:
            operation = self._operation(slot)
            instruction = operation.instruction
            layer = self.section.layers[instruction.layer]
            about: Arguments = {
                "instruction": instruction.MNEMONIC,
                "layer": layer.name,
                "operator": layer.op,
                **self._changes([slot], frame),
                **self._events([slot], frame),
            }
            name, start = f"{layer.name} {instruction.MNEMONIC}", int(slot.start[frame])
            yield Slice(instruction.UNIT, name, "instruction", start, _cycles(slot, frame), about)

    def by_run(self, frame: int = 0) -> Iterator[Slice]:
        """A slice for all that a unit does for one layer without another between: from the first start on, as long as
        the unit is busy with it."""
        for unit in self.section.units:
            slots = [slot for slot in self.schedule.slots if self._operation(slot).instruction.UNIT is unit]
            for layer, run in groupby(slots, lambda slot: self._operation(slot).instruction.layer):
                yield self._run(unit, layer, list(run), frame)

    def by_layer(self, frame: int = 0) -> Iterator[Slice]:
        """The layers that the cycles are booked on: how far their instructions move the end of all work."""
        frontier = begin = 0
        current: int | None = None
        for slot in self.schedule.slots:
            ahead = int(slot.ready[frame])
            if ahead <= frontier:
                continue
            layer = self._operation(slot).instruction.layer
            if current is not None and layer != current:
                yield self._booked(current, begin, frontier)
                begin = frontier
            current, frontier = layer, ahead
        total, last = self.cycles(frame), len(self.section.layers) - 1
        if last < 0:
            return
        if current is not None and current != last and total > frontier:
            yield self._booked(current, begin, frontier)
            begin = frontier
        if total > begin:
            yield self._booked(last if total > frontier or current is None else current, begin, total)

    def _booked(self, layer: int, begin: int, end: int) -> Slice:
        info = self.section.layers[layer]
        return Slice(LAYERS, info.name, "layer", begin, end - begin, {"operator": info.op, "runs": info.backend})

    def _run(self, unit: Unit, layer: int, slots: list[Slot], frame: int) -> Slice:
        info = self.section.layers[layer]
        about: Arguments = {
            "instructions": len(slots),
            "layer": info.name,
            "operator": info.op,
            **self._changes(slots, frame),
            **self._events(slots, frame),
        }
        cycles = sum(_cycles(slot, frame) for slot in slots)
        return Slice(unit, info.name, "run", int(slots[0].start[frame]), cycles, about)

    def _operation(self, slot: Slot) -> Operation:
        return self.section.operations[slot.operation]

    def _columns(self, slot: Slot, frame: int) -> NDArray[np.int64]:
        return self.rows[frame, self.section.columns[slot.operation]]

    def _changed(self, slot: Slot, frame: int) -> int:
        """Inputs that an instruction found changed: a delta counts those that it commits, so that tiles add up."""
        operation = self._operation(slot)
        if isinstance(operation.instruction, Quantize):
            return int(self._columns(slot, frame)[0])
        if _is_delta(operation):
            assert operation.classes is not None
            return int(self._columns(slot, frame)[operation.classes.fan_out.size])
        return 0

    def _changes(self, slots: Sequence[Slot], frame: int) -> dict[str, int]:
        """The inputs that changed, where any of the instructions compares them with their past."""
        if not any(_compares(self._operation(slot)) for slot in slots):
            return {}
        return {"changed_inputs": sum(self._changed(slot, frame) for slot in slots)}

    def _events(self, slots: Sequence[Slot], frame: int) -> dict[str, int]:
        """What the instructions move and compute, by the names of the events; what is none is left out."""
        sums: dict[Event, int] = {}
        for slot in slots:
            operation, columns = self._operation(slot), self._columns(slot, frame)
            for event, count in count_events(operation, columns, 1, self.section.hardware).items():
                sums[event] = sums.get(event, 0) + count
        return {event.value: count for event, count in sums.items() if count}


def _cycles(slot: Slot, frame: int) -> int:
    return int(slot.end[frame] - slot.start[frame])


def _is_delta(operation: Operation) -> bool:
    return isinstance(operation.instruction, DeltaConv | DeltaFc)


def _compares(operation: Operation) -> bool:
    return _is_delta(operation) or isinstance(operation.instruction, Quantize)
