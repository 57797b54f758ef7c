"""The timeline of a run: its format, its sums, and what Perfetto's own trace processor reads of it."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Unit
from reuse_compiler.backend.accelerator.operations import operations
from reuse_compiler.backend.accelerator.timing import busy_cycles, schedule
from reuse_compiler.errors import ReuseError
from reuse_compiler.report import Report
from reuse_compiler.simulation import StartReason
from reuse_compiler.timeline import Timeline
from tests.perfetto_engine import query_trace
from tests.watched_run import FRAMES, WatchedRun, watched_run

Event = dict[str, Any]
Slices = dict[tuple[str, str], list[Event]]

REUSE, BASELINE = "reuse machine (isca18)", "baseline machine (isca18)"
UNITS = {
    Unit.DATA_MASTER: "data master (DMA)",
    Unit.COMPUTE: "compute",
    Unit.SPECIAL: "special functions",
    Unit.HOST: "host",
}
FRAMES_TRACK, LAYERS_TRACK = "frames", "layers (cycles booked)"
BYTES = tuple(f"{memory}_{way}_bytes" for memory in ("edram", "buffer", "dram") for way in ("read", "write"))


class Rows:
    """Keeps the rows of a run."""

    def __init__(self) -> None:
        self.rows: list[NDArray[np.int64]] = []
        self.starts: list[StartReason | None] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def add(self, row: NDArray[np.int64], start: StartReason | None) -> None:
        self.rows.append(row.copy())
        self.starts.append(start)


@dataclass(frozen=True)
class Shown:
    """A run and its timeline."""

    run: WatchedRun
    report: Report
    rows: NDArray[np.int64]
    starts: list[StartReason | None]
    path: Path
    slices: Slices

    def track(self, name: str, machine: str = REUSE) -> list[Event]:
        return self.slices.get((machine, name), [])


def show(run: WatchedRun, path: Path, *, frames: int = FRAMES, **limits: int) -> Shown:
    rows = Rows()
    report = run.run([Timeline(path, run.program, run.hardware, **limits), rows], frames=frames)
    return Shown(run, report, np.stack(rows.rows), rows.starts, path, parse(path))


@pytest.fixture(scope="module")
def run() -> WatchedRun:
    return watched_run()


@pytest.fixture(scope="module")
def shown(run: WatchedRun, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return show(run, tmp_path_factory.mktemp("timeline") / "t.json")


def total(events: list[Event], of: str | None = None) -> int:
    return sum(event["dur"] for event in events if of is None or event["name"] == of)


def argument_sum(events: list[Event], name: str) -> int:
    return sum(event["args"].get(name, 0) for event in events)


# ------------------------------------------------------------------------------------------------------------- format


def parse(path: Path) -> Slices:
    """The slices of a file by machine and track, once it holds to the trace event format as strictly as we know it:
    JSON of whole numbers, known phases with their fields, named tracks, slices of a track in order and apart."""
    document = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(document) == {"displayTimeUnit", "traceEvents", "otherData"}
    assert document["displayTimeUnit"] in ("ms", "ns")
    processes: dict[int, str] = {}
    tracks: dict[tuple[int, int], str] = {}
    slices: Slices = {}
    ends: dict[tuple[int, int], int] = {}
    counted: dict[tuple[int, str], int] = {}
    for event in document["traceEvents"]:
        assert type(event["pid"]) is int and type(event["name"]) is str and event["name"]
        if event["ph"] == "M":
            assert set(event) == {"ph", "pid", "tid", "name", "args"}
            if event["name"] == "process_name":
                assert event["pid"] not in processes
                processes[event["pid"]] = event["args"]["name"]
            elif event["name"] == "thread_name":
                key = event["pid"], event["tid"]
                assert key not in tracks and event["tid"] != event["pid"]
                tracks[key] = event["args"]["name"]
            else:
                assert event["name"] in ("process_labels", "process_sort_index", "thread_sort_index")
            continue
        assert type(event["ts"]) is int and event["ts"] >= 0
        if event["ph"] == "C":
            assert set(event) == {"ph", "pid", "name", "ts", "args"}
            assert all(isinstance(value, int | float) for value in event["args"].values())
            counter = event["pid"], event["name"]
            assert counted.get(counter, -1) < event["ts"]
            counted[counter] = event["ts"]
            continue
        assert event["ph"] == "X"
        assert set(event) == {"ph", "pid", "tid", "name", "cat", "ts", "dur", "args"}
        assert type(event["dur"]) is int and event["dur"] >= 0
        assert all(isinstance(value, int | float | str) for value in event["args"].values())
        key = event["pid"], event["tid"]
        assert ends.get(key, 0) <= event["ts"], f"{event} overlaps the slice before it"
        ends[key] = event["ts"] + event["dur"]
        slices.setdefault((processes[event["pid"]], tracks[key]), []).append(event)
    return slices


def test_one_track_a_unit_and_those_of_frames_and_layers(shown: Shown) -> None:
    tracks = {FRAMES_TRACK, LAYERS_TRACK, *UNITS.values()}
    assert {track for machine, track in shown.slices if machine == REUSE} == tracks
    assert {track for machine, track in shown.slices if machine == BASELINE} == tracks
    assert Counter(event["name"] for event in shown.track(FRAMES_TRACK)) == Counter(
        {
            **{f"frame {number}": 1 for number in range(FRAMES)},
            "setup": 1,
            "sequence start": 2,
            "the guard starts anew": 1,
        }
    )


def test_a_slice_an_instruction_with_layer_changed_inputs_and_bytes(shown: Shown) -> None:
    sections = shown.run.program.reuse.sections
    begins = 3
    for unit, track in UNITS.items():
        events = [event for event in shown.track(track) if event["cat"] == "instruction"]
        assert len(events) == len(shown.track(track))
        counted = Counter(event["args"]["instruction"] for event in events)
        expected: Counter[str] = Counter()
        for section, times in ((sections.setup, 1), (sections.start, begins), (sections.frame, FRAMES)):
            for instruction in section:
                if unit is instruction.UNIT:
                    expected[instruction.MNEMONIC] += times
        assert counted == expected
    names = {layer.name for layer in shown.run.program.layers}
    compute = shown.track("compute")
    assert {event["args"]["layer"] for event in compute} <= names
    assert all(event["name"] == f"{event['args']['layer']} {event['args']['instruction']}" for event in compute)
    assert all("changed_inputs" in event["args"] for event in compute if "delta" in event["name"])
    assert any(event["args"].get(name) for event in compute for name in BYTES)


# --------------------------------------------------------------------------------------------------------------- sums


def test_frames_and_starts_sum_to_the_cycles_of_the_report(shown: Shown) -> None:
    setup = total(shown.track(FRAMES_TRACK), "setup")
    assert setup == shown.report.setup.cycles.reuse
    assert total(shown.track(FRAMES_TRACK)) - setup == shown.report.totals.cycles.reuse
    ends = [event["ts"] + event["dur"] for event in shown.track(FRAMES_TRACK)]
    assert [event["ts"] for event in shown.track(FRAMES_TRACK)] == [0, *ends[:-1]]
    *start, frame = shown.track(FRAMES_TRACK, BASELINE)
    assert 3 * total(start) + FRAMES * frame["dur"] == shown.report.totals.cycles.baseline


def test_layers_sum_to_the_cycles_booked_on_them(shown: Shown) -> None:
    booked = shown.track(LAYERS_TRACK)
    for layer in shown.report.layers:
        assert total(booked, layer.name) == layer.cycles.reuse, layer.name
    assert total(booked) == shown.report.totals.cycles.reuse


def test_units_are_busy_as_the_timing_model_says(shown: Shown) -> None:
    """Busy sums of the slices are those of the timing model's instructions, and changed inputs those of the report."""
    sections, busy = shown.run.program.reuse.sections, dict.fromkeys(UNITS, 0)
    for section, times in ((sections.setup, 1), (sections.start, 3)):
        for operation in operations(section):
            cycles = busy_cycles(operation, np.zeros((1, 0), np.int64), shown.run.hardware)
            if operation.instruction.UNIT in busy:
                busy[operation.instruction.UNIT] += int(cycles) * times
    position = 0
    for operation in operations(sections.frame):
        columns = shown.rows[:, position : position + operation.columns]
        position += operation.columns
        cycles = np.broadcast_to(busy_cycles(operation, columns, shown.run.hardware), FRAMES)
        if operation.instruction.UNIT in busy:
            busy[operation.instruction.UNIT] += int(cycles.sum())
    assert {unit: total(shown.track(track)) for unit, track in UNITS.items()} == busy
    assert all(busy.values())
    delta = [event for event in shown.track("compute") if "delta" in event["name"]]
    for layer in shown.report.layers:
        if layer.similarity is not None:
            of_layer = [event for event in delta if event["args"]["layer"] == layer.name]
            assert argument_sum(of_layer, "changed_inputs") == round(layer.inputs * (1 - layer.similarity))
            assert argument_sum(of_layer, "macs") == layer.macs_computed


def test_a_frame_ends_with_the_latency_of_its_last_slice(shown: Shown) -> None:
    """The cycles of a frame: the end of the last slice with its unit's latency, or the issue of all instructions."""
    hardware, code = shown.run.hardware, shown.run.program.reuse.sections.frame
    latency = {
        "data master (DMA)": hardware.data_master.latency_cycles.value,
        "compute": hardware.compute.latency_cycles.value,
        "special functions": hardware.special.latency_cycles.value,
        "host": 0,
    }
    issued = len(code) * hardware.clock.issue_cycles.value
    timed = schedule(operations(code), shown.rows, len(shown.run.program.layers), hardware)
    frames = [event for event in shown.track(FRAMES_TRACK) if event["name"].startswith("frame ")]
    for number, frame in enumerate(frames):
        begin, end = frame["ts"], frame["ts"] + frame["dur"]
        complete = max(
            event["ts"] + event["dur"] + latency[track]
            for track in latency
            for event in shown.track(track)
            if begin <= event["ts"] < end
        )
        assert frame["dur"] == max(complete - begin, issued) == timed.total_cycles[number]


def test_a_program_without_reuse(run: WatchedRun, tmp_path: Path) -> None:
    dense = show(run.dense(), tmp_path / "t.json", frames=5, slices=50)
    setup = total(dense.track(FRAMES_TRACK), "setup")
    assert total(dense.track(FRAMES_TRACK)) - setup == dense.report.totals.cycles.reuse
    assert all("changed_inputs" not in event["args"] for event in dense.track("compute"))


# ------------------------------------------------------------------------------------------------------------- detail


def test_long_runs_are_summarised_and_sums_stay(run: WatchedRun, shown: Shown, tmp_path: Path) -> None:
    """Instructions at first, then runs of a layer, then frames, then ever more frames at once."""
    short = show(run, tmp_path / "short.json", slices=300, groups=8)
    kinds = [event["cat"] for event in short.track("compute")]
    assert list(dict.fromkeys(kinds)) == ["instruction", "run", "group"]
    for track in (FRAMES_TRACK, *UNITS.values()):
        assert total(short.track(track)) == total(shown.track(track)), track
    groups = [event for event in short.track(FRAMES_TRACK) if "frames" in event["args"]]
    sizes = [event["args"]["frames"] for event in groups]
    assert sizes[:17] == [1] * 8 + [2] * 8 + [4] and groups[8]["name"].startswith("frames ")
    shown_singly = sum(
        event["name"].startswith("frame ") and "frame" in event["args"] for event in short.track(FRAMES_TRACK)
    )
    assert sum(sizes) + shown_singly == FRAMES
    assert argument_sum(groups, "starts") == 2 and shown_singly < 41  # the guard starts frame 41 anew
    changed = [event for event in shown.track(FRAMES_TRACK) if event["name"].startswith("frame ")]
    assert argument_sum(short.track(FRAMES_TRACK), "changed_inputs") == argument_sum(changed, "changed_inputs")
    names = [event["name"] for event in groups if event["args"]["frames"] > 1]
    assert names[0] == f"frames {shown_singly + 8} to {shown_singly + 9}"


def test_runs_hold_what_their_instructions_do(run: WatchedRun, shown: Shown, tmp_path: Path) -> None:
    runs = show(run, tmp_path / "runs.json", slices=1000)
    assert {event["cat"] for event in runs.track("compute")} == {"instruction", "run"}
    for track in UNITS.values():
        assert len(runs.track(track)) <= len(shown.track(track))
        for name in ("macs", "changed_inputs", "inputs_changed", *BYTES):
            assert argument_sum(runs.track(track), name) == argument_sum(shown.track(track), name)


def test_the_file_grows_with_the_logarithm_of_the_frames(run: WatchedRun, tmp_path: Path) -> None:
    rows = Rows()
    run.run([rows], frames=64)
    sizes = []
    for frames in (1_000, 10_000):
        with Timeline(tmp_path / "long.json", run.program, run.hardware, slices=0, groups=16) as timeline:
            for number in range(frames):
                timeline.add(rows.rows[number % 64], "sequence" if number == 0 else None)
        events = parse(tmp_path / "long.json")[REUSE, FRAMES_TRACK]
        assert events[-1]["name"].endswith(f"to {frames - 1}")
        sizes.append(len(events))
    assert sizes[1] - sizes[0] <= 16 * np.log2(10) + 16


def test_memory_does_not_grow_with_the_stream(run: WatchedRun, tmp_path: Path) -> None:
    rows = Rows()
    run.run([rows], frames=64)

    def peak(frames: int) -> int:
        tracemalloc.start()
        with Timeline(tmp_path / "long.json", run.program, run.hardware, slices=200, groups=64) as timeline:
            for number in range(frames):
                timeline.add(rows.rows[number % 64])
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(100)
    assert peak(2_000) - peak(200) < 64 << 10


# -------------------------------------------------------------------------------------------------------------- files


def test_what_cannot_be_written(run: WatchedRun, tmp_path: Path) -> None:
    with pytest.raises(ReuseError, match="cannot write"), Timeline(tmp_path / "none/t.json", run.program, run.hardware):
        pass


def test_a_run_that_fails_leaves_no_file(run: WatchedRun, tmp_path: Path) -> None:
    def fail() -> Iterator[None]:
        with Timeline(tmp_path / "t.json", run.program, run.hardware) as timeline:
            timeline.add(np.zeros(sum(o.columns for o in operations(run.program.reuse.sections.frame)), np.int64))
            raise ReuseError("stop")
        yield

    with pytest.raises(ReuseError, match="stop"):
        list(fail())
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- Perfetto


def test_perfettos_trace_processor_reads_the_same_sums(shown: Shown) -> None:
    """1 µs is one cycle, and the engine counts in ns. It must drop nothing: its statistics say so."""
    by_track = """
        select process.name as machine, thread.name as track, count(*) as number, sum(slice.dur) as dur,
               max(slice.depth) as depth
        from slice join thread_track on slice.track_id = thread_track.id join thread using (utid)
             join process using (upid)
        group by 1, 2"""
    changed = """
        select sum(args.int_value) as number
        from slice join thread_track on slice.track_id = thread_track.id join thread using (utid)
             join process using (upid) join args using (arg_set_id)
        where process.name = 'reuse machine (isca18)' and thread.name = 'compute' and slice.name like '%delta%'
              and args.key = 'args.changed_inputs'"""
    problems = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
    counters = "select count(*) as number from counter"
    tracks, [inputs], problem, [counted] = query_trace(shown.path, [by_track, changed, problems, counters])
    assert problem == []
    found = {(row["machine"], row["track"]): (row["number"], row["dur"], row["depth"]) for row in tracks}
    assert found == {key: (len(events), 1000 * total(events), 0) for key, events in shown.slices.items()}
    layers = [layer for layer in shown.report.layers if layer.similarity is not None]
    assert inputs["number"] == sum(round(layer.inputs * (1 - (layer.similarity or 0))) for layer in layers)
    assert counted["number"] == FRAMES
