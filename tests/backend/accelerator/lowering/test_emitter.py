"""The emitter's waits order every conflict, and no more than they must."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.isa import (
    DenseFc,
    Function,
    Halt,
    Instruction,
    Load,
    Loop,
    Over,
    Space,
    Store,
    Sync,
)
from reuse_compiler.backend.accelerator.lowering.emitter import Box, Emitter, MoveCounter, Region
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.work import Block, resident_block
from reuse_compiler.backend.accelerator.program import Code

LOAD = Load(space=Space.BUFFER, run_bytes=8, count0=1, count1=1)
STORE = Store(run_bytes=8, count0=1, count1=1)
RAMP = Function(size0=1, size1=1, size2=1, size3=1)
FC = DenseFc(rows=1, inputs=1, outputs=1)


def at(start: int, stop: int, area: object = "buffer") -> Region:
    return Region(area, start, stop)


def waits(emitted: Sequence[Instruction]) -> list[list[int]]:
    return [[i.after_data_master, i.after_compute, i.after_special, i.after_host] for i in emitted]


def test_what_reads_waits_for_what_wrote_and_what_writes_for_both() -> None:
    emitter = Emitter()
    emitter.emit(LOAD, [], [at(0, 8)])
    emitter.emit(FC, [at(0, 4)], [at(8, 12)])  # reads what the load wrote
    emitter.emit(RAMP, [at(4, 8)], [at(12, 16)])  # so does this
    emitter.emit(LOAD, [], [at(0, 8)])  # overwrites what both read
    emitter.emit(STORE, [at(8, 16)], [])  # reads what both wrote: known by now
    emitter.emit(RAMP, [at(8, 12)], [at(20, 24)])  # has not waited for the compute engine yet
    assert waits(emitter.instructions) == [
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [1, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]


def test_a_unit_waits_for_itself_only_to_read_a_result() -> None:
    emitter = Emitter()
    emitter.emit(RAMP, [at(0, 4)], [at(4, 8)])
    emitter.emit(RAMP, [at(8, 12)], [at(0, 8)])  # overwrites what it read and wrote: in order anyway
    emitter.emit(RAMP, [at(0, 4)], [at(16, 20)])  # reads its own result
    assert waits(emitter.instructions) == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0]]


def test_what_shares_no_byte_does_not_wait() -> None:
    emitter = Emitter()
    emitter.emit(LOAD, [], [at(0, 8)])
    emitter.emit(FC, [at(8, 16)], [at(16, 20)])
    emitter.emit(FC, [at(0, 8, "dram")], [at(24, 28)])
    emitter.emit(FC, [at(0, 0)], [at(28, 32)])
    left, right = ((0, 4), (0, 2)), ((0, 4), (2, 2))
    emitter.emit(LOAD, [], [Region("buffer", 100, 130, "tensor", left)])
    emitter.emit(FC, [Region("buffer", 108, 138, "tensor", right)], [])  # columns beside each other
    assert waits(emitter.instructions) == [[0, 0, 0, 0]] * 6
    emitter.emit(FC, [Region("buffer", 108, 138, "reshaped", right)], [])
    assert waits(emitter.instructions)[-1] == [2, 0, 0, 0]


def test_a_sync_begins_anew() -> None:
    emitter = Emitter()
    emitter.emit(LOAD, [], [at(0, 8)])
    emitter.sync()
    emitter.emit(FC, [at(0, 8)], [])
    emitter.emit(LOAD, [], [at(0, 8)])
    assert waits(emitter.instructions) == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_a_coalesced_area_is_waited_for_as_a_whole() -> None:
    emitter = Emitter()
    emitter.emit(LOAD, [], [at(0, 8)])
    emitter.emit(LOAD, [], [at(32, 40)])
    emitter.emit(FC, [at(100, 104)], [])
    emitter.coalesce("buffer")
    emitter.coalesce("nothing")
    emitter.emit(RAMP, [at(16, 20)], [at(20, 24)])
    assert waits(emitter.instructions)[-1] == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("region", "other", "overlaps", "covers"),
    [
        (at(0, 8), at(8, 16), False, False),
        (at(0, 8), at(4, 8), True, True),
        (at(4, 8), at(0, 8), True, False),
        (at(0, 8), Region("b", 2, 6, "t", ((0, 1),)), True, True),
        (Region("b", 0, 9, "t", ((0, 3), (0, 2))), Region("b", 0, 9, "t", ((1, 2), (1, 1))), True, True),
        (Region("b", 0, 9, "t", ((0, 3), (0, 1))), Region("b", 0, 9, "t", ((0, 3), (1, 1))), False, False),
        (Region("b", 0, 9, "t", ((0, 3),)), Region("b", 0, 9, "u", ((5, 3),)), True, False),
        (Region("b", 0, 9, "t", ((0, 3),)), at(0, 9), True, False),
    ],
)
def test_regions(region: Region, other: Region, overlaps: bool, covers: bool) -> None:
    assert region.overlaps(other) == other.overlaps(region) == overlaps
    assert region.covers(other) == covers


def test_moves_are_counted_with_their_latency() -> None:
    counter = MoveCounter(transfer_bytes=1000)
    for instruction in (LOAD, STORE, RAMP):
        counter.emit(instruction, [], [])
    counter.control(Sync())
    counter.coalesce("buffer")
    assert counter.traffic == 2 * (8 + 1000)


# ---------------------------------------------------------------------------------------------------------------- law

TENSORS = [
    (Storage(name, 0, 0, 0), base, shape)
    for name, base, shape in (("a", 0, (4, 6)), ("b", 96, (3, 8)), ("c", 192, (6, 4)))
]


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Block, Box]:
    """A box of one of three tensors that lie one behind the other in the buffer."""
    storage, base, shape = draw(st.sampled_from(TENSORS))
    starts = [draw(st.integers(0, size - 1)) for size in shape]
    box = tuple((start, draw(st.integers(1, size - start))) for start, size in zip(starts, shape, strict=True))
    return resident_block(storage, base, shape, box, 4), box


@given(data=st.data())
def test_there_is_no_race_between_blocks_of_tensors(data: st.DataObject) -> None:
    """Found by the hazard check, which derives the bytes of an instruction from its fields alone."""
    emitter = Emitter()
    for _ in range(data.draw(st.integers(1, 25))):
        (x, box), kind = (
            data.draw(blocks()),
            data.draw(st.sampled_from(["load", "store", "ramp", "fc", "sync", "coalesce"])),
        )
        rows, columns = (size for _, size in box)
        run = {"run_bytes": 4 * columns, "count0": 1, "count1": rows}
        match kind:
            case "load":
                load = Load(
                    space=Space.BUFFER, address=x.address, stride1=4 * x.strides[0], dram_stride1=4 * columns, **run
                )
                emitter.emit(load, [], [x.region])
            case "store":
                far = 4096 + 4096 * len(emitter.instructions)
                store = Store(
                    address=x.address, stride1=4 * x.strides[0], dram_address=far, dram_stride1=4 * columns, **run
                )
                emitter.emit(store, [x.region], [])
            case "sync":
                emitter.sync()
            case "coalesce":
                emitter.coalesce(x.region.area)
            case "ramp":
                y, other = data.draw(blocks())
                ramp = Function(
                    x=x.address,
                    x_stride2=x.strides[0],
                    y=y.address,
                    y_stride2=y.strides[0],
                    size0=1,
                    size1=1,
                    size2=min(rows, other[0][1]),
                    size3=min(columns, other[1][1]),
                )
                emitter.emit(ramp, [x.region], [y.region])
            case "fc":
                z, other = data.draw(blocks())
                shape = {"rows": min(rows, other[0][1]), "inputs": columns, "outputs": other[1][1]}
                fc = DenseFc(
                    x=x.address, x_stride=x.strides[0], z=z.address, z_stride=z.strides[0], weights_stride=8, **shape
                )
                emitter.emit(fc, [x.region], [z.region])
    emitter.sync()
    frame = emitter.instructions
    loops = Loop(over=Over.SEQUENCES, length=1 + len(frame)), Loop(over=Over.FRAMES, length=len(frame))
    code = Code((*loops, *frame, Halt()), 1 << 20, 1 << 10, (), (), (), ())
    assert races(code) == []
