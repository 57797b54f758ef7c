"""Execute products of matrices that are computed at run time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import DenseMatmul, Space
from reuse_compiler.backend.accelerator.operations import Operation

__all__: list[str] = []

Counts = NDArray[np.int64]


@executes(DenseMatmul)
def _dense_matmul(machine: Machine, operation: Operation, dense: DenseMatmul, counts: Counts) -> Step:
    view, many = machine.memory.view, (dense.matrices0, dense.matrices1)
    x_strides = (dense.x_stride0, dense.x_stride1, dense.x_stride2, dense.x_stride3)
    w_strides = (dense.w_stride0, dense.w_stride1, dense.w_stride2, dense.w_stride3)
    z_strides = (dense.z_stride0, dense.z_stride1, dense.z_stride2, dense.z_stride3)
    w_space = Space.EDRAM if dense.constant else Space.BUFFER
    x = view(Space.BUFFER, dense.x, (*many, dense.rows, dense.inputs), x_strides, np.float32)
    w = view(w_space, dense.w, (*many, dense.inputs, dense.outputs), w_strides, np.float32)
    z = view(Space.BUFFER, dense.z, (*many, dense.rows, dense.outputs), z_strides, np.float32)

    def run() -> None:
        with np.errstate(all="ignore"):
            product = x @ w
        z[...] = z + product if dense.accumulate else product

    return run
