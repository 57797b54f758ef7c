"""Write a map of element numbers as tables: for what no small number of boxes makes up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.movement.moves import TableMove

__all__ = ["find_tables"]

Numbers = NDArray[np.int32]
Mask = NDArray[np.bool_]


def find_tables(numbers: Numbers, bases: Sequence[int]) -> list[TableMove]:
    """One table for each source that `numbers`, int32 in the shape of the output, has elements of.

    Leading and trailing axes along which each slice is the one before plus one number are left out of the table.
    `bases` are the first numbers of the operands in ascending order; below them are constants.
    """
    tables = []
    of_element = np.searchsorted(np.array([0, *bases]), numbers, "right") - 1
    for source in np.unique(of_element).tolist():
        begin = [0, *bases][source]
        tables.append(_table(source - 1, numbers, of_element == source, begin))
    return tables


def _table(source: int, numbers: Numbers, mask: Mask, begin: int) -> TableMove:
    """The table of the elements in `mask`."""
    outer, outer_stride, numbers, mask = _peel(numbers, mask, leading=True)
    inner, inner_stride, numbers, mask = _peel(numbers, mask, leading=False)
    held = numbers[mask]
    low = int(held.min())
    unit = int(np.gcd.reduce(held - low)) or 1
    table = np.where(mask, (numbers - low) // unit, -1).astype(np.int32).reshape(-1)
    return TableMove(
        source=source,
        first=low - begin,
        table=table,
        rows=int(table.max()) + 1,
        outer=outer,
        inner=inner,
        strides=(outer_stride, unit, inner_stride),
    )


def _peel(numbers: Numbers, mask: Mask, *, leading: bool) -> tuple[int, int, Numbers, Mask]:
    """The size and stride of the axes at one end that need no table, joined into one, and what is left."""
    taken: list[tuple[int, int]] = []  # from the end of the array inwards
    while numbers.ndim:
        axis = 0 if leading else numbers.ndim - 1
        size = numbers.shape[axis]
        stride = _stride(numbers, mask, axis)
        if stride is None or not _continues(taken, size, stride, leading=leading):
            break
        if size > 1:
            taken.append((size, stride))
        numbers = np.moveaxis(numbers, axis, 0)[0, ...]
        mask = np.moveaxis(mask, axis, 0)[0, ...]
    sizes = math.prod(size for size, _ in taken)
    innermost = taken[-1] if leading and taken else taken[0] if taken else (1, 0)
    return sizes, innermost[1], numbers, mask


def _stride(numbers: Numbers, mask: Mask, axis: int) -> int | None:
    """The number that each slice along `axis` is beyond the one before, where `mask` has elements; None without one."""
    here, behind = (np.moveaxis(array, axis, 0) for array in (numbers, mask))
    if not bool((behind == behind[:1]).all()):
        return None
    if len(here) == 1:
        return 0
    steps = np.diff(here, axis=0)[behind[1:]]
    step = int(steps[0])
    return step if step >= 0 and bool((steps == step).all()) else None


def _continues(taken: Sequence[tuple[int, int]], size: int, stride: int, *, leading: bool) -> bool:
    """Whether one stride serves the axes taken and the next one inwards."""
    if not taken or size == 1:
        return True
    last_size, last_stride = taken[-1]
    return last_stride == stride * size if leading else stride == last_stride * last_size
