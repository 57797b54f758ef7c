"""Operations: the configuration that an instruction runs under, and its inputs by fan-out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.isa import (
    ConfigureConv,
    ConfigureQuantizer,
    DeltaConv,
    DeltaFc,
    DenseConv,
    Halt,
    Quantize,
)
from reuse_compiler.backend.accelerator.operations import operations
from reuse_compiler.errors import ProgramError

ONES = {f"{name}{axis}": 1 for name in ("kernel", "stride", "dilation") for axis in range(3)}
POINT = {f"{name}{axis}": 1 for name in ("in", "out") for axis in range(3)} | {"in_channels": 1, "out_channels": 1}


def test_a_configuration_holds_for_what_follows_until_the_next_one() -> None:
    first, second = ConfigureQuantizer(step=1.0, clusters=4), ConfigureQuantizer(step=2.0, clusters=4)
    delta = DeltaFc(rows=1, inputs=1, outputs=1)
    found = operations([first, delta, second, delta, Quantize(outer=1, channels=1, inner=1), Halt()])
    assert [operation.quantizer for operation in found] == [None, first, None, second, second, None]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ([DeltaFc(rows=1)], "instruction 0, delta.fc: no configure.quantizer or configure.table came before it"),
        ([Halt(), Quantize()], "instruction 1, quantize: no configure.quantizer or configure.table came before it"),
        ([DenseConv(**POINT, group=1)], "instruction 0, dense.conv: no configure.conv came before it"),
        (
            [ConfigureConv(**ONES), DeltaConv(**POINT, group=1)],
            "delta.conv: no configure.quantizer or configure.table came before it",
        ),
    ],
)
def test_what_lacks_its_configuration_is_an_error(section: list[DeltaFc], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        operations(section)


def test_output_extents_that_the_inputs_do_not_give_are_an_error() -> None:
    tile = DenseConv(**{**POINT, "in0": 5, "out0": 2}, group=1)
    with pytest.raises(ProgramError, match=r"dense.conv: field out is \[2, 1, 1\]: the input extents give \[5, 1, 1\]"):
        operations([ConfigureConv(**ONES), tile])


def test_a_dense_instruction_writes_no_trace_columns_a_delta_one_three_more_than_classes() -> None:
    quantizer = ConfigureQuantizer(step=1.0, clusters=4)
    tile = {**POINT, "in0": 4, "out0": 4, "pad0": 1, "group": 1}
    conv = ConfigureConv(**{**ONES, "kernel0": 3})
    delta = DeltaFc(rows=2, inputs=3, outputs=4)
    found = operations([quantizer, conv, delta, Quantize(), DeltaConv(**tile), DenseConv(**tile)])
    assert [operation.columns for operation in found] == [0, 0, 4, 1, 5, 0]
    classes = found[2].classes
    assert classes is not None
    assert classes.fan_out.tolist() == [4]
    assert classes.sizes.tolist() == [6]


@given(data=st.data())
def test_classes_group_every_input_by_the_outputs_that_read_it(data: st.DataObject) -> None:
    """Against loops over every output, tap and channel."""
    draw = data.draw
    kernel, stride, dilation = ([draw(st.integers(1, most)) for _ in range(3)] for most in (3, 3, 2))
    pad = [draw(st.integers(0, 2)) for _ in range(3)]
    extents = [draw(st.integers(0, 6)) for _ in range(3)]
    group, per_group, outputs_per_group = (draw(st.integers(1, most)) for most in (3, 2, 3))
    end = [draw(st.integers(0, 2)) for _ in range(3)]
    space = [i + p + e - (k - 1) * d - 1 for i, p, e, k, d in zip(extents, pad, end, kernel, dilation, strict=True)]
    assume(min(space) >= 0)
    outputs = [s // t + 1 for s, t in zip(space, stride, strict=True)]
    reach = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(outputs, stride, kernel, dilation, strict=True)]
    assume(all(p + i - r < s for p, i, r, s in zip(pad, extents, reach, stride, strict=True)))
    tile = DeltaConv(
        in_channels=group * per_group,
        out_channels=group * outputs_per_group,
        group=group,
        **{f"in{a}": extents[a] for a in range(3)},
        **{f"out{a}": outputs[a] for a in range(3)},
        **{f"pad{a}": pad[a] for a in range(3)},
    )
    configure = ConfigureConv(
        **{f"kernel{a}": kernel[a] for a in range(3)},
        **{f"stride{a}": stride[a] for a in range(3)},
        **{f"dilation{a}": dilation[a] for a in range(3)},
    )
    *_, operation = operations([ConfigureQuantizer(step=1.0, clusters=4), configure, tile])
    fan_out = np.zeros(extents, np.int64)
    for at in itertools.product(*map(range, outputs)):
        for tap in itertools.product(*map(range, kernel)):
            read = [at[a] * stride[a] - pad[a] + tap[a] * dilation[a] for a in range(3)]
            if all(0 <= read[a] < extents[a] for a in range(3)):
                fan_out[tuple(read)] += outputs_per_group
    classes = operation.classes
    assert classes is not None
    sizes = {
        int(value): int(count) * tile.in_channels
        for value, count in zip(*np.unique(fan_out, return_counts=True), strict=True)
    }
    assert dict(zip(classes.fan_out.tolist(), classes.sizes.tolist(), strict=True)) == sizes
    changed = np.array(draw(st.lists(st.integers(0, 9), min_size=fan_out.size, max_size=fan_out.size)), np.uint8)
    by_class = classes.count(changed.reshape(1, *extents))[0]
    expected = {value: int(changed.reshape(extents)[fan_out == value].sum()) for value in sizes}
    assert dict(zip(classes.fan_out.tolist(), by_class.tolist(), strict=True)) == expected
