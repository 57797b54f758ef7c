"""Whether the waits in a code order every two instructions that touch the same bytes.

The check reads nothing but the instructions: from the fields of each it derives the bytes that it reads and writes,
and from the waits in the headers which instructions are complete when it starts. The lowering's own tracking of
dependences plays no part in it, so that each can be held against the other.

What orders two instructions of a section:

- A unit executes its instructions in order. An instruction starts when its unit has begun all earlier ones and ended
  their work, so one that only overwrites what earlier ones of its unit read or wrote needs no wait. Their results are
  ready a latency later: one that reads them does.
- A wait for n instructions of a unit holds when the first n of the section are complete; whatever was complete when
  the n-th of them started is complete, too.
- `sync` completes everything, and the count of completed instructions begins again.
- The control unit's instructions take effect when they are issued, and touch no memory. Their waits order nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.accesses import Access, Configuration, accesses
from reuse_compiler.backend.accelerator.isa import EXECUTION_UNITS, Instruction, Space, Sync, Unit
from reuse_compiler.backend.accelerator.program import Code, HostModel
from reuse_compiler.errors import ProgramError

__all__ = ["Race", "races"]

Numbers = NDArray[np.int64]
Kind = Literal["RAW", "WAR", "WAW"]

_UNIT_ROW = {unit: row for row, unit in enumerate(EXECUTION_UNITS)}


@dataclass(frozen=True)
class Race:
    """Two instructions, by their numbers in the code, that touch the same bytes and that no wait puts in order.

    `kind` says what the second does after the first: RAW it reads what the first wrote, WAR it overwrites what the
    first reads, WAW it overwrites what the first wrote. `address` is the first byte that both touch.
    """

    section: str
    first: int
    second: int
    kind: Kind
    memory: Space
    address: int


@dataclass(frozen=True)
class _Step:
    """An instruction between two syncs: its number in the code, its place in its unit's queue, counted from 1, and per
    unit how many instructions are complete when it starts."""

    number: int
    row: int
    place: int
    complete: Numbers
    touched: list[Access]


def races(code: Code) -> list[Race]:
    """The pairs of instructions of a section that conflict and that nothing puts in order, in program order.

    Listed are the pairs that are next to each other in the history of some byte: a read with the last write before it,
    a write with the last write before it and with each unit's last read since. Where these are in order all others
    are, so the list is empty just when the code has no race; and work grows with the accesses, not with their pairs.

    Raises ProgramError where a section does not end with `sync`, or an instruction waits for one that is not issued
    before it, lacks its configuration, or calls a host model that is not there.
    """
    sections = code.sections
    configuration = Configuration()
    found: list[Race] = []
    position = 0
    for name, section in (("setup", sections.setup), ("start", sections.start), ("frame", sections.frame)):
        if section and not isinstance(section[-1], Sync):
            raise ProgramError(f"section {name} does not end with sync: append one")
        for steps in _epochs(section, position, configuration, code.hosts):
            for memory in Space:
                found += _races_in(memory, name, steps)
        position += len(section) + 1
    return sorted(found, key=lambda race: (race.second, race.first, race.kind))


def _epochs(
    section: Iterable[Instruction], position: int, configuration: Configuration, hosts: Sequence[HostModel]
) -> Iterator[list[_Step]]:
    """The steps of a section from sync to sync; `position` is the number of its first instruction in the code."""
    queues: dict[Unit, list[_Step]] = {unit: [] for unit in EXECUTION_UNITS}
    steps: list[_Step] = []
    for number, instruction in enumerate(section, start=position):
        configuration.apply(instruction)
        if isinstance(instruction, Sync):
            yield steps
            queues, steps = {unit: [] for unit in EXECUTION_UNITS}, []
        elif instruction.UNIT is not Unit.CONTROL:
            try:
                complete = _complete(instruction, queues)
                touched = accesses(instruction, configuration, hosts)
            except ProgramError as error:
                raise ProgramError(f"instruction {number}: {instruction.MNEMONIC}: {error}") from error
            queue = queues[instruction.UNIT]
            step = _Step(number, _UNIT_ROW[instruction.UNIT], len(queue) + 1, complete, touched)
            queue.append(step)
            steps.append(step)


def _complete(instruction: Instruction, queues: Mapping[Unit, list[_Step]]) -> Numbers:
    """Per unit, how many instructions are complete when `instruction` starts."""
    queue = queues[instruction.UNIT]
    complete: Numbers = queue[-1].complete.copy() if queue else np.zeros(len(EXECUTION_UNITS), np.int64)
    for unit, count in instruction.waits.items():
        if count > len(queues[unit]):
            raise ProgramError(
                f"it waits for {count} instructions of {unit.name} but {len(queues[unit])} are issued before it"
            )
        row = _UNIT_ROW[unit]
        complete[row] = max(complete[row], count)
        np.maximum(complete, queues[unit][count - 1].complete, out=complete)
    return complete


# --------------------------------------------------------------------------------------------------- what conflicts


def _races_in(memory: Space, section: str, steps: list[_Step]) -> list[Race]:
    """The races of one epoch in one memory: a history of each byte, kept for pieces that are touched alike."""
    touched = [access for step in steps for access in step.touched if access.memory is memory]
    if not any(access.writes for access in touched):
        return []
    edges = np.unique(np.concatenate([part for access in touched for part in (access.starts, access.ends)]))
    history = _History(edges, steps)
    found: dict[tuple[int, int, Kind], Race] = {}
    for number, step in enumerate(steps):
        mine = [access for access in step.touched if access.memory is memory]
        for access in sorted(mine, key=lambda access: access.writes):
            for first, kind, address in history.touch(number, access):
                race = Race(section, steps[first].number, step.number, kind, memory, address)
                found.setdefault((race.first, race.second, kind), race)
    return list(found.values())


class _History:
    """For each piece of a memory the last write, and per unit the last read since, as numbers of steps; -1: none."""

    def __init__(self, edges: Numbers, steps: list[_Step]) -> None:
        self._edges = edges
        self._steps = steps
        self._rows = np.array([step.row for step in steps] + [0])  # the last is what -1 refers to: never a race
        self._places = np.array([step.place for step in steps] + [0])
        self._written = np.full(len(edges), -1, np.int64)
        self._read = np.full((len(EXECUTION_UNITS), len(edges)), -1, np.int64)

    def touch(self, number: int, access: Access) -> Iterator[tuple[int, Kind, int]]:
        """Enter the access of step `number`; give the earlier steps that it races with, and where."""
        pieces = self._pieces(access)
        row = self._steps[number].row
        if access.writes:
            yield from self._unordered(number, self._written[pieces], pieces, "WAW")
            for reads in self._read:
                yield from self._unordered(number, reads[pieces], pieces, "WAR")
            self._written[pieces] = number
            self._read[:, pieces] = -1
        else:
            yield from self._unordered(number, self._written[pieces], pieces, "RAW")
            self._read[row, pieces] = number

    def _unordered(self, number: int, earlier: Numbers, pieces: Numbers, kind: Kind) -> Iterator[tuple[int, Kind, int]]:
        step = self._steps[number]
        races: NDArray[np.bool_] = self._places[earlier] > step.complete[self._rows[earlier]]
        if kind != "RAW":
            races &= self._rows[earlier] != step.row
        if not races.any():
            return
        addresses: Numbers = self._edges[pieces[races]]
        firsts, inverse = np.unique(earlier[races], return_inverse=True)
        lowest: Any = np.full(len(firsts), np.iinfo(np.int64).max)
        np.minimum.at(lowest, inverse, addresses)
        for first, address in zip(firsts.tolist(), lowest.tolist(), strict=True):
            yield first, kind, address

    def _pieces(self, access: Access) -> Numbers:
        """The numbers of the pieces that an access covers."""
        low = np.searchsorted(self._edges, access.starts)
        counts = np.searchsorted(self._edges, access.ends) - low
        offsets = np.cumsum(counts) - counts
        return np.repeat(low - offsets, counts) + np.arange(int(counts.sum()))
