"""Shapes and constants of values, and the strides of a broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["broadcast_axes", "constant", "has_place", "matrix_axes", "shape_of"]

Shape = tuple[int, ...]


def shape_of(value: ir.Value) -> Shape | None:
    """The static shape of `value`, or None where an axis is not known."""
    if value.shape is None or any(not isinstance(dim, int) for dim in value.shape):
        return None
    return tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]


def has_place(value: ir.Value) -> bool:
    """Whether `value` can lie in a memory: an array of numbers or truth values of known size."""
    numbers = isinstance(value.type, ir.TensorType) and value.dtype not in (None, ir.DataType.STRING)
    return numbers and shape_of(value) is not None


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The array of a constant value, or None where it is computed at run time."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def broadcast_axes(operands: Sequence[Sequence[int]], out: Sequence[int]) -> tuple[Shape, tuple[Shape, ...]]:
    """Sizes of the axes that a broadcast of operands of these shapes needs, and the strides of each in elements.

    Axes of size 1 are dropped, and neighbours merged where one stride serves every operand. A stride of zero repeats
    the operand.
    """
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in operands]
    steps = [_strides(shape, len(out)) for shape in operands]
    for axis, size in enumerate(out):
        if size == 1:
            continue
        here = [step[axis] for step in steps]
        if sizes and all(side[-1] == step * size for side, step in zip(strides, here, strict=True)):
            sizes[-1] *= size
            for side, step in zip(strides, here, strict=True):
                side[-1] = step
        else:
            sizes.append(size)
            for side, step in zip(strides, here, strict=True):
                side.append(step)
    return tuple(sizes), tuple(tuple(side) for side in strides)


def matrix_axes(left: Sequence[int], right: Sequence[int]) -> tuple[Shape, tuple[Shape, Shape]]:
    """Sizes of the axes that products of these stacks of matrices run over, two or more, and those of each operand there:
    1 where its matrices repeat."""
    out = np.broadcast_shapes(tuple(left[:-2]), tuple(right[:-2]))
    sizes, strides = broadcast_axes([left[:-2], right[:-2]], out)
    missing = (1,) * (2 - len(sizes))
    mine = [tuple(size if stride else 1 for size, stride in zip(sizes, side, strict=True)) for side in strides]
    return missing + sizes, (missing + mine[0], missing + mine[1])


def _strides(shape: Sequence[int], rank: int) -> list[int]:
    """Strides in elements of a contiguous array, zero along axes that are repeated."""
    full = [1] * (rank - len(shape)) + list(shape)
    strides, step = [0] * rank, 1
    for axis in range(rank - 1, -1, -1):
        strides[axis] = 0 if full[axis] == 1 else step
        step *= full[axis]
    return strides


def padded(shape: Sequence[int], rank: int, value: int = 1) -> Shape:
    """`shape` with entries of `value` behind it up to `rank`."""
    return (*shape, *[value] * (rank - len(shape)))


def contiguous(shape: Sequence[int]) -> Shape:
    """Strides in elements of a contiguous array of `shape`, also along axes of size 1."""
    return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))
