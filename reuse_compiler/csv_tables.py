"""Tables of a run for other tools, as CSV: ``layers.csv``, a row a layer, and ``frames.csv``, a row a frame.

The columns of the first are the fields of the report's layers; counts, cycles and energies are sums over the stream. Those
of the second sum to the report's totals: cycles and energy of a sequence start are on the row of its first frame.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.energy import energy_pj
from reuse_compiler.backend.accelerator.events import count_events
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DeltaConv, DeltaFc, Instruction
from reuse_compiler.backend.accelerator.operations import Operation, operations
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.backend.accelerator.timing import schedule
from reuse_compiler.errors import ReuseError
from reuse_compiler.files import check_file_place, replacing
from reuse_compiler.report import LayerReport, Report
from reuse_compiler.simulation import StartReason

__all__ = ["FRAMES_FILE", "LAYERS_FILE", "FramesTable", "check_tables_place", "write_layers"]

LAYERS_FILE, FRAMES_FILE = "layers.csv", "frames.csv"

_BLOCK = 64  # frames costed at once
_FRAME_COLUMNS = (
    "frame",
    "sequence",
    "start",
    "inputs",
    "inputs_changed",
    "similarity",
    "macs",
    "macs_computed",
    "reuse",
    "cycles_baseline",
    "cycles_reuse",
    "speedup",
    "energy_baseline_pj",
    "energy_reuse_pj",
)


def check_tables_place(folder: Path) -> None:
    """ReuseError where tables cannot be written into `folder`, or where it is not there and cannot be made; leaves
    nothing."""
    if folder.is_dir():
        for name in (LAYERS_FILE, FRAMES_FILE):
            check_file_place(folder / name)
    elif folder.exists():
        raise ReuseError(f"{folder}: is a file: choose a folder")
    else:
        check_file_place(folder)


# ------------------------------------------------------------------------------------------------------------- layers


def write_layers(folder: Path, report: Report) -> None:
    """Write ``layers.csv`` into `folder`; what a layer does not have is empty. Raises ReuseError where it cannot."""
    rows = [_layer_row(layer) for layer in report.layers]
    columns = list(rows[0]) if rows else list(LayerReport.model_fields)
    with replacing(folder / LAYERS_FILE) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _layer_row(layer: LayerReport) -> dict[str, Any]:
    deadbands = layer.deadband if isinstance(layer.deadband, list) else [layer.deadband]
    known = [deadband for deadband in deadbands if deadband is not None]
    plain = layer.model_dump(exclude={"deadband", "cycles", "energy_pj"})
    return plain | {
        "deadband_least": min(known, default=None),
        "deadband_most": max(known, default=None),
        "cycles_baseline": int(layer.cycles.baseline),
        "cycles_reuse": int(layer.cycles.reuse),
        "speedup": layer.cycles.baseline / layer.cycles.reuse if layer.cycles.reuse else None,
        "energy_baseline_pj": layer.energy_pj.baseline,
        "energy_reuse_pj": layer.energy_pj.reuse,
    }


# ------------------------------------------------------------------------------------------------------------- frames


@dataclass(frozen=True)
class _FixedCosts:
    """Costs that are the same in every execution."""

    cycles: int
    energy_pj: float


class FramesTable(AbstractContextManager["FramesTable"]):
    """``frames.csv`` as the frames of a run come; memory does not grow with the stream. The file takes its place when the
    block ends without an error.

    Parameters
    ----------
    folder : Path
        The file is ``frames.csv`` in it.
    program : Program
    hardware : Hardware

    Raises
    ------
    ReuseError
        Where the place cannot be written.
    """

    def __init__(self, folder: Path, program: Program, hardware: Hardware) -> None:
        self._path = folder / FRAMES_FILE
        self._program, self._hardware = program, hardware
        self._operations = operations(program.reuse.sections.frame)
        linear = _LinearCounts(self._operations, hardware)
        self._macs_of, self._changed_of, self._energy_of = linear.macs, linear.changed, linear.energy_pj
        self._static_energy = _static_energy(self._operations, hardware, reuse=True)
        self._leakage = sum(energy_pj({}, 1, hardware, reuse=True).values())
        self._start = self._fixed(program.reuse.sections.start, reuse=True)
        self._dense_start = self._fixed(program.baseline.sections.start, reuse=False)
        self._dense = self._fixed(program.baseline.sections.frame, reuse=False)
        self._macs = sum(layer.macs for layer in program.layers)
        self._dense_macs = sum(layer.macs for layer in program.layers if layer.backend != "reuse")
        self._inputs = sum(layer.inputs for layer in program.layers)
        self._rows = np.zeros((_BLOCK, self._energy_of.size), np.int64)
        self._starts: list[StartReason | None] = []
        self._frames = self._sequences = 0

    def __enter__(self) -> Self:
        self._made = not self._path.parent.is_dir()
        self._path.parent.mkdir(exist_ok=True)
        self._files = ExitStack()
        temporary = self._files.enter_context(replacing(self._path))
        file = self._files.enter_context(temporary.open("w", encoding="utf-8", newline=""))
        self._table = csv.writer(file, lineterminator="\n")
        self._write(_FRAME_COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._files:
            if kind is None:
                self._fold()
            else:
                self._files.__exit__(kind, error, trace)
        if kind is not None and self._made:
            self._path.parent.rmdir()

    def add(self, row: NDArray[np.int64], start: StartReason | None = None) -> None:
        """Add a frame: its row of the trace, int64 [columns], and why the state is set back before it, where it is."""
        self._rows[len(self._starts)] = row
        self._starts.append(start)
        if len(self._starts) == _BLOCK:
            self._fold()

    def _fold(self) -> None:
        """Write the frames that have come."""
        rows, starts = self._rows[: len(self._starts)], self._starts
        cycles = schedule(self._operations, rows, len(self._program.layers), self._hardware).total_cycles
        energy = self._static_energy + rows @ self._energy_of + self._leakage * cycles
        changed, macs = rows @ self._changed_of, self._dense_macs + rows @ self._macs_of
        for number, start in enumerate(starts):
            self._sequences += start == "sequence"
            begins = start is not None
            dense_cycles = self._dense.cycles + begins * self._dense_start.cycles
            spent = int(cycles[number]) + begins * self._start.cycles
            self._write(
                (
                    self._frames,
                    self._sequences,
                    start or "",
                    self._inputs,
                    int(changed[number]),
                    1 - int(changed[number]) / self._inputs if self._inputs else "",
                    self._macs,
                    int(macs[number]),
                    1 - int(macs[number]) / self._macs if self._macs else "",
                    dense_cycles,
                    spent,
                    dense_cycles / spent if spent else "",
                    self._dense.energy_pj + begins * self._dense_start.energy_pj,
                    float(energy[number]) + begins * self._start.energy_pj,
                )
            )
            self._frames += 1
        self._starts = []

    def _fixed(self, code: Sequence[Instruction], *, reuse: bool) -> _FixedCosts:
        """Of a section that writes no trace."""
        section = operations(code)
        timed = schedule(section, np.zeros((1, 0), np.int64), len(self._program.layers), self._hardware)
        cycles = int(timed.total_cycles[0]) if self._program.layers else 0
        leakage = sum(energy_pj({}, cycles, self._hardware, reuse=reuse).values())
        return _FixedCosts(cycles, leakage + _static_energy(section, self._hardware, reuse=reuse))

    def _write(self, row: Sequence[Any]) -> None:
        try:
            self._table.writerow(row)
        except OSError as error:
            raise ReuseError(f"{self._path}: cannot write: {error.strerror}: choose another folder") from error


class _LinearCounts:
    """What one of each column of the trace adds to a frame: `macs` and `changed` int64 [columns], `energy_pj` float64
    [columns]. All counts are linear in the columns."""

    def __init__(self, section: Sequence[Operation], hardware: Hardware) -> None:
        width = sum(operation.columns for operation in section)
        self.macs, self.changed = np.zeros(width, np.int64), np.zeros(width, np.int64)
        self.energy_pj = np.zeros(width)
        position = 0
        for operation in section:
            end = position + operation.columns
            for column, one in zip(range(position, end), np.eye(operation.columns, dtype=np.int64), strict=True):
                events = count_events(operation, one, 0, hardware)
                self.energy_pj[column] = sum(energy_pj(events, 0, hardware, reuse=True).values())
            if isinstance(operation.instruction, DeltaConv | DeltaFc):
                assert operation.classes is not None
                committed = position + operation.classes.fan_out.size
                self.macs[position:committed] = operation.classes.fan_out
                self.changed[committed] = 1
            position = end


def _static_energy(section: Sequence[Operation], hardware: Hardware, *, reuse: bool) -> float:
    """Picojoules of a section without what its trace adds, and without leakage."""
    counts = (count_events(operation, np.zeros(operation.columns, np.int64), 1, hardware) for operation in section)
    return sum(sum(energy_pj(events, 0, hardware, reuse=reuse).values()) for events in counts)
