"""Execute element-wise functions of one, two and three operands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import Elementwise, Function, Select, Space, Special
from reuse_compiler.backend.accelerator.operations import Operation

__all__: list[str] = []

Array = NDArray[Any]
Counts = NDArray[np.int64]


@executes(Function)
def _function(machine: Machine, operation: Operation, function: Function, counts: Counts) -> Step:
    shape = (function.size0, function.size1, function.size2, function.size3)
    x_strides = (function.x_stride0, function.x_stride1, function.x_stride2, 1)
    y_strides = (function.y_stride0, function.y_stride1, function.y_stride2, 1)
    x = machine.memory.view(Space.BUFFER, function.x, shape, x_strides, function.element.dtype)
    y = machine.memory.view(Space.BUFFER, function.y, shape, y_strides, function.result.dtype)
    alpha, beta = np.float32(function.alpha), np.float32(function.beta)
    if function.function is Special.RAMP and x.dtype == y.dtype and alpha == 0:
        return _rectifier(x, y, beta)
    compute = function.function.compute

    def run() -> None:
        with np.errstate(all="ignore"):
            y[...] = compute(x, alpha, beta)

    return run


def _rectifier(x: Array, y: Array, top: np.float32) -> Step:
    """The most frequent function, without arrays in between."""
    zero = np.float32(0)

    def run() -> None:
        x.clip(zero, top, out=y)

    return run


@executes(Elementwise)
def _elementwise(machine: Machine, operation: Operation, binary: Elementwise, counts: Counts) -> Step:
    shape = (binary.size0, binary.size1, binary.size2, binary.size3)
    a_strides = (binary.a_stride0, binary.a_stride1, binary.a_stride2, binary.a_stride3)
    b_strides = (binary.b_stride0, binary.b_stride1, binary.b_stride2, binary.b_stride3)
    y_strides = (binary.y_stride0, binary.y_stride1, binary.y_stride2, binary.y_stride3)
    a = machine.memory.view(Space.BUFFER, binary.a, shape, a_strides, binary.element.dtype)
    b = machine.memory.view(_space(binary.constant), binary.b, shape, b_strides, binary.element.dtype)
    y = machine.memory.view(Space.BUFFER, binary.y, shape, y_strides, binary.result.dtype)
    first, second = (b, a) if binary.swapped else (a, b)
    compute = binary.function.compute

    def into() -> None:
        with np.errstate(all="ignore"):
            compute(first, second, out=y)

    def converted() -> None:
        with np.errstate(all="ignore"):
            y[...] = compute(first, second)

    return into if isinstance(compute, np.ufunc) and binary.element is binary.result else converted


@executes(Select)
def _select(machine: Machine, operation: Operation, select: Select, counts: Counts) -> Step:
    shape, kind = (select.size0, select.size1, select.size2, select.size3), select.element.dtype
    c_strides = (select.c_stride0, select.c_stride1, select.c_stride2, select.c_stride3)
    a_strides = (select.a_stride0, select.a_stride1, select.a_stride2, select.a_stride3)
    b_strides = (select.b_stride0, select.b_stride1, select.b_stride2, select.b_stride3)
    y_strides = (select.y_stride0, select.y_stride1, select.y_stride2, select.y_stride3)
    c = machine.memory.view(_space(select.c_constant), select.c, shape, c_strides, np.bool_)
    a = machine.memory.view(_space(select.a_constant), select.a, shape, a_strides, kind)
    b = machine.memory.view(_space(select.b_constant), select.b, shape, b_strides, kind)
    y = machine.memory.view(Space.BUFFER, select.y, shape, y_strides, kind)

    def run() -> None:
        y[...] = np.where(c, a, b)

    return run


def _space(constant: int) -> Space:
    return Space.EDRAM if constant else Space.BUFFER
