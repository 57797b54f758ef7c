"""Execute the special function unit's instructions: functions, element-wise, pooling."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import Binary, Elementwise, Function, Pool, Pooling, Space, Special
from reuse_compiler.backend.accelerator.operations import Operation

__all__: list[str] = []

Array = NDArray[Any]
Counts = NDArray[np.int64]
Unary = Callable[[Array], Array]


def _ramp(x: Array, y: Array, alpha: float, beta: float) -> Step:
    """y = min(max(x, alpha * x), beta) in place of y, which may be x."""
    slope, zero, top = np.float32(alpha), np.float32(0), np.float32(beta)

    def sloped() -> None:
        np.maximum(x, x * slope, out=y)
        np.minimum(y, top, out=y)

    def rectified() -> None:
        x.clip(zero, top, out=y)

    return sloped if slope else rectified


def _sigmoid(x: Array) -> Array:
    return np.float32(1) / (np.float32(1) + np.exp(-x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, np.float32(0))


def _function_of(instruction: Function) -> Unary:
    alpha, beta = np.float32(instruction.alpha), np.float32(instruction.beta)
    functions: dict[Special, Unary] = {
        Special.IDENTITY: lambda x: x,
        Special.SIGMOID: _sigmoid,
        Special.TANH: np.tanh,
        Special.ATAN: np.arctan,
        Special.EXP: np.exp,
        Special.LOG: np.log,
        Special.SQRT: np.sqrt,
        Special.ABS: np.abs,
        Special.NEG: np.negative,
        Special.CLIP: lambda x: np.clip(x, alpha, beta),
        Special.ELU: lambda x: np.where(x < 0, alpha * np.expm1(x), x),
        Special.SOFTPLUS: _softplus,
        Special.HARD_SIGMOID: lambda x: np.clip(alpha * x + beta, np.float32(0), np.float32(1)),
        Special.RECIPROCAL: np.reciprocal,
        Special.ERF: erf,
    }
    return functions[instruction.function]


@executes(Function)
def _function(machine: Machine, operation: Operation, function: Function, counts: Counts) -> Step:
    shape = (function.size0, function.size1, function.size2, function.size3)
    x_strides = (function.x_stride0, function.x_stride1, function.x_stride2, 1)
    y_strides = (function.y_stride0, function.y_stride1, function.y_stride2, 1)
    x = machine.memory.view(Space.BUFFER, function.x, shape, x_strides, np.float32)
    y = machine.memory.view(Space.BUFFER, function.y, shape, y_strides, np.float32)
    if function.function is Special.RAMP:
        return _ramp(x, y, function.alpha, function.beta)
    compute = _function_of(function)

    def run() -> None:
        with np.errstate(all="ignore"):
            y[...] = compute(x)

    return run


_BINARY: dict[Binary, Callable[..., Array]] = {
    Binary.ADD: np.add,
    Binary.SUB: np.subtract,
    Binary.MUL: np.multiply,
    Binary.DIV: np.divide,
    Binary.MAX: np.maximum,
    Binary.MIN: np.minimum,
}


@executes(Elementwise)
def _elementwise(machine: Machine, operation: Operation, binary: Elementwise, counts: Counts) -> Step:
    shape = (binary.size0, binary.size1, binary.size2, binary.size3)
    a_strides = (binary.a_stride0, binary.a_stride1, binary.a_stride2, binary.a_stride3)
    b_strides = (binary.b_stride0, binary.b_stride1, binary.b_stride2, binary.b_stride3)
    y_strides = (binary.y_stride0, binary.y_stride1, binary.y_stride2, binary.y_stride3)
    a = machine.memory.view(Space.BUFFER, binary.a, shape, a_strides, np.float32)
    b_space = Space.EDRAM if binary.constant else Space.BUFFER
    b = machine.memory.view(b_space, binary.b, shape, b_strides, np.float32)
    y = machine.memory.view(Space.BUFFER, binary.y, shape, y_strides, np.float32)
    first, second = (b, a) if binary.swapped else (a, b)
    compute = _BINARY[binary.function]

    def run() -> None:
        with np.errstate(all="ignore"):
            compute(first, second, out=y)

    return run


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
    if pool.pooling is not Pooling.MAX and whole and inside:

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
    divisor = None if pool.pooling is Pooling.MAX else _divisor(pool, padded, inside, slices)

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


def _divisor(pool: Pool, padded: Array, inside: Array, slices: list[Array]) -> Array:
    """How many elements each window averages over."""
    if pool.pooling is Pooling.AVERAGE_PADDED:
        return np.array(len(slices), np.float32)
    inside[...] = 1
    count: Array = np.sum(np.stack([window[:1] for window in slices]), axis=0)
    return np.maximum(count, 1)
