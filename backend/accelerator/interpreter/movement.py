"""Execute the special function unit's instructions that move elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import Copy, Gather, Space
from reuse_compiler.backend.accelerator.operations import Operation
from reuse_compiler.errors import ProgramError

__all__: list[str] = []

Counts = NDArray[np.int64]


def _element(element_bytes: int) -> np.dtype[Any]:
    """What elements are moved as. Raises ProgramError where there are none of that size."""
    if element_bytes not in (1, 2, 4, 8):
        raise ProgramError(f"field element_bytes is {element_bytes}: it must be 1, 2, 4 or 8")
    return np.dtype(f"u{element_bytes}")


@executes(Copy)
def _copy(machine: Machine, operation: Operation, copy: Copy, counts: Counts) -> Step:
    shape = (copy.size0, copy.size1, copy.size2, copy.size3)
    x_strides = (copy.x_stride0, copy.x_stride1, copy.x_stride2, copy.x_stride3)
    y_strides = (copy.y_stride0, copy.y_stride1, copy.y_stride2, copy.y_stride3)
    dtype = _element(copy.element_bytes)
    x = machine.memory.view(Space.EDRAM if copy.constant else Space.BUFFER, copy.x, shape, x_strides, dtype)
    y = machine.memory.view(Space.BUFFER, copy.y, shape, y_strides, dtype)
    x = x[tuple(slice(None, None, -1 if copy.backwards >> axis & 1 else 1) for axis in range(4))]

    def run() -> None:
        y[...] = x

    return run


@executes(Gather)
def _gather(machine: Machine, operation: Operation, gather: Gather, counts: Counts) -> Step:
    dtype = _element(gather.element_bytes)
    x_shape = (gather.outer, gather.rows, gather.inner)
    y_shape = (gather.outer, gather.entries, gather.inner)
    x_strides = (gather.x_stride0, gather.x_stride1, gather.x_stride2)
    y_strides = (gather.y_stride0, gather.y_stride1, gather.y_stride2)
    x = machine.memory.view(Space.EDRAM if gather.constant else Space.BUFFER, gather.x, x_shape, x_strides, dtype)
    y = machine.memory.view(Space.BUFFER, gather.y, y_shape, y_strides, dtype)
    table = machine.memory.array(Space.EDRAM, gather.table, (gather.entries,), np.int32)

    def run() -> None:
        if table.size and int(table.max()) >= gather.rows:
            raise ProgramError(f"gather: its table has entry {int(table.max())}: x has {gather.rows} rows")
        moved = table >= 0
        y[:, moved] = x[:, table[moved]]

    return run
