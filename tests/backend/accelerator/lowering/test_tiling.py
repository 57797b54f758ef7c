"""Tiles cover a layer: every output once, every input committed once, by the last tile that reads it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.lowering.tiling import (
    ConvTile,
    conv_tiles,
    most_inputs,
    runs,
    split_channels,
    split_range,
)
from reuse_compiler.geometry import ConvGeometry


@given(size=st.integers(0, 500), step=st.integers(1, 500))
def test_a_range_is_split_evenly(size: int, step: int) -> None:
    parts = split_range(size, step)
    assert [start for start, _ in parts] == list(itertools.accumulate((count for _, count in parts[:-1]), initial=0))[
        : len(parts)
    ]
    assert sum(count for _, count in parts) == size
    assert all(0 < count <= step for _, count in parts)
    assert len(parts) == -(-size // step)


@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4), room=st.integers(0, 200), more=st.integers(0, 100))
def test_runs_cover_an_array_in_order_with_as_much_of_the_outermost_axes_as_fits(
    sizes: list[int], room: int, more: int
) -> None:
    """`room` is for each of several boxes, and `more` besides for a single one."""

    def fits(axis: int, count: int, alone: bool) -> bool:
        return count * int(np.prod(sizes[axis + 1 :])) <= room + (more if alone else 0)

    boxes = runs(sizes, fits)
    total = int(np.prod(sizes))
    if boxes is None:
        assert room == 0 and total > more
        return
    numbers = np.arange(total).reshape(sizes)
    covered = [numbers[tuple(slice(start, start + size) for start, size in box)].ravel().tolist() for box in boxes]
    assert [number for box in covered for number in box] == list(range(total))
    assert len(boxes) == 1 or max(map(len, covered)) <= room
    if total <= room + more:
        assert len(boxes) == 1
    elif len(boxes) > 1:
        rows = [int(np.prod(sizes[axis + 1 :])) for axis in range(len(sizes))]
        axis = next(axis for axis, row in enumerate(rows) if row <= room)
        assert len(covered[0]) == rows[axis] * split_range(sizes[axis], room // rows[axis])[0][1]


@st.composite
def geometries(draw: st.DrawFn) -> ConvGeometry:
    kernel, strides = (tuple(draw(st.integers(1, 4)) for _ in range(3)) for _ in range(2))
    dilations = tuple(draw(st.integers(1, 2)) for _ in range(3))
    begin, end = (tuple(draw(st.integers(0, 5)) for _ in range(3)) for _ in range(2))
    extents = tuple(draw(st.integers(1, 8)) for _ in range(3))
    group = draw(st.integers(1, 3))
    transposed = draw(st.booleans())
    geometry = ConvGeometry(
        group * draw(st.integers(1, 2)),
        group * draw(st.integers(1, 9)),
        group,
        extents,
        kernel,
        strides,
        dilations,
        begin,
        end,
        transposed,
        tuple(draw(st.integers(0, 3)) for _ in range(3)) if transposed else (),
    )
    assume(min(geometry.out_shape) > 0)
    return geometry


def reads(geometry: ConvGeometry) -> list[NDArray[np.bool_]]:
    """Per axis, whether an output reads an input: [outputs, inputs]."""
    return [
        joined(geometry, axis, geometry.out_shape[axis], geometry.in_shape[axis], geometry.pads_begin[axis])
        for axis in range(3)
    ]


def joined(geometry: ConvGeometry, axis: int, outputs: int, inputs: int, pad: int) -> NDArray[np.bool_]:
    """Whether a tap joins an output and an input: [outputs, inputs]."""
    table = np.zeros((outputs, inputs), np.bool_)
    moving, met = (table.T, table) if geometry.transposed else (table, table.T)
    for number, tap in itertools.product(range(len(moving)), range(geometry.kernel[axis])):
        at = number * geometry.strides[axis] - pad + tap * geometry.dilations[axis]
        if 0 <= at < len(met):
            moving[number, at] = True
    return table


@settings(max_examples=150)
@given(
    geometry=geometries(),
    lanes=st.sampled_from([1, 2, 4, 128]),
    most=st.integers(1, 30),
    room=st.integers(1, 400),
    channels_outermost=st.booleans(),
)
def test_tiles_cover_outputs_once_and_commit_inputs_once_after_their_last_reader(
    geometry: ConvGeometry, lanes: int, most: int, room: int, channels_outermost: bool
) -> None:
    def fits(channels: int, box: tuple[int, int, int]) -> bool:
        return channels * box[0] * box[1] * box[2] <= room

    tiles = conv_tiles(geometry, lanes, most, fits, channels_outermost)
    smallest = min(lanes, geometry.outputs_per_group)
    if tiles is None:
        assert smallest > most or smallest > room
        return
    written = np.zeros((geometry.out_channels, *geometry.out_shape), np.int64)
    committed = np.zeros((geometry.in_channels, *geometry.in_shape), np.int64)
    table = reads(geometry)
    for tile in tiles:
        assert fits(tile.out_channels, (tile.axes[0].out_size, tile.axes[1].out_size, tile.axes[2].out_size))
        assert tile.out_channels <= max(most, smallest)
        written[box(tile.out_box)] += 1
        channels, *space = box(tile.in_box)
        assert not committed[(channels, *space)].any(), "what a tile reads is committed already"
        front = [slice(part.start, part.start + size) for part, size in zip(space, tile.commit, strict=True)]
        if all(tile.commit):
            committed[(channels, *front)] += 1
        for axis, part in enumerate(tile.axes):
            outputs = table[axis][part.out_start : part.out_start + part.out_size]
            assert not outputs[:, : part.in_start].any() and not outputs[:, part.in_start + part.in_size :].any()
            assert_same_windows(geometry, tile, axis, outputs)
    assert (written == 1).all()
    assert (committed == 1).all()


def box(extents: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in extents)


def assert_same_windows(geometry: ConvGeometry, tile: ConvTile, axis: int, outputs: NDArray[np.bool_]) -> None:
    """The tile alone, with its own padding, reads what the layer reads there."""
    part = tile.axes[axis]
    assert part.in_size <= most_inputs(geometry, axis, part.out_size)
    alone = joined(geometry, axis, part.out_size, part.in_size, part.pad)
    np.testing.assert_array_equal(alone, outputs[:, part.in_start : part.in_start + part.in_size])
    assert part.pad >= 0
    assert (
        geometry.transposed
        or part.pad
        <= (part.out_size - 1) * geometry.strides[axis] + (geometry.kernel[axis] - 1) * geometry.dilations[axis] + 1
    )


@given(group=st.integers(1, 6), per_group=st.integers(1, 9), inputs=st.integers(1, 3), step=st.integers(1, 60))
def test_channel_ranges_hold_whole_groups_or_lie_inside_one(group: int, per_group: int, inputs: int, step: int) -> None:
    ones = (1, 1, 1)
    geometry = ConvGeometry(group * inputs, group * per_group, group, ones, ones, ones, ones, (0, 0, 0), (0, 0, 0))
    ranges = split_channels(geometry, step)
    assert [start for start, *_ in ranges] == [0, *itertools.accumulate(count for _, count, *_ in ranges[:-1])]
    assert sum(count for _, count, *_ in ranges) == geometry.out_channels
    last: dict[int, int] = {}
    for number, (start, count, in_start, in_count, groups, _) in enumerate(ranges):
        assert count <= step
        assert in_count == groups * inputs and in_start == start // per_group * inputs
        assert (count, start % per_group) == (groups * per_group, 0) if groups > 1 else count <= per_group
        last[in_start] = number
    assert [number in last.values() for number in range(len(ranges))] == [reader for *_, reader in ranges]


def test_the_tiling_that_scans_least_is_taken_then_the_one_with_fewest_tiles() -> None:
    """Of 4 channels and 8 positions a tile holds 8 outputs: 4 channels of 2 positions scan 4 x 4 inputs in all, one
    channel of 8 positions 4 x 10."""
    geometry = ConvGeometry(1, 4, 1, (10, 1, 1), (3, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    tiles = conv_tiles(geometry, 1, 4, lambda channels, box: channels * box[0] <= 8, channels_outermost=False)
    assert tiles is not None
    assert {tile.out_channels for tile in tiles} == {4}
    assert sum(tile.axes[0].in_size for tile in tiles) == 16
    whole = conv_tiles(geometry, 1, 4, lambda channels, box: True, channels_outermost=False)
    assert whole is not None
    [tile] = whole
    assert (tile.out_box, tile.in_box, tile.commit) == (
        ((0, 4), (0, 8), (0, 1), (0, 1)),
        ((0, 1), (0, 10), (0, 1), (0, 1)),
        (10, 1, 1),
    )


@pytest.mark.parametrize("channels_outermost", [True, False])
def test_the_order_is_that_in_which_weights_or_inputs_stay(channels_outermost: bool) -> None:
    geometry = ConvGeometry(1, 4, 1, (4, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    tiles = conv_tiles(geometry, 2, 2, lambda channels, box: box[0] <= 2, channels_outermost)
    assert tiles is not None
    order = [(tile.out_channel, tile.axes[0].out_start) for tile in tiles]
    assert order == ([(0, 0), (0, 2), (2, 0), (2, 2)] if channels_outermost else [(0, 0), (2, 0), (0, 2), (2, 2)])
