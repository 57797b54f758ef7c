"""Writes the timeline of a run as its frames come, in less detail the longer it gets."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reuse_compiler import __version__
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import Unit
from reuse_compiler.backend.accelerator.program import Code, Program
from reuse_compiler.simulation import StartReason
from reuse_compiler.timeline.sections import LAYERS, Section, Slice, TimedSection
from reuse_compiler.timeline.trace_events import Arguments, TraceEventFile

__all__ = ["Detail", "Timeline"]

_REUSE, _BASELINE = 1, 2
_FRAMES = 11
_TRACKS = {
    LAYERS: (12, "layers (cycles booked)"),
    Unit.DATA_MASTER: (13, "data master (DMA)"),
    Unit.COMPUTE: (14, "compute"),
    Unit.SPECIAL: (15, "special functions"),
    Unit.HOST: (16, "host"),
}
_STARTS: Mapping[StartReason, str] = {"sequence": "sequence start", "guard": "the guard starts anew"}
_SLOTS = 1 << 21  # timed at once: instructions times frames
_BLOCK = 64  # frames timed at once, at most


class Detail(enum.IntEnum):
    """How much of a frame is shown."""

    INSTRUCTIONS = 0
    RUNS = 1
    GROUPS = 2


class Timeline(AbstractContextManager["Timeline"]):
    """The timeline of a program on a stream, as a file of trace events: 1 µs is one cycle.

    Of the reuse machine there is a track for the frames, one for the layers that cycles are booked on, and one for each
    unit. Slices of a unit last as long as it is busy. While `slices` suffice, there is one for each instruction; after
    that, as many again for each run of instructions of one layer; after that one a unit for each frame, and soon for two
    frames, for four and so on, which begins with the group and lasts as long as the unit is busy in all of it. The
    baseline machine, in which all frames are alike, is shown for one sequence start and one frame.

    Durations on the track of the frames sum to the report's ``totals.cycles.reuse``, but for the setup's, which is
    ``setup.cycles.reuse``.

    Parameters
    ----------
    path : str or Path
        The file; its suffix does not matter.
    program : Program
    hardware : Hardware
    slices : int
        The most that are spent on instructions, and again on runs.
    groups : int
        How many groups of one size are written before the next are twice as large.
    """

    def __init__(
        self, path: str | Path, program: Program, hardware: Hardware, *, slices: int = 100_000, groups: int = 1024
    ) -> None:
        self._file = TraceEventFile(path)
        self._program, self._hardware = program, hardware
        sections = program.reuse.sections
        self._setup, self._start, self._frame = (
            Section(code, program.layers, hardware) for code in (sections.setup, sections.start, sections.frame)
        )
        self._started = self._start.once()
        self._inputs = sum(layer.inputs for layer in program.layers)
        self._left = {Detail.INSTRUCTIONS: slices, Detail.RUNS: slices}
        self._detail = Detail.INSTRUCTIONS
        self._groups_of_a_size, self._groups_left, self._group_size = groups, groups, 1
        self._group = _Group()
        block = max(1, min(_BLOCK, _SLOTS // max(self._frame.instructions, 1)))
        self._rows = np.zeros((block, self._frame.width), np.int64)
        self._reasons: list[StartReason | None] = []
        self._clock = self._frames = 0

    def __enter__(self) -> Self:
        self._file.__enter__()
        self._file.about(
            {
                "tool": f"reuse-compiler {__version__}",
                "hardware": self._hardware.name,
                "model_sha256": self._program.model_sha256,
                "time": "1 us is 1 cycle",
                "frequency_hz": self._hardware.clock.frequency_hz.value,
            }
        )
        tracks = (self._frame, self._start, self._setup)
        self._name(_REUSE, "reuse machine", [unit for section in tracks for unit in section.units])
        self._baseline(self._program.baseline)
        setup = self._setup.once()
        self._mark("setup", setup, 0, {})
        self._write_whole(setup, 0)
        self._clock = setup.cycles()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._fold()
            if self._group.frames:
                self._close_group(self._frames - 1)
        self._file.__exit__(kind, error, trace)

    def add(self, row: NDArray[np.int64], start: StartReason | None = None) -> None:
        """Add a frame: its row of the trace, int64 [columns], and why the state is set back before it, where it is."""
        self._rows[len(self._reasons)] = row
        self._reasons.append(start)
        if len(self._reasons) == len(self._rows):
            self._fold()

    def _fold(self) -> None:
        """Write the frames that have come."""
        timed = self._frame.time(self._rows[: len(self._reasons)])
        for frame, start in enumerate(self._reasons):
            self._choose_detail()
            if self._detail is Detail.GROUPS:
                self._add_to_group(timed, frame, start is not None)
            else:
                self._write_frame(timed, frame, start)
            self._frames += 1
        self._reasons = []

    def _choose_detail(self) -> None:
        """The next less detail where the slices of another frame and a start are more than are left."""
        needed = {
            Detail.INSTRUCTIONS: self._frame.instructions + self._start.instructions,
            Detail.RUNS: self._frame.runs + self._start.runs,
        }
        while self._detail is not Detail.GROUPS and needed[self._detail] > self._left[self._detail]:
            self._detail = Detail(self._detail + 1)
        if self._detail is not Detail.GROUPS:
            self._left[self._detail] -= needed[self._detail]

    def _write_frame(self, timed: TimedSection, frame: int, start: StartReason | None) -> None:
        if start is not None:
            self._mark(_STARTS[start], self._started, 0, {})
            self._write(self._started, 0)
            self._clock += self._started.cycles()
        changed = int(timed.changed[frame])
        about = {"frame": self._frames, "changed_inputs": changed, "inputs": self._inputs}
        self._mark(f"frame {self._frames}", timed, frame, about)
        self._count(changed, 1)
        self._write(timed, frame)
        self._clock += timed.cycles(frame)

    def _mark(self, name: str, timed: TimedSection, frame: int, about: Arguments) -> None:
        """A slice on the track of the frames; none for a section that takes no time."""
        cycles = timed.cycles(frame)
        if cycles:
            self._file.slice(_REUSE, _FRAMES, name, "frame", self._clock, cycles, {"cycles": cycles, **about})

    def _write(self, timed: TimedSection, frame: int) -> None:
        found = timed.by_instruction(frame) if self._detail is Detail.INSTRUCTIONS else timed.by_run(frame)
        self._slices(_REUSE, found, self._clock)
        self._slices(_REUSE, timed.by_layer(frame), self._clock)

    def _write_whole(self, timed: TimedSection, frame: int) -> None:
        """A section that is written once, in as much detail as there are slices for."""
        whole = timed.section.instructions <= self._left[Detail.INSTRUCTIONS]
        self._slices(_REUSE, timed.by_instruction(frame) if whole else timed.by_run(frame), self._clock)

    def _slices(self, process: int, found: Iterable[Slice], begin: int) -> None:
        for one in found:
            track, _ = _TRACKS[one.track]
            self._file.slice(process, track, one.name, one.kind, begin + one.start, one.cycles, one.arguments)

    def _name(self, process: int, name: str, units: Iterable[int]) -> None:
        self._file.process(process, f"{name} ({self._hardware.name})", "1 µs is 1 cycle")
        self._file.track(process, _FRAMES, "frames")
        for track in sorted({LAYERS, *units}):
            self._file.track(process, *_TRACKS[track])

    def _baseline(self, code: Code) -> None:
        start = Section(code.sections.start, self._program.layers, self._hardware)
        frame = Section(code.sections.frame, self._program.layers, self._hardware)
        self._name(_BASELINE, "baseline machine", [*start.units, *frame.units])
        begin = 0
        for name, section in (("sequence start", start), ("frame, all are alike", frame)):
            timed = section.once()
            cycles = timed.cycles()
            if not cycles:
                continue
            self._file.slice(_BASELINE, _FRAMES, name, "frame", begin, cycles, {"cycles": cycles})
            whole = section.instructions <= self._left[Detail.INSTRUCTIONS]
            self._slices(_BASELINE, timed.by_instruction() if whole else timed.by_run(), begin)
            self._slices(_BASELINE, timed.by_layer(), begin)
            begin += cycles

    def _count(self, changed: int, frames: int) -> None:
        if self._inputs:
            share = 100 * changed / (self._inputs * frames)
            self._file.counter(_REUSE, "changed inputs", "%", self._clock, round(share, 3))

    def _add_to_group(self, timed: TimedSection, frame: int, starts: bool) -> None:
        if starts:
            self._group.add(self._started, 0)
            self._group.starts += 1
        self._group.add(timed, frame)
        self._group.changed += int(timed.changed[frame])
        self._group.frames += 1
        if self._group.frames == self._group_size:
            self._close_group(self._frames)

    def _close_group(self, last: int) -> None:
        """Write the frames that are shown as one, of which `last` is the last."""
        group, self._group = self._group, _Group()
        first = last - group.frames + 1
        about = {
            "frames": group.frames,
            "starts": group.starts,
            "cycles": group.cycles,
            "changed_inputs": group.changed,
            "inputs": self._inputs * group.frames,
        }
        name = f"frame {first}" if first == last else f"frames {first} to {last}"
        self._file.slice(_REUSE, _FRAMES, name, "frame", self._clock, group.cycles, about)
        self._count(group.changed, group.frames)
        for unit, busy in group.busy.items():
            share = round(100 * busy / group.cycles, 2) if group.cycles else 0.0
            self._slices(_REUSE, [Slice(unit, "busy", "group", 0, busy, {"busy_percent": share})], self._clock)
        self._clock += group.cycles
        self._groups_left -= 1
        if not self._groups_left:
            self._groups_left, self._group_size = self._groups_of_a_size, 2 * self._group_size


class _Group:
    """Sums over frames that are shown as one."""

    def __init__(self) -> None:
        self.frames = self.starts = self.cycles = self.changed = 0
        self.busy: dict[Unit, int] = {}

    def add(self, timed: TimedSection, frame: int) -> None:
        """Add what is done in a frame, or at a start."""
        self.cycles += timed.cycles(frame)
        for unit, spent in timed.busy.items():
            self.busy[unit] = self.busy.get(unit, 0) + int(spent[frame])
