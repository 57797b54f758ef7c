"""Tables of a run: they hold what the report holds, frame by frame and layer by layer."""

from __future__ import annotations

import csv
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.cost import trace_columns
from reuse_compiler.backend.accelerator.isa import Unit
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.csv_tables import FRAMES_FILE, LAYERS_FILE, FramesTable, check_tables_place, write_layers
from reuse_compiler.errors import ReuseError, StreamError
from reuse_compiler.report import Report
from tests.watched_run import FRAMES, WatchedRun, watched_run

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Tables:
    """A report and its tables."""

    report: Report
    layers: Rows
    frames: Rows

    def column(self, name: str) -> list[float]:
        return [float(row[name]) for row in self.frames]


def read(path: Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def tables(run: WatchedRun, folder: Path, *, frames: int = FRAMES) -> Tables:
    report = run.run([FramesTable(folder, run.program, run.hardware)], frames=frames)
    write_layers(folder, report)
    return Tables(report, read(folder / LAYERS_FILE), read(folder / FRAMES_FILE))


@pytest.fixture(scope="module")
def run() -> WatchedRun:
    return watched_run()


@pytest.fixture(scope="module")
def written(run: WatchedRun, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return tables(run, tmp_path_factory.mktemp("tables") / "made")


def test_frames_sum_to_the_totals(written: Tables) -> None:
    totals = written.report.totals
    assert [int(row["frame"]) for row in written.frames] == list(range(FRAMES))
    assert sum(written.column("cycles_reuse")) == totals.cycles.reuse
    assert sum(written.column("cycles_baseline")) == totals.cycles.baseline
    assert sum(written.column("macs")) == totals.macs
    assert sum(written.column("macs_computed")) == totals.macs_computed
    changed = sum(written.column("inputs_changed"))
    assert 1 - changed / sum(written.column("inputs")) == pytest.approx(totals.similarity)
    for side in ("baseline", "reuse"):
        spent = sum(getattr(totals.energy_pj, side).values())
        assert sum(written.column(f"energy_{side}_pj")) == pytest.approx(spent, rel=1e-12)


def test_frames_say_where_the_state_was_set_back(written: Tables) -> None:
    starts = {int(row["frame"]): row["start"] for row in written.frames if row["start"]}
    assert starts == {0: "sequence", 41: "guard", 70: "sequence"}
    assert [int(row["sequence"]) for row in written.frames] == [1] * 70 + [2] * 30
    first = written.frames[0]
    assert float(first["reuse"]) == 1 - int(first["macs_computed"]) / int(first["macs"])
    assert float(first["speedup"]) == int(first["cycles_baseline"]) / int(first["cycles_reuse"])


def test_a_frame_costs_what_a_run_of_it_alone_does(run: WatchedRun, tmp_path: Path) -> None:
    """The energy of a frame, start included, is that of a report of this frame."""
    alone = tables(run, tmp_path, frames=1)
    assert alone.column("energy_reuse_pj") == [
        pytest.approx(sum(alone.report.totals.energy_pj.reuse.values()), rel=1e-12)
    ]
    assert alone.column("cycles_reuse") == [alone.report.totals.cycles.reuse]


def test_a_program_without_reuse(run: WatchedRun, tmp_path: Path) -> None:
    dense = tables(run.dense(), tmp_path, frames=3)
    assert [row["similarity"] for row in dense.frames] == [""] * 3
    assert sum(dense.column("macs_computed")) == dense.report.totals.macs
    assert sum(dense.column("energy_reuse_pj")) == pytest.approx(sum(dense.report.totals.energy_pj.reuse.values()))


def test_layers_are_those_of_the_report(written: Tables) -> None:
    for row, layer in zip(written.layers, written.report.layers, strict=True):
        assert (row["name"], row["op"], row["backend"]) == (layer.name, layer.op, layer.backend)
        assert int(row["macs_computed"]) == layer.macs_computed
        assert int(row["cycles_reuse"]) == layer.cycles.reuse
        assert float(row["energy_baseline_pj"]) == layer.energy_pj.baseline
        assert row["similarity"] == ("" if layer.similarity is None else str(layer.similarity))
    by_name = {row["name"]: row for row in written.layers}
    assert by_name["a"]["deadband_least"] == by_name["a"]["deadband_most"] == "0.25"
    assert by_name["m"]["clusters"] == by_name["m"]["deadband_least"] == ""


def test_deadbands_by_channel_show_their_ends(run: WatchedRun, written: Tables, tmp_path: Path) -> None:
    layer = written.report.layers[0].model_copy(update={"deadband": [0.5, 0.125, 0.25]})
    write_layers(tmp_path, written.report.model_copy(update={"layers": [layer]}))
    [row] = read(tmp_path / LAYERS_FILE)
    assert (row["deadband_least"], row["deadband_most"]) == ("0.125", "0.5")


def test_a_folder_is_made_and_not_left_by_a_run_that_fails(run: WatchedRun, tmp_path: Path) -> None:
    def failing() -> None:
        with FramesTable(tmp_path / "new", run.program, run.hardware):
            raise StreamError("stop")

    with pytest.raises(StreamError, match="stop"):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_stream(run: WatchedRun, tmp_path: Path) -> None:
    row = np.zeros(trace_columns(run.program), np.int64)

    def peak(frames: int) -> int:
        tracemalloc.start()
        with FramesTable(tmp_path, run.program, run.hardware) as table:
            for _ in range(frames):
                table.add(row)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(100)
    assert peak(4_000) - peak(400) < 64 << 10


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    check_tables_place(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ReuseError, match="is a file: choose a folder"):
        check_tables_place(tmp_path / "file")
    (tmp_path / "there" / FRAMES_FILE).mkdir(parents=True)
    with pytest.raises(ReuseError, match=r"frames\.csv: is no regular file"):
        check_tables_place(tmp_path / "there")
    with pytest.raises(ReuseError, match="cannot write"):
        check_tables_place(tmp_path / "none" / "below")


def test_the_network_covers_what_is_counted(run: WatchedRun) -> None:
    """Quantized once for two sites, dense layers, and a host: each has a term of its own."""
    program: Program = run.program
    frame = program.reuse.sections.frame
    assert {instruction.UNIT for instruction in frame} >= {Unit.HOST, Unit.COMPUTE, Unit.SPECIAL, Unit.DATA_MASTER}
    assert {"quantize", "delta.conv", "delta.fc", "dense.fc"} <= {instruction.MNEMONIC for instruction in frame}
