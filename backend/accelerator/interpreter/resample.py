"""Execute interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import Resample, Space
from reuse_compiler.backend.accelerator.operations import Operation

__all__: list[str] = []

Counts = NDArray[np.int64]


@executes(Resample)
def _resample(machine: Machine, operation: Operation, resample: Resample, counts: Counts) -> Step:
    view, taps = machine.memory.view, (resample.entries, resample.taps)
    x_shape, y_shape = ((resample.outer, rows, resample.inner) for rows in (resample.rows, resample.entries))
    x_strides = (resample.x_stride0, resample.x_stride1, resample.x_stride2)
    y_strides = (resample.y_stride0, resample.y_stride1, resample.y_stride2)
    table = machine.memory.array(Space.EDRAM, resample.table, taps, np.int32)
    weights = machine.memory.array(Space.EDRAM, resample.weights, taps, np.float32)
    x = view(Space.BUFFER, resample.x, x_shape, x_strides, np.float32)
    y = view(Space.BUFFER, resample.y, y_shape, y_strides, np.float32)

    def run() -> None:
        total = np.zeros(y_shape, np.float32)
        for tap in range(resample.taps):
            total += x[:, table[:, tap]] * weights[:, tap, None]
        y[...] = total

    return run
