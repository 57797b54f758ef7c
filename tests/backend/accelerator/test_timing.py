"""Cycles: worked out by hand, and by a simulation that visits every input."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import (
    ConfigureConv,
    ConfigureQuantizer,
    Copy,
    DeltaConv,
    DeltaFc,
    DenseConv,
    DenseFc,
    Elementwise,
    Fill,
    Function,
    Gather,
    Host,
    Instruction,
    Load,
    Pool,
    Quantize,
    Space,
    Special,
    Store,
    Sync,
)
from reuse_compiler.backend.accelerator.operations import operations
from reuse_compiler.backend.accelerator.timing import Schedule, busy_cycles, schedule

NOTHING = np.zeros((1, 0), np.int64)
QUANTIZER = ConfigureQuantizer(step=1.0, clusters=4)
DENSE = DenseFc(rows=1, inputs=400, outputs=2000)
DELTA = DeltaFc(rows=1, inputs=400, outputs=2000, commit=1)


def fc_columns(changed: int) -> NDArray[np.int64]:
    """The trace of a delta.fc: changed inputs, committed ones, skipped on zero, whether any changed."""
    return np.array([[changed, changed, 0, int(changed > 0)]], np.int64)


def timed(section: list[Instruction], rows: NDArray[np.int64], hardware: Hardware) -> Schedule:
    return schedule(operations(section), rows, 1, hardware, keep_slots=True)


# ----------------------------------------------------------------------------------------------------------- by hand


def test_a_dense_fc_of_400_inputs_and_2000_outputs_is_busy_6400_cycles_and_ready_8_later(hardware: Hardware) -> None:
    [slot] = timed([DENSE], NOTHING, hardware).slots
    assert [time.item() for time in (slot.start, slot.end, slot.ready)] == [0, 6400, 6408]


@pytest.mark.parametrize(("changed", "busy"), [(200, 3200), (400, 6400), (2, 32), (1, 25), (0, 25)])
def test_a_delta_fc_is_busy_with_its_changes_or_with_its_scan(changed: int, busy: int, hardware: Hardware) -> None:
    [slot] = timed([QUANTIZER, DELTA], fc_columns(changed), hardware).slots
    assert slot.end - slot.start == busy
    assert slot.ready - slot.end == 8


def test_a_scan_that_does_not_overlap_comes_before_the_changes(hardware: Hardware) -> None:
    apart = hardware.varied({"quantizer.overlapped": False})
    [slot] = timed([QUANTIZER, DELTA], fc_columns(200), apart).slots
    assert slot.end - slot.start == 3225


def test_lanes_and_quantizer_width_set_the_two_rates(hardware: Hardware) -> None:
    other = hardware.varied({"compute.lanes": 1024, "quantizer.inputs_per_cycle": 0.5})
    assert busy_cycles(operations([DENSE])[0], NOTHING, other) == 800
    delta = operations([QUANTIZER, DELTA])[1]
    assert busy_cycles(delta, fc_columns(399), other) == 800
    assert busy_cycles(delta, fc_columns(0), other) == 800
    assert busy_cycles(delta, fc_columns(400), other.varied({"quantizer.inputs_per_cycle": 1.0})) == 800


@pytest.mark.parametrize(
    ("instruction", "busy"),
    [
        (Load(run_bytes=100, count0=2, count1=3), 50 + 12),  # 600 / 51.2
        (Store(run_bytes=512, count0=1, count1=1), 50 + 10),
        (Store(run_bytes=513, count0=1, count1=1), 50 + 11),
        (Load(run_bytes=0, count0=1, count1=1), 0),
        (Fill(space=Space.BUFFER, element_bytes=1, repeat=65), 2),
        (Fill(space=Space.BUFFER, element_bytes=4, count=3, repeat=5, copies=2), 2),
        (Fill(space=Space.DRAM, element_bytes=2, repeat=256), 60),
        (Quantize(outer=2, channels=3, inner=11), 5),
        (DenseFc(rows=3, inputs=5, outputs=129), 30),
        (Function(function=Special.RAMP, size0=1, size1=1, size2=1, size3=33), 3),
        (Function(function=Special.EXP, size0=1, size1=1, size2=1, size3=33), 5),  # two passes
        (Function(function=Special.RECIPROCAL, size0=1, size1=1, size2=1, size3=16), 2),
        (Elementwise(size0=2, size1=2, size2=2, size3=2), 1),
        (Copy(element_bytes=1, size0=1, size1=1, size2=3, size3=11), 3),
        (Copy(element_bytes=8, size0=1, size1=1, size2=3, size3=11), 5),  # two passes
        (Gather(element_bytes=4, outer=2, rows=9, entries=5, inner=7), 5),  # 70 elements
        (Pool(channels=2, out0=2, out1=2, out2=1, kernel0=3, kernel1=3, kernel2=1), 5),  # 72 window elements
        (Host(macs=1000, read_bytes=512, write_bytes=512), 8 + 60 + 60),
        (Host(operations=17, read_bytes=1), 2 + 51),
        (Sync(), 0),
    ],
)
def test_busy_cycles(instruction: Instruction, busy: int, hardware: Hardware) -> None:
    assert busy_cycles(operations([QUANTIZER, instruction])[1], NOTHING, hardware) == busy


def test_an_instruction_starts_when_it_is_issued_its_unit_is_free_and_its_sources_are_ready(hardware: Hardware) -> None:
    load = Load(run_bytes=512, count0=1, count1=1)  # busy 60, ready 6 later
    fc = DenseFc(rows=1, inputs=10, outputs=128)  # busy 10, ready 8 later
    ramp = Function(size0=1, size1=1, size2=1, size3=160)  # busy 10, ready 4 later
    host = Host(operations=160)  # busy 10, ready at once
    section: list[Instruction] = [
        load,
        load,  # the data master is free at 60
        replace(fc, after_data_master=1),  # ready at 66
        fc,  # needs nothing, but the compute engine is busy till 76
        replace(ramp, after_compute=1),  # ready at 84
        replace(ramp, after_compute=2),  # ready at 94, and the unit is free then
        replace(host, after_special=1, after_data_master=2),  # ready at 98 and 126
        replace(load, after_host=1, after_compute=1),  # 136
        Sync(),
    ]
    done = timed(section, NOTHING, hardware)
    assert [(slot.start.item(), slot.end.item(), slot.ready.item()) for slot in done.slots] == [
        (0, 60, 66),
        (60, 120, 126),
        (66, 76, 84),
        (76, 86, 94),
        (84, 94, 98),
        (94, 104, 108),
        (126, 136, 136),
        (136, 196, 202),
    ]
    assert done.total_cycles.tolist() == [202]


def test_instructions_are_issued_one_a_cycle(hardware: Hardware) -> None:
    section: list[Instruction] = [Sync()] * 5 + [DenseFc(rows=1, inputs=3, outputs=1), Sync(), Sync()]
    assert timed(section, NOTHING, hardware).slots[0].start == 5
    slower = timed(section, NOTHING, hardware.varied({"clock.issue_cycles": 7}))
    assert slower.slots[0].start == 35
    assert slower.total_cycles.tolist() == [56]  # issuing takes longer than the work, which is done at 46


def test_frames_are_timed_apart_and_layers_sum_to_them(hardware: Hardware) -> None:
    section = operations(
        [QUANTIZER, replace(DELTA, layer=0), replace(DELTA, layer=1), Load(layer=2, run_bytes=9999, count0=1, count1=1)]
    )
    columns = np.concatenate([fc_columns(changed) for changed in (0, 200, 400)])
    timed = schedule(section, np.concatenate([columns, columns[::-1]], axis=1), 3, hardware)
    assert timed.total_cycles.tolist() == [1 + 25 + 6400 + 8, 1 + 3200 + 3200 + 8, 1 + 6400 + 25 + 8]
    np.testing.assert_array_equal(timed.layer_cycles.sum(axis=0), timed.total_cycles)
    assert timed.layer_cycles.tolist() == [[34, 3209, 6409], [6400, 3200, 25], [0, 0, 0]]


# ------------------------------------------------------------------------------------------- a CONV, input by input


@dataclass(frozen=True)
class Layer:
    """A 2D CONV."""

    inputs: int
    outputs: int
    group: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int, int, int]

    @property
    def out(self) -> list[int]:
        return [
            (self.size[a] + self.pad[a] + self.pad[a + 2] - (self.kernel[a] - 1) * self.dilation[a] - 1)
            // self.stride[a]
            + 1
            for a in range(2)
        ]

    def fields(self) -> dict[str, int]:
        axes = (*self.size, 1), (*self.out, 1), (*self.pad[:2], 0)
        fields = {
            f"{name}{a}": extent
            for name, extents in zip(("in", "out", "pad"), axes, strict=True)
            for a, extent in enumerate(extents)
        }
        return fields | {"in_channels": self.inputs, "out_channels": self.outputs, "group": self.group}

    def configure(self) -> ConfigureConv:
        axes = {"kernel": self.kernel, "stride": self.stride, "dilation": self.dilation}
        return ConfigureConv(**{f"{name}{a}": (*sizes, 1)[a] for name, sizes in axes.items() for a in range(3)})

    def elements(self) -> Iterator[tuple[int, int, int]]:
        return itertools.product(range(self.inputs), range(self.size[0]), range(self.size[1]))

    def corrected(self, channel: int, row: int, column: int) -> int:
        """How many outputs read an input, found by asking every output."""
        group = channel // (self.inputs // self.group)
        count = 0
        for output in range(self.outputs):
            if output // (self.outputs // self.group) != group:
                continue
            for y, x in itertools.product(range(self.out[0]), range(self.out[1])):
                for i, j in itertools.product(range(self.kernel[0]), range(self.kernel[1])):
                    at = (
                        y * self.stride[0] - self.pad[0] + i * self.dilation[0],
                        x * self.stride[1] - self.pad[1] + j * self.dilation[1],
                    )
                    count += at == (row, column)
        return count


LAYERS = [
    Layer(3, 6, 1, (5, 4), (3, 3), (2, 1), (1, 1), (1, 0, 0, 2)),
    Layer(4, 40, 2, (6, 3), (2, 3), (1, 2), (2, 1), (0, 1, 1, 1)),
    Layer(2, 2, 2, (4, 4), (1, 1), (3, 3), (1, 1), (0, 0, 0, 0)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("lanes", [2, 16, 128])
def test_a_conv_takes_the_cycles_that_its_inputs_take_one_by_one(layer: Layer, lanes: int, hardware: Hardware) -> None:
    """Dense, and as delta with random inputs changed: one event an input, in the order of the scan."""
    machine = hardware.varied({"compute.lanes": lanes})
    conv = layer.configure()
    dense, delta = DenseConv(**layer.fields()), DeltaConv(**layer.fields())
    generator = np.random.default_rng(1)
    changed = generator.random((layer.inputs, *layer.size)) < 0.3
    by_class: dict[int, int] = {}
    dense_cycles = delta_cycles = 0
    for element in layer.elements():
        fan_out = layer.corrected(*element)
        cycles = -(-fan_out // lanes)
        dense_cycles += cycles
        by_class.setdefault(fan_out, 0)
        if changed[element]:
            delta_cycles += cycles
            by_class[fan_out] += 1
    scan_cycles = -(-changed.size // 16)
    busy = busy_cycles(operations([conv, dense])[1], NOTHING, machine)
    assert busy == dense_cycles
    operation = operations([QUANTIZER, conv, delta])[2]
    assert operation.classes is not None
    row = [by_class[int(fan_out)] for fan_out in operation.classes.fan_out] + [int(changed.sum()), 0, 1]
    columns = np.array([row, [0] * len(row)], np.int64)
    assert busy_cycles(operation, columns, machine).tolist() == [max(delta_cycles, scan_cycles), scan_cycles]


# ------------------------------------------------------------------------------------------------------------- laws


@given(rows=st.lists(st.lists(st.integers(0, 400), min_size=3, max_size=3), min_size=1, max_size=4), data=st.data())
def test_timing_all_frames_at_once_is_timing_each(
    rows: list[list[int]], data: st.DataObject, hardware: Hardware
) -> None:
    waits = [data.draw(st.integers(0, number)) for number in range(3)]
    section: list[Instruction] = [QUANTIZER]
    for number, wait in enumerate(waits):
        section.append(Load(run_bytes=100 * number, count0=1, count1=1, layer=number, after_compute=wait))
        section.append(replace(DELTA, layer=number, after_data_master=number + 1))
    columns = np.concatenate([np.concatenate([fc_columns(changed) for changed in row], axis=1) for row in rows])
    together: Any = schedule(operations(section), columns, 3, hardware)
    apart = [schedule(operations(section), columns[frame : frame + 1], 3, hardware) for frame in range(len(rows))]
    assert together.total_cycles.tolist() == [int(one.total_cycles[0]) for one in apart]
    np.testing.assert_array_equal(together.layer_cycles, np.concatenate([one.layer_cycles for one in apart], axis=1))
