"""Emit instructions with explicit waits, computed from what each one reads and writes.

The emitter knows the memory regions of every instruction of a section. An instruction waits for the units whose
earlier instructions it conflicts with: to read what they wrote, or to write what they read or wrote. Conflicts with
its own unit need a wait only to read a result, since a unit takes its instructions in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from reuse_compiler.backend.accelerator.isa import EXECUTION_UNITS, Instruction, Load, Store, Sync, Unit

__all__ = ["Box", "Emitter", "MoveCounter", "Region", "Sink"]

Box = tuple[tuple[int, int], ...]  # (start, size) per axis


@dataclass(frozen=True)
class Region:
    """Bytes that an instruction touches: an address interval of a memory, and the box inside where blocks are strided.

    `area` names the part of the memory that the interval lies in; parts are disjoint. Boxes are comparable only
    between regions with the same key (one tensor in one shape). Constants that no instruction of the section writes
    need no region.
    """

    area: object
    start: int
    stop: int
    key: object = None
    box: Box | None = None

    def overlaps(self, other: Region) -> bool:
        """Whether the two share a byte (never says no where they do)."""
        if self.start >= other.stop or other.start >= self.stop:
            return False
        if self.box is None or other.box is None or self.key != other.key:
            return True
        return all(
            a < b + other_size and b < a + size for (a, size), (b, other_size) in zip(self.box, other.box, strict=True)
        )

    def covers(self, other: Region) -> bool:
        """Whether every byte of `other` is in this one (never says yes where not)."""
        if self.box is None:
            return self.start <= other.start and other.stop <= self.stop
        if other.box is None or self.key != other.key or (self.start, self.stop) != (other.start, other.stop):
            return False
        return all(
            a <= b and b + other_size <= a + size
            for (a, size), (b, other_size) in zip(self.box, other.box, strict=True)
        )


@dataclass(frozen=True)
class _Access:
    region: Region
    write: bool
    unit: Unit
    number: int  # of the instruction within its unit, from 1


class Sink(Protocol):
    """Where the instructions of a section go."""

    def control(self, instruction: Instruction) -> None:
        """Take an instruction of the control unit, which touches no memory."""

    def note(self, thing: object) -> None:
        """Take something that holds when what was emitted so far is complete."""

    def coalesce(self, area: object) -> None:
        """A layer begins that uses this part of a memory anew."""

    def emit(self, instruction: Instruction, reads: Sequence[Region], writes: Sequence[Region]) -> None:
        """Take an instruction, and the regions that it reads and writes."""


class MoveCounter:
    """Counts DRAM traffic and keeps nothing: to compare ways of lowering before one is chosen.

    `traffic` are the bytes of loads and stores, and `transfer_bytes` for each of them.
    """

    def __init__(self, transfer_bytes: int) -> None:
        self._transfer_bytes = transfer_bytes
        self.traffic = 0

    def control(self, instruction: Instruction) -> None:
        """Nothing to count."""

    def note(self, thing: object) -> None:
        """Nothing to count."""

    def coalesce(self, area: object) -> None:
        """Nothing to count."""

    def emit(self, instruction: Instruction, reads: Sequence[Region], writes: Sequence[Region]) -> None:
        """Count a move."""
        if isinstance(instruction, Load | Store):
            self.traffic += instruction.run_bytes * instruction.count0 * instruction.count1 + self._transfer_bytes


class Emitter:
    """Collects the instructions of one code, section by section, with their waits.

    `notes` are things that hold after an instruction, with its number in `instructions`.
    """

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.notes: list[tuple[int, object]] = []
        self._counts = dict.fromkeys(EXECUTION_UNITS, 0)
        self._accesses: dict[object, list[_Access]] = {}
        self._known = {unit: dict.fromkeys(EXECUTION_UNITS, 0) for unit in EXECUTION_UNITS}

    def control(self, instruction: Instruction) -> None:
        """Emit an instruction of the control unit, which touches no memory."""
        self.instructions.append(instruction)

    def note(self, thing: object) -> None:
        """Remember something that holds after the last instruction."""
        self.notes.append((len(self.instructions) - 1, thing))

    def sync(self) -> None:
        """End a section: everything issued is complete, counters begin again."""
        self.instructions.append(Sync())
        self._counts = dict.fromkeys(EXECUTION_UNITS, 0)
        self._accesses = {}
        self._known = {unit: dict.fromkeys(EXECUTION_UNITS, 0) for unit in EXECUTION_UNITS}

    def coalesce(self, area: object) -> None:
        """Take everything that was accessed in a part of a memory so far as one region, to be waited for as a whole.

        For parts that pass from layer to layer: it keeps the search short, and costs no overlap where the data master
        crosses the border in order anyway.
        """
        latest: dict[tuple[Unit, bool], _Access] = {}
        accesses = self._accesses.get(area, [])
        for access in accesses:
            key = (access.unit, access.write)
            if key not in latest or access.number > latest[key].number:
                latest[key] = access
        start = min((access.region.start for access in accesses), default=0)
        stop = max((access.region.stop for access in accesses), default=0)
        whole = Region(area, start, stop)
        self._accesses[area] = [replace(access, region=whole) for access in latest.values()]

    def emit(self, instruction: Instruction, reads: Sequence[Region], writes: Sequence[Region]) -> None:
        """Emit `instruction` with the waits that its reads and writes need."""
        unit = instruction.UNIT
        needed = self._needed(unit, reads, writes)
        known = self._known[unit]
        waits = {other: number for other, number in needed.items() if number > known[other]}
        known.update(waits)
        self._counts[unit] += 1
        self.instructions.append(
            replace(
                instruction,
                after_data_master=waits.get(Unit.DATA_MASTER, 0),
                after_compute=waits.get(Unit.COMPUTE, 0),
                after_special=waits.get(Unit.SPECIAL, 0),
                after_host=waits.get(Unit.HOST, 0),
            )
        )
        number = self._counts[unit]
        self._record([_Access(region, False, unit, number) for region in reads])
        self._record([_Access(region, True, unit, number) for region in writes])

    def _needed(self, unit: Unit, reads: Iterable[Region], writes: Iterable[Region]) -> dict[Unit, int]:
        needed: dict[Unit, int] = {}
        for region in reads:
            for access in reversed(self._accesses.get(region.area, [])):
                if access.write and access.number > needed.get(access.unit, 0) and region.overlaps(access.region):
                    needed[access.unit] = access.number
        for region in writes:
            for access in reversed(self._accesses.get(region.area, [])):
                later = access.unit is not unit and access.number > needed.get(access.unit, 0)
                if later and region.overlaps(access.region):
                    needed[access.unit] = access.number
        return needed

    def _record(self, accesses: Iterable[_Access]) -> None:
        """Remember accesses; forget older ones that waiting for a new one implies."""
        for new in accesses:
            kept = [old for old in self._accesses.get(new.region.area, []) if not _replaces(new, old)]
            kept.append(new)
            self._accesses[new.region.area] = kept


def _replaces(new: _Access, old: _Access) -> bool:
    """Whether every later conflict with `old` is also one with `new`, which waited for `old`."""
    if new.write:
        return new.region.covers(old.region)
    return not old.write and new.unit is old.unit and new.region.covers(old.region)
