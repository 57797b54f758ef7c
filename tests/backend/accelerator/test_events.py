"""Events: counted by hand for one of each instruction, and linear in the trace."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.events import count_events, special_operations
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import (
    INSTRUCTIONS,
    Binary,
    ConfigureConv,
    ConfigureQuantizer,
    ConfigureTable,
    Copy,
    DeltaConv,
    DeltaFc,
    DenseConv,
    DenseFc,
    Element,
    Elementwise,
    Event,
    Fill,
    Function,
    Gather,
    Halt,
    Host,
    Instruction,
    Load,
    Pool,
    Quantize,
    Select,
    Space,
    Special,
    Store,
    fields,
)
from reuse_compiler.backend.accelerator.operations import Operation, operations

# A row of three inputs, two channels to four, a kernel of two: the border inputs have one tap, the middle one two.
CONV = ConfigureConv(
    **{f"{name}{axis}": 1 for name in ("kernel", "stride", "dilation") for axis in range(3)} | {"kernel0": 2}
)
TILE: dict[str, Any] = {
    "in_channels": 2,
    "out_channels": 4,
    "group": 1,
    "in0": 3,
    "in1": 1,
    "in2": 1,
    "out0": 2,
    "out1": 1,
    "out2": 1,
}


def prepared(instruction: Instruction, clusters: int = 32, deadband: float = 0.0) -> Operation:
    return operations([ConfigureQuantizer(step=1.0, clusters=clusters, deadband=deadband), CONV, instruction])[-1]


def prepared_with_table(instruction: Instruction, clusters: int = 32, deadband: float = 0.0) -> Operation:
    return operations([ConfigureTable(clusters=clusters, deadband=deadband), CONV, instruction])[-1]


def counted(
    instruction: Instruction, hardware: Hardware, columns: list[int] | None = None, frames: int = 1, clusters: int = 32
) -> dict[str, int]:
    """Counts that are not zero."""
    found = count_events(prepared(instruction, clusters), np.array(columns or [], np.int64), frames, hardware)
    return {event.value: count for event, count in found.items() if count}


@pytest.mark.parametrize(
    ("instruction", "events"),
    [
        (Halt(), {}),
        (
            Load(space=Space.EDRAM, run_bytes=10, count0=2, count1=3),
            {"dram_read_bytes": 60, "edram_write_bytes": 60},
        ),
        (
            Load(space=Space.BUFFER, run_bytes=10, count0=2, count1=3),
            {"dram_read_bytes": 60, "buffer_write_bytes": 60},
        ),
        (Store(run_bytes=8, count0=1, count1=2), {"buffer_read_bytes": 16, "dram_write_bytes": 16}),
        (Fill(space=Space.BUFFER, element_bytes=2, repeat=5), {"buffer_write_bytes": 10}),
        (
            Fill(space=Space.DRAM, element_bytes=4, count=3, repeat=5, copies=2),
            {"edram_read_bytes": 12, "dram_write_bytes": 120},
        ),
        (
            DenseFc(rows=2, inputs=3, outputs=130),
            {
                "macs": 780,
                "mac_cycles": 12,
                "edram_read_bytes": (780 + 130) * 4,
                "buffer_read_bytes": 6 * 4,
                "buffer_write_bytes": 260 * 4,
            },
        ),
        (
            DenseFc(rows=2, inputs=3, outputs=130, accumulate=1),
            {
                "macs": 780,
                "mac_cycles": 12,
                "edram_read_bytes": 780 * 4,
                "buffer_read_bytes": (6 + 260) * 4,
                "buffer_write_bytes": 260 * 4,
            },
        ),
        (
            DenseConv(**TILE),
            {
                "macs": 2 * (1 + 2 + 1) * 4,
                "mac_cycles": 6,
                "edram_read_bytes": (32 + 4) * 4,
                "buffer_read_bytes": 6 * 4,
                "buffer_write_bytes": 8 * 4,
            },
        ),
        (
            Function(function=Special.RAMP, size0=2, size1=3, size2=1, size3=4),
            {"special_operations": 24, "buffer_read_bytes": 96, "buffer_write_bytes": 96},
        ),
        (
            Elementwise(function=Binary.DIV, size0=1, size1=1, size2=1, size3=5),
            {"special_operations": 10, "buffer_read_bytes": 40, "buffer_write_bytes": 20},
        ),
        (
            Elementwise(constant=1, size0=1, size1=1, size2=1, size3=5),
            {"special_operations": 5, "buffer_read_bytes": 20, "edram_read_bytes": 20, "buffer_write_bytes": 20},
        ),
        (
            Function(function=Special.IS_NAN, result=Element.BOOL, size0=1, size1=1, size2=1, size3=5),
            {"special_operations": 5, "buffer_read_bytes": 20, "buffer_write_bytes": 5},
        ),
        (
            Elementwise(
                function=Binary.LESS, element=Element.INT64, result=Element.BOOL, size0=1, size1=1, size2=1, size3=5
            ),
            {"special_operations": 5, "buffer_read_bytes": 80, "buffer_write_bytes": 5},
        ),
        (
            Select(element=Element.INT16, a_constant=1, size0=1, size1=1, size2=1, size3=5),
            {"special_operations": 5, "buffer_read_bytes": 15, "edram_read_bytes": 10, "buffer_write_bytes": 10},
        ),
        (
            Copy(element_bytes=2, size0=2, size1=1, size2=3, size3=4),
            {"special_operations": 24, "buffer_read_bytes": 48, "buffer_write_bytes": 48},
        ),
        (
            Copy(element_bytes=8, constant=1, size0=2, size1=1, size2=3, size3=4),
            {"special_operations": 48, "edram_read_bytes": 192, "buffer_write_bytes": 192},
        ),
        (
            Gather(element_bytes=4, outer=2, rows=9, entries=5, inner=3),
            {
                "special_operations": 30,
                "edram_read_bytes": 2 * 5 * 4,
                "buffer_read_bytes": 120,
                "buffer_write_bytes": 120,
            },
        ),
        (
            Gather(element_bytes=1, constant=1, outer=2, rows=9, entries=5, inner=3),
            {"special_operations": 30, "edram_read_bytes": 2 * 5 * 4 + 30, "buffer_write_bytes": 30},
        ),
        (
            Pool(channels=3, out0=2, out1=1, out2=1, kernel0=2, kernel1=2, kernel2=1),
            {"special_operations": 24, "buffer_read_bytes": 96, "buffer_write_bytes": 24},
        ),
        (
            Host(macs=7, operations=5, read_bytes=11, write_bytes=13),
            {"host_macs": 7, "host_operations": 5, "dram_read_bytes": 11, "dram_write_bytes": 13},
        ),
    ],
    ids=lambda value: value.MNEMONIC if isinstance(value, Instruction) else "",
)
def test_what_one_execution_does(instruction: Instruction, events: dict[str, int], hardware: Hardware) -> None:
    assert counted(instruction, hardware) == events
    assert counted(instruction, hardware, frames=3) == {name: 3 * count for name, count in events.items()}


def test_a_quantize_writes_back_what_changed_and_the_list(hardware: Hardware) -> None:
    quantize = Quantize(outer=2, channels=5, inner=1)
    assert counted(quantize, hardware, [3]) == {
        "inputs_scanned": 10,
        "inputs_changed": 3,
        "buffer_read_bytes": 10 * (4 + 1),
        "buffer_write_bytes": 10 + 3,
    }
    assert counted(quantize, hardware, [3], clusters=257)["buffer_read_bytes"] == 10 * (4 + 2)


def test_a_delta_fc_reads_weights_of_changed_inputs_and_its_outputs_once(hardware: Hardware) -> None:
    """12 inputs, of which 5 changed and 4 of those are committed; 6 linear outputs."""
    delta = DeltaFc(rows=2, inputs=6, outputs=3, commit=1)
    assert counted(delta, hardware, [5, 4, 7, 1]) == {
        "macs": 15,
        "mac_cycles": 5,
        "inputs_scanned": 12,
        "inputs_changed": 5,
        "edram_read_bytes": 60,
        "buffer_read_bytes": 12 * (4 + 1) + 6 * 4,
        "buffer_write_bytes": 4 + 6 * 4,
        "table_read_words": 10,
    }
    assert counted(delta, hardware, [0, 0, 0, 0]) == {"inputs_scanned": 12, "buffer_read_bytes": 60}


def test_a_delta_conv_counts_each_class_of_fan_out(hardware: Hardware) -> None:
    """Fan-out 4 at the borders, 8 between; with a change list the past indices are read instead of the inputs."""
    delta = DeltaConv(**TILE, commit0=3, commit1=1, commit2=1)
    assert counted(delta, hardware, [1, 2, 3, 0, 1]) == {
        "macs": 4 + 2 * 8,
        "mac_cycles": 3,
        "inputs_scanned": 6,
        "inputs_changed": 3,
        "edram_read_bytes": 80,
        "buffer_read_bytes": 6 * 5 + 8 * 4,
        "buffer_write_bytes": 3 + 8 * 4,
        "table_read_words": 6,
    }
    listed = counted(DeltaConv(**TILE, listed=1), hardware, [1, 2, 3, 0, 1])
    assert listed["buffer_read_bytes"] == 6 * 2 + 8 * 4
    assert listed["buffer_write_bytes"] == 8 * 4


def test_a_quantizer_fills_the_table_as_far_as_it_reaches(hardware: Hardware) -> None:
    assert counted(ConfigureQuantizer(step=1.0, clusters=32), hardware) == {"table_write_words": 32}
    assert counted(ConfigureQuantizer(step=1.0, clusters=5000), hardware) == {"table_write_words": 512}


def test_a_table_comes_from_the_edram_with_its_boundaries(hardware: Hardware) -> None:
    assert counted(ConfigureTable(clusters=32), hardware) == {"edram_read_bytes": 63 * 4, "table_write_words": 63}
    assert counted(ConfigureTable(clusters=256), hardware)["table_write_words"] == 511


@pytest.mark.parametrize(("clusters", "searched"), [(2, 1), (3, 2), (16, 4), (17, 5), (256, 8)])
def test_a_table_is_searched_in_halves(clusters: int, searched: int, hardware: Hardware) -> None:
    for instruction in (Quantize(outer=1, channels=6, inner=1), DeltaFc(rows=1, inputs=6, outputs=3)):
        linear, table = (
            count_events(prepare(instruction, clusters), np.zeros(4, np.int64), 2, hardware)
            for prepare in (prepared, prepared_with_table)
        )
        assert linear[Event.COMPARISONS] == 0
        assert table == {**linear, Event.COMPARISONS: 12 * searched, Event.TABLE_READ: 12 * searched}


def test_a_change_list_is_not_searched_for(hardware: Hardware) -> None:
    operation = prepared_with_table(DeltaFc(rows=1, inputs=6, outputs=3, listed=1))
    events = count_events(operation, np.array([2, 2, 0, 1]), 1, hardware)
    assert (events[Event.COMPARISONS], events[Event.TABLE_READ]) == (0, 4)


def test_every_function_has_its_passes(hardware: Hardware) -> None:
    """A table takes two passes and so does a division; the rest is arithmetic around them."""
    one: dict[str, Any] = {"size0": 1, "size1": 1, "size2": 1, "size3": 1}
    unary = {f.name: special_operations(Function(function=f, **one), hardware.special.passes) for f in Special}
    binary = {f.name: special_operations(Elementwise(function=f, **one), hardware.special.passes) for f in Binary}
    simple = {
        *("IDENTITY", "RAMP", "ABS", "NEG", "CLIP", "HARD_SIGMOID", "FLOOR", "CEIL", "ROUND", "SIGN", "SHRINK"),
        *("THRESHOLDED", "AFFINE", "NOT", "IS_NAN", "IS_INF"),
    }
    composed = {
        "CELU": 2 + 2,
        "SELU": 2 + 1,
        "GELU": 2 + 1,
        "GELU_TANH": 3 + 2 + 1,
        "SWISH": 2 + 1,
        "HARD_SWISH": 1 + 1,
        "MISH": 2 + 2 + 1,
        "SOFTSIGN": 1 + 2,
        "SCALED_TANH": 2 + 1,
    }
    assert unary == {f.name: 1 if f.name in simple else composed.get(f.name, 2) for f in Special}
    assert binary == {f.name: {"DIV": 2, "POW": 2 + 1 + 2, "MOD": 2 + 1, "FMOD": 2 + 1}.get(f.name, 1) for f in Binary}
    assert special_operations(Select(**one), hardware.special.passes) == 1


def fields_of(kind: type[Instruction], space: Space, flag: int) -> dict[str, Any]:
    """Fields with which an instruction of this kind does one of everything."""
    if kind in (DenseConv, DeltaConv):
        return TILE
    counted_by = {
        *(
            "rows",
            "inputs",
            "outputs",
            "outer",
            "channels",
            "inner",
            "clusters",
            "run_bytes",
            "repeat",
            "element_bytes",
            "entries",
            "taps",
        ),
        *("macs", "operations", "read_bytes", "write_bytes", "count", "copies", "count0", "count1"),
        *(f"{name}{axis}" for name in ("size", "kernel", "out", "matrices") for axis in range(4)),
    }
    names = {field.name for field in fields(kind)}
    values: dict[str, Any] = dict.fromkeys(counted_by & names, 1)
    values |= dict.fromkeys({"constant", "a_constant", "listed", "accumulate", "commit"} & names, flag)
    return values | ({"space": space} if "space" in names else {})


@pytest.mark.parametrize("kind", INSTRUCTIONS.values(), ids=lambda kind: kind.MNEMONIC)
def test_only_declared_events_are_counted_and_all_of_them_can_be(kind: type[Instruction], hardware: Hardware) -> None:
    found: set[Event] = set()
    for space, flag in itertools.product(Space, (0, 1)):
        for prepare in (prepared, prepared_with_table):
            operation = prepare(kind(**fields_of(kind, space, flag)), deadband=1.0)
            columns = np.ones(operation.columns, np.int64)
            found |= {event for event, count in count_events(operation, columns, 1, hardware).items() if count}
    assert found == set(kind.EVENTS)


def test_a_deadband_looks_up_the_past_centroid_of_every_input(hardware: Hardware) -> None:
    for instruction in (Quantize(outer=1, channels=6, inner=1), DeltaFc(rows=1, inputs=6, outputs=3)):
        none, one, channels = (
            count_events(operations([quantizer, instruction])[1], np.zeros(4, np.int64), 2, hardware)[Event.TABLE_READ]
            for quantizer in (
                ConfigureQuantizer(step=1.0, clusters=4),
                ConfigureQuantizer(step=1.0, clusters=4, deadband=0.5),
                ConfigureQuantizer(step=1.0, clusters=4, deadband_channels=6),
            )
        )
        assert (none, one, channels) == (0, 12, 12)


@given(
    frames=st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=1, max_size=5),
    listed=st.integers(0, 1),
)
def test_counts_are_linear_in_the_trace(frames: list[list[int]], listed: int, hardware: Hardware) -> None:
    operation = prepared(DeltaConv(**TILE, listed=listed))
    rows = np.array(frames, np.int64)
    together = count_events(operation, rows.sum(axis=0), len(rows), hardware)
    apart = [count_events(operation, row, 1, hardware) for row in rows]
    assert together == {event: sum(one[event] for one in apart) for event in together}
