"""Races are found exactly where no wait puts two instructions in order."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.accesses import Configuration, accesses
from reuse_compiler.backend.accelerator.hazards import Race, races
from reuse_compiler.backend.accelerator.isa import (
    EXECUTION_UNITS,
    ConfigureQuantizer,
    DeltaFc,
    DenseFc,
    Elementwise,
    Fill,
    Function,
    Halt,
    Host,
    Instruction,
    Load,
    Loop,
    Over,
    Quantize,
    Space,
    Store,
    Sync,
    Unit,
)
from reuse_compiler.backend.accelerator.program import Binding, Code, HostModel, Program
from reuse_compiler.errors import ProgramError

DRAM, EDRAM, BUFFER = Space.DRAM, Space.EDRAM, Space.BUFFER
HOSTS = (HostModel("h", b"", (Binding("a", 0, (8,), "uint8"),), (Binding("b", 8, (8,), "uint8"),)),)


def code(*frame: Instruction, setup: tuple[Instruction, ...] = (), start: tuple[Instruction, ...] = (Sync(),)) -> Code:
    loops = Loop(over=Over.SEQUENCES, length=len(start) + 1 + len(frame)), Loop(over=Over.FRAMES, length=len(frame))
    return Code(
        instructions=(*setup, loops[0], *start, loops[1], *frame, Halt()),
        dram_bytes=0,
        buffer_bytes=0,
        inputs=(),
        outputs=(),
        hosts=HOSTS,
        sites=(),
    )


FIRST = 3  # the number of a frame's first instruction in `code(...)`


def load(address: int, length: int = 8, source: int = 0, space: Space = BUFFER, **waits: Any) -> Load:
    return Load(space=space, dram_address=source, address=address, run_bytes=length, count0=1, count1=1, **waits)


def store(address: int, length: int = 8, target: int = 1 << 20, **waits: Any) -> Store:
    return Store(dram_address=target, address=address, run_bytes=length, count0=1, count1=1, **waits)


def function(x: int, y: int, elements: int = 2, **waits: Any) -> Function:
    return Function(x=x, y=y, size0=1, size1=1, size2=1, size3=elements, **waits)


def fc(x: int, z: int, **waits: Any) -> DenseFc:
    return DenseFc(x=x, z=z, rows=1, inputs=2, outputs=2, weights_stride=2, bias=100, **waits)


def in_frame(first: int, second: int, kind: str, memory: Space, address: int) -> list[Race]:
    return [Race("frame", FIRST + first, FIRST + second, kind, memory, address)]  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- by hand


def test_a_read_needs_a_wait_for_the_write_before_it() -> None:
    assert races(code(load(64), fc(64, 128), Sync())) == in_frame(0, 1, "RAW", BUFFER, 64)
    assert races(code(load(64), fc(64, 128, after_data_master=1), Sync())) == []


def test_a_read_needs_a_wait_on_its_own_unit_too() -> None:
    assert races(code(function(0, 64), function(64, 128), Sync())) == in_frame(0, 1, "RAW", BUFFER, 64)
    assert races(code(function(0, 64), function(64, 128, after_special=1), Sync())) == []


def test_an_overwrite_needs_a_wait_for_the_reads_of_other_units() -> None:
    assert races(code(fc(64, 128), load(64), Sync())) == in_frame(0, 1, "WAR", BUFFER, 64)
    assert races(code(fc(64, 128), load(64, after_compute=1), Sync())) == []


def test_an_overwrite_needs_a_wait_for_the_writes_of_other_units() -> None:
    assert races(code(fc(0, 64), load(64), Sync())) == in_frame(0, 1, "WAW", BUFFER, 64)
    assert races(code(fc(0, 64), load(64, after_compute=1), Sync())) == []


def test_a_unit_overwrites_its_own_reads_and_writes_in_order() -> None:
    assert races(code(function(0, 64), function(128, 64), function(256, 0), Sync())) == []
    assert races(code(store(0), load(0), load(0), Sync())) == []


def test_an_instruction_may_work_in_place() -> None:
    assert races(code(function(64, 64), Sync())) == []
    assert races(code(function(64, 64), function(64, 64), Sync())) == in_frame(0, 1, "RAW", BUFFER, 64)


def test_the_first_common_byte_is_named() -> None:
    assert races(code(load(64, 16), function(72, 0), Sync())) == in_frame(0, 1, "RAW", BUFFER, 72)
    assert races(code(load(64, 9), function(72, 0), Sync())) == in_frame(0, 1, "RAW", BUFFER, 72)
    assert races(code(load(64, 8), function(72, 0), Sync())) == []


def test_memories_do_not_mix() -> None:
    assert races(code(load(64, space=EDRAM), function(64, 128), Sync())) == []
    addition = Elementwise(constant=1, a=0, b=64, y=128, size0=1, size1=1, size2=1, size3=2, b_stride3=1)
    assert races(code(load(64, space=EDRAM), addition, Sync())) == in_frame(0, 1, "RAW", EDRAM, 64)


def test_dram_is_checked_beyond_32_bits() -> None:
    far = 1 << 36
    assert races(code(store(0, target=far), load(64, source=far), Sync())) == in_frame(0, 1, "RAW", DRAM, far)
    assert races(code(store(0, target=far), load(64, source=far + 8), Sync())) == []


def test_the_host_reads_and_writes_where_its_table_says() -> None:
    assert races(code(store(64, target=0), Host(), Sync())) == in_frame(0, 1, "RAW", DRAM, 0)
    assert races(code(Host(), load(64, source=12), Sync())) == in_frame(0, 1, "RAW", DRAM, 12)
    assert races(code(Host(), load(64, source=12, after_host=1), Sync())) == []


def test_interleaved_tiles_do_not_conflict() -> None:
    evens = Load(space=BUFFER, address=0, stride1=8, run_bytes=4, count0=1, count1=100)
    odds = Function(x=4, x_stride2=2, y=4, y_stride2=2, size0=1, size1=1, size2=100, size3=1)
    assert races(code(evens, odds, Sync())) == []
    last = dataclasses.replace(odds, x=796, size2=1, y=4096)
    assert races(code(evens, last, Sync())) == []
    assert races(code(evens, dataclasses.replace(last, x=792), Sync())) == in_frame(0, 1, "RAW", BUFFER, 792)


def test_what_was_complete_when_an_instruction_started_is_complete_after_it() -> None:
    chain = load(0), fc(0, 64, after_data_master=1), function(64, 128, after_compute=1)
    assert races(code(*chain, fc(0, 256), Sync())) == []  # by the queue of the compute engine
    assert races(code(*chain, function(0, 256), Sync())) == []  # by the function, which waited for the fc
    assert races(code(*chain, load(0, after_special=1), Sync())) == []
    assert races(code(*chain, load(0), Sync())) == in_frame(1, 3, "WAR", BUFFER, 0)


def test_a_wait_counts_the_instructions_of_its_unit_alone() -> None:
    code_ = code(load(0), fc(512, 256), load(8), function(8, 128, after_data_master=1), Sync())
    assert races(code_) == in_frame(2, 3, "RAW", BUFFER, 8)
    code_ = code(load(0), fc(512, 256), load(8), function(8, 128, after_data_master=2), Sync())
    assert races(code_) == []


def test_sync_completes_everything_and_begins_to_count_again() -> None:
    assert races(code(load(0), Sync(), function(0, 64), Sync())) == []
    again = load(0), Sync(), load(64), function(64, 128, after_data_master=1), Sync()
    assert races(code(*again)) == []
    with pytest.raises(ProgramError, match="it waits for 2 instructions of DATA_MASTER but 1 are issued before it"):
        races(code(*again[:-2], function(64, 128, after_data_master=2), Sync()))


def test_the_configured_clusters_decide_the_bytes_of_an_index() -> None:
    quantize = Quantize(x=0, index=512, list=768, outer=1, channels=1, inner=8)
    for clusters, expected in ((256, []), (257, in_frame(1, 2, "RAW", BUFFER, 520))):
        frame = ConfigureQuantizer(clusters=clusters), quantize, function(520, 64), Sync()
        assert races(code(*frame)) == expected


def test_a_configuration_of_an_earlier_section_holds() -> None:
    delta = DeltaFc(x=0, index=512, z=768, rows=1, inputs=8, outputs=1, commit=1)
    assert races(code(delta, Sync(), start=(ConfigureQuantizer(clusters=2), Sync()))) == []


def test_sections_are_told_apart_and_instructions_have_their_number_in_the_code() -> None:
    race = load(0), function(0, 64), Sync()
    found = races(code(*race, setup=race, start=race))
    assert [(r.section, r.first, r.second) for r in found] == [("setup", 0, 1), ("start", 4, 5), ("frame", 8, 9)]


def test_a_later_race_is_found_behind_an_earlier_overwrite() -> None:
    loaded, overwrites = load(0, 16), function(128, 0, after_data_master=1)
    assert races(code(loaded, overwrites, function(8, 256), Sync())) == []
    found = races(code(loaded, overwrites, store(0, 16), Sync()))
    assert [(r.first - FIRST, r.second - FIRST, r.address) for r in found] == [(0, 2, 8), (1, 2, 0)]


# --------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("section", ["setup", "start", "frame"])
def test_a_section_without_sync_at_its_end_is_refused(section: str) -> None:
    parts: dict[str, tuple[Instruction, ...]] = {"setup": (Sync(),), "start": (Sync(),), "frame": (Sync(),)}
    parts[section] = (Sync(), load(0))
    frame = parts.pop("frame")
    with pytest.raises(ProgramError, match=f"section {section} does not end with sync"):
        races(code(*frame, **parts))


@pytest.mark.parametrize("unit", ["data_master", "compute", "special", "host"])
def test_a_wait_for_what_is_not_issued_is_refused(unit: str) -> None:
    name = "SPECIAL" if unit == "special" else unit.upper()
    late = function(0, 64, **{f"after_{unit}": 1})
    with pytest.raises(ProgramError, match=f"instruction {FIRST}: function: it waits for 1 instructions of {name}"):
        races(code(late, Sync()))


def test_an_instruction_that_is_not_configured_is_named() -> None:
    with pytest.raises(ProgramError, match=f"instruction {FIRST + 1}: quantize: no quantizer is configured"):
        races(code(load(0), Quantize(), Sync()))


# -------------------------------------------------------------------------------------------------- whole programs


def test_a_program_that_waits_enough_has_no_races(program: Program) -> None:
    assert races(program.reuse) == []
    assert races(program.baseline) == []


def test_every_wait_of_that_program_is_needed(program: Program) -> None:
    waits = [f"after_{unit}" for unit in ("data_master", "compute", "special", "host")]
    instructions = program.reuse.instructions
    waiting = [(number, wait) for number, one in enumerate(instructions) for wait in waits if getattr(one, wait)]
    assert len(waiting) == 4
    for number, wait in waiting:
        eager = dataclasses.replace(instructions[number], **{wait: 0})
        changed = (*instructions[:number], eager, *instructions[number + 1 :])
        found = races(dataclasses.replace(program.reuse, instructions=changed))
        assert any(race.second == number for race in found)


# ------------------------------------------------------------------------------------------ against every pair of bytes

SMALL = st.integers(0, 12)


@st.composite
def small_frames(draw: st.DrawFn) -> list[Instruction]:
    """Instructions of three units that touch few bytes of the I/O buffer, with waits that can hold."""
    frame: list[Instruction] = []
    issued = dict.fromkeys(EXECUTION_UNITS, 0)
    for _ in range(draw(st.integers(1, 9))):
        waits: dict[str, Any] = {
            f"after_{unit.name.lower()}": draw(st.sampled_from([0, issued[unit]]) | st.integers(0, issued[unit]))
            for unit in (Unit.DATA_MASTER, Unit.COMPUTE, Unit.SPECIAL)
        }
        a, b = draw(SMALL), draw(SMALL)
        fill = Fill(space=BUFFER, address=a, element_bytes=1, repeat=draw(st.integers(0, 9)), **waits)
        one = draw(
            st.sampled_from([load(a, 6, **waits), fill, store(a, 5, **waits), function(a, b, 1, **waits)])
            | st.just(fc(a, b, **waits))
        )
        issued[one.UNIT] += 1
        frame.append(one)
    return frame


def ordered(frame: list[Instruction]) -> nx.DiGraph[tuple[str, int]]:
    """Starts and completions as a graph: an edge where one cannot come before the other."""
    graph: nx.DiGraph[tuple[str, int]] = nx.DiGraph()
    queues: dict[Unit, list[int]] = {unit: [] for unit in EXECUTION_UNITS}
    for number, one in enumerate(frame):
        graph.add_edge(("start", number), ("complete", number))
        for before in queues[one.UNIT]:
            graph.add_edge(("start", before), ("start", number))
            graph.add_edge(("complete", before), ("complete", number))
        for unit, count in one.waits.items():
            for before in queues[unit][:count]:
                graph.add_edge(("complete", before), ("start", number))
        queues[one.UNIT].append(number)
    return graph


def all_races(frame: list[Instruction]) -> set[tuple[int, int, str]]:
    """Every racing pair of the I/O buffer, pair by pair and byte by byte."""
    reads: list[set[int]] = []
    writes: list[set[int]] = []
    for one in frame:
        touched: dict[bool, set[int]] = {False: set(), True: set()}
        for access in accesses(one, Configuration(), ()):
            for start, end in zip(access.starts.tolist(), access.ends.tolist(), strict=True):
                if access.memory is BUFFER:
                    touched[access.writes] |= set(range(start, end))
        reads.append(touched[False])
        writes.append(touched[True])
    graph = ordered(frame)
    found: set[tuple[int, int, str]] = set()
    for i, j in itertools.combinations(range(len(frame)), 2):
        if nx.has_path(graph, ("complete", i), ("start", j)):
            continue
        if writes[i] & reads[j]:
            found.add((i, j, "RAW"))
        if frame[i].UNIT is not frame[j].UNIT:
            found |= {(i, j, "WAR")} if reads[i] & writes[j] else set()
            found |= {(i, j, "WAW")} if writes[i] & writes[j] else set()
    return found


@settings(max_examples=300, deadline=None)
@given(frame=small_frames())
def test_exactly_the_racing_programs_have_races(frame: list[Instruction]) -> None:
    expected = all_races(frame)
    found = {
        (race.first - FIRST, race.second - FIRST, str(race.kind))
        for race in races(code(*frame, Sync()))
        if race.memory is BUFFER
    }
    assert found <= expected
    assert bool(found) == bool(expected)


@pytest.mark.parametrize("waits", [False, True])
def test_a_long_section_of_many_runs(waits: bool) -> None:
    """Tiles of 16 rows of a 64 x 240 x 320 tensor, 500 instructions, each of 1,024 runs; one lacks its wait."""
    row, channel = 320 * 4, 240 * 320 * 4
    frame: list[Instruction] = []
    for tile in range(250):
        first = (tile % 15) * 16 * row
        rows = Load(space=BUFFER, address=first, stride0=channel, stride1=row, run_bytes=row - 4, count0=64, count1=16)
        early = tile == 200 and not waits
        x: dict[str, Any] = {"x": first, "x_stride0": channel // 4, "x_stride1": row // 4}
        sums = Function(**x, y=channel * 64, size0=64, size1=16, size2=1, size3=319)
        frame += [
            dataclasses.replace(rows, after_special=max(tile - 14, 0)),
            dataclasses.replace(sums, after_data_master=tile if early else tile + 1),
        ]
    expected = [] if waits else in_frame(400, 401, "RAW", BUFFER, 200 % 15 * 16 * row)
    assert races(code(*frame, Sync())) == expected


def test_numbers_are_plain(program: Program) -> None:
    (race,) = races(code(load(64), fc(64, 128), Sync()))
    assert not any(isinstance(value, np.generic) for value in dataclasses.astuple(race))
