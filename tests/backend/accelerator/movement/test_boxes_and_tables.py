"""Boxes and tables give back the map of element numbers that they were found in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.movement.boxes import copies, find_boxes, merged
from reuse_compiler.backend.accelerator.movement.moves import CONSTANTS, Axis, BoxMove, Move
from reuse_compiler.backend.accelerator.movement.tables import find_tables

Numbers = NDArray[np.int32]

CONSTANT_NUMBERS = 4  # numbers 0 to 3 are constants


def applied(moves: Sequence[Move], shape: tuple[int, ...], bases: Sequence[int]) -> Numbers:
    """What the moves make of the numbers themselves; -1 where they write nothing."""
    result = np.full(math.prod(shape), -1, np.int32)
    for move in moves:
        base = 0 if move.source == CONSTANTS else bases[move.source]
        if isinstance(move, BoxMove):
            source, target = np.array(base + move.first), np.array(move.target)
            for axis in move.axes:
                steps = np.arange(axis.size)
                source = np.add.outer(source, steps * axis.source)
                target = np.add.outer(target, steps * axis.target)
            result[target] = source
        else:
            view = result.reshape(move.outer, len(move.table), move.inner)
            outer, row, inner = move.strides
            rows = base + move.first + np.add.outer(np.arange(move.outer) * outer, move.table.astype(int) * row)
            full = np.add.outer(rows, np.arange(move.inner) * inner)
            kept = move.table >= 0
            assert move.table.max() == move.rows - 1
            view[:, kept] = full[:, kept]
    return result.reshape(shape)


@st.composite
def maps(draw: st.DrawFn) -> tuple[Numbers, list[int]]:
    """Numbers of one or two operands of small shapes, after some operations of numpy that move elements."""
    bases, parts, top = [], [], CONSTANT_NUMBERS
    for _ in range(draw(st.integers(1, 2))):
        shape = draw(st.lists(st.integers(1, 5), min_size=0, max_size=4))
        bases.append(top + 1)
        parts.append(np.arange(math.prod(shape), dtype=np.int32).reshape(shape) + bases[-1])
        top = bases[-1] + math.prod(shape)
    array = parts[0]
    if len(parts) > 1:
        array = np.concatenate([part.reshape(-1) for part in parts])
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for _ in range(draw(st.integers(0, 4))):
        array = _moved(draw, generator, array)
        if array.size > 3000 or not array.size:
            break
    return (array if array.size else parts[0]), bases


def _moved(draw: st.DrawFn, generator: np.random.Generator, array: Numbers) -> Numbers:
    operation = draw(st.sampled_from(["transpose", "flip", "step", "pad", "edge", "tile", "take", "split", "shuffle"]))
    axis = draw(st.integers(0, array.ndim - 1)) if array.ndim else None
    if axis is None:
        return np.broadcast_to(array, (3,)).copy()
    match operation:
        case "transpose":
            return array.transpose(generator.permutation(array.ndim))
        case "flip":
            return np.flip(array, axis)
        case "step":
            return array.take(range(draw(st.integers(0, 1)), array.shape[axis], draw(st.integers(1, 3))), axis)
        case "pad" | "edge":
            widths = [(0, 0)] * array.ndim
            widths[axis] = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
            if operation == "edge":
                return np.pad(array, widths, "symmetric")
            return np.pad(array, widths, constant_values=draw(st.integers(0, 3)))
        case "tile":
            return np.tile(array, draw(st.integers(1, 3)))
        case "take":
            return array.take(generator.integers(0, array.shape[axis], draw(st.integers(1, 6))), axis)
        case "split" if array.shape[axis] % 2 == 0:
            shape = (*array.shape[:axis], array.shape[axis] // 2, 2, *array.shape[axis + 1 :])
            return array.reshape(shape)
        case "shuffle":
            return generator.permutation(array.reshape(-1)).reshape(array.shape)
        case _:
            return array


@given(made=maps())
def test_boxes_give_back_the_map(made: tuple[Numbers, list[int]]) -> None:
    numbers, bases = made
    boxes = find_boxes(numbers, bases, numbers.size)
    assert boxes is not None
    assert sum(box.elements for box in boxes) == numbers.size
    np.testing.assert_array_equal(applied(boxes, numbers.shape, bases), numbers)


@given(made=maps())
def test_tables_give_back_the_map(made: tuple[Numbers, list[int]]) -> None:
    numbers, bases = made
    tables = find_tables(numbers, bases)
    assert len({table.source for table in tables}) == len(tables)
    np.testing.assert_array_equal(applied(tables, numbers.shape, bases), numbers)


def numbers(*shape: int, base: int = 1) -> Numbers:
    return np.arange(math.prod(shape), dtype=np.int32).reshape(shape) + base


def pad(array: Numbers, *widths: int) -> Numbers:
    return np.pad(array, [(width, width) for width in widths])


@pytest.mark.parametrize(
    ("moved", "count"),
    [
        (numbers(4, 5, 6), 1),
        (numbers(4, 5, 6).transpose(2, 0, 1), 1),
        (numbers(4, 5, 6)[::-1, 1:4, ::-2], 1),
        (pad(numbers(3, 4, 5, 6), 0, 0, 1, 1), 5),
        (np.pad(numbers(4, 5, 6), [(0, 0), (0, 0), (2, 1)], "reflect"), 3),
        (np.pad(numbers(4, 5, 6), [(0, 0), (0, 0), (2, 1)], "edge"), 3),
        (np.tile(numbers(4, 5), (3, 2)), 1),
        (numbers(2, 5, 6).repeat(2, 1).repeat(3, 2), 1),
        (numbers(2, 2, 3, 4, 5).transpose(2, 3, 0, 4, 1).reshape(3, 8, 10), 1),
        (np.triu(numbers(3, 3)), 5),
        (np.concatenate([numbers(7, 2), numbers(7, 3, base=16)], 1), 2),
        (numbers(12).take([0, 1, 2, 6, 5, 4, 9, 10]), 3),
        (numbers(9).take([0, 0, 1, 1, 2, 2, 3]), 2),
        (np.array(3, np.int32), 1),
    ],
)
def test_a_regular_map_is_a_few_boxes(moved: Numbers, count: int) -> None:
    boxes = find_boxes(np.ascontiguousarray(moved), [1, 16] if moved.shape == (7, 5) else [1], 100)
    assert boxes is not None
    assert len(boxes) == count


def test_an_irregular_map_is_no_number_of_boxes() -> None:
    shuffled = np.random.default_rng(0).permutation(1000).astype(np.int32) + 1
    assert find_boxes(shuffled, [1], 100) is None
    [table] = find_tables(shuffled, [1])
    assert (len(table.table), table.outer, table.inner, table.is_partial) == (1000, 1, 1, False)


def test_a_table_leaves_out_the_regular_axes() -> None:
    [table] = find_tables(numbers(3, 50, 4).take([7, 3, 40], axis=1), [1])
    assert (table.outer, table.inner, table.strides, table.rows) == (3, 4, (200, 4, 1), 38)
    assert (table.first, table.table.tolist()) == (12, [4, 0, 37])
    assert table.row_span == 37 * 4 + 1


def test_axes_that_continue_each_other_are_one() -> None:
    axes = [Axis(2, 12, 12), Axis(1, 5, 9), Axis(3, 4, 4), Axis(4, 1, 1)]
    assert merged(axes) == (Axis(24, 1, 1),)
    assert merged([Axis(3, -4, 4), Axis(4, -1, 1)]) == (Axis(12, -1, 1),)
    assert merged([Axis(3, 4, 4), Axis(4, -1, 1)]) == (Axis(3, 4, 4), Axis(4, -1, 1))


def test_a_box_of_more_than_four_axes_takes_a_copy_for_each_place_along_the_shortest() -> None:
    sizes = (7, 2, 5, 3, 4, 6)
    assert copies(BoxMove(0, 0, 0, tuple(Axis(size, 1, 1) for size in sizes))) == 6
    assert copies(BoxMove(0, 0, 0, tuple(Axis(size, 1, 1) for size in sizes[:4]))) == 1
