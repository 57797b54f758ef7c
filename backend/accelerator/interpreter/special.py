"""Execute pooling."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import Pool, Pooling, Space
from reuse_compiler.backend.accelerator.operations import Operation

__all__: list[str] = []

Array = NDArray[Any]
Counts = NDArray[np.int64]


@executes(Pool)
def _pool(machine: Machine, operation: Operation, pool: Pool, counts: Counts) -> Step:
    extents = (pool.in0, pool.in1, pool.in2)
    outputs = (pool.out0, pool.out1, pool.out2)
    x_strides = (pool.x_stride_c, pool.x_stride0, pool.x_stride1, 1)
    y_strides = (pool.y_stride_c, pool.y_stride0, pool.y_stride1, 1)
    x = machine.memory.view(Space.BUFFER, pool.x, (pool.channels, *extents), x_strides, np.float32)
    y = machine.memory.view(Space.BUFFER, pool.y, (pool.channels, *outputs), y_strides, np.float32)
    whole = extents == (pool.kernel0, pool.kernel1, pool.kernel2) and outputs == (1, 1, 1)
    inside = not any((pool.pad0, pool.pad1, pool.pad2)) and (pool.dilation0, pool.dilation1, pool.dilation2) == (
        1,
        1,
        1,
    )
    if pool.pooling in (Pooling.AVERAGE, Pooling.AVERAGE_PADDED) and whole and inside:

        def average() -> None:
            np.mean(x, axis=(1, 2, 3), keepdims=True, out=y)

        return average
    return _windows(pool, x, y, extents, outputs)


def _windows(pool: Pool, x: Array, y: Array, extents: tuple[int, ...], outputs: tuple[int, ...]) -> Step:
    """Reduce over the positions of the window, each as one strided slice of the padded input."""
    kernel = (pool.kernel0, pool.kernel1, pool.kernel2)
    strides = (pool.stride0, pool.stride1, pool.stride2)
    dilations = (pool.dilation0, pool.dilation1, pool.dilation2)
    pads = (pool.pad0, pool.pad1, pool.pad2)
    reach = [
        max((out - 1) * stride + (size - 1) * dilation + 1, pad + extent)
        for out, stride, size, dilation, pad, extent in zip(
            outputs, strides, kernel, dilations, pads, extents, strict=True
        )
    ]
    outside = np.finfo(np.float32).min if pool.pooling is Pooling.MAX else np.float32(0)
    padded = np.full((pool.channels, *reach), outside, np.float32)
    inside = padded[(slice(None), *(slice(pad, pad + size) for pad, size in zip(pads, extents, strict=True)))]
    slices = [
        padded[
            (
                slice(None),
                *(
                    slice(at * dilation, at * dilation + (out - 1) * stride + 1, stride)
                    for at, dilation, out, stride in zip(position, dilations, outputs, strides, strict=True)
                ),
            )
        ]
        for position in itertools.product(*(range(size) for size in kernel))
    ]
    combine: Callable[..., Array] = np.maximum if pool.pooling is Pooling.MAX else np.add
    divisor = None if pool.pooling in (Pooling.MAX, Pooling.SUM) else _divisor(pool)

    def run() -> None:
        inside[...] = x
        total = slices[0].copy()
        for window in slices[1:]:
            combine(total, window, out=total)
        if divisor is None:
            y[...] = total
        else:
            np.divide(total, divisor, out=y)

    return run


def _divisor(pool: Pool) -> Array:
    """How many elements each window averages over, one where there is none: [out0, out1, out2]."""
    padded = pool.pooling is Pooling.AVERAGE_PADDED
    axes = zip(
        (pool.out0, pool.out1, pool.out2),
        (pool.kernel0, pool.kernel1, pool.kernel2),
        (pool.stride0, pool.stride1, pool.stride2),
        (pool.dilation0, pool.dilation1, pool.dilation2),
        (pool.pad0, pool.pad1, pool.pad2),
        (pool.in0, pool.in1, pool.in2),
        (pool.behind0, pool.behind1, pool.behind2),
        strict=True,
    )
    counts = []
    for out, size, stride, dilation, pad, extent, behind in axes:
        positions = np.add.outer(np.arange(out) * stride, np.arange(size) * dilation)
        first, last = (0, pad + extent + behind) if padded else (pad, pad + extent)
        counts.append(((positions >= first) & (positions < last)).sum(axis=1))
    product: Array = reduce(np.multiply.outer, counts).astype(np.float32)
    return np.maximum(product, 1)
