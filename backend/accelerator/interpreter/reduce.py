"""Execute reductions and scans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import Element, Reduce, Reduction, Scan, Space
from reuse_compiler.backend.accelerator.operations import Operation
from reuse_compiler.errors import ProgramError

__all__: list[str] = []

Array = NDArray[Any]
Counts = NDArray[np.int64]

_FOLDS: dict[Reduction, np.ufunc] = {
    Reduction.SUM: np.add,
    Reduction.SUM_ABS: np.add,
    Reduction.SUM_SQUARES: np.add,
    Reduction.MAX: np.maximum,
    Reduction.MIN: np.minimum,
    Reduction.PRODUCT: np.multiply,
}
_FIRST: dict[Reduction, Callable[[Array], Array]] = {Reduction.SUM_ABS: np.abs, Reduction.SUM_SQUARES: np.square}
_NUMBERS: dict[Reduction, tuple[Callable[..., Array], bool]] = {
    Reduction.ARG_MAX: (np.argmax, False),
    Reduction.ARG_MIN: (np.argmin, False),
    Reduction.ARG_MAX_LAST: (np.argmax, True),
    Reduction.ARG_MIN_LAST: (np.argmin, True),
}


@executes(Reduce)
def _reduce(machine: Machine, operation: Operation, reduce: Reduce, counts: Counts) -> Step:
    shape = (reduce.size0, reduce.size1, reduce.size2, reduce.size3)
    strides = (reduce.x_stride0, reduce.x_stride1, reduce.x_stride2, reduce.x_stride3)
    x = machine.memory.view(Space.BUFFER, reduce.x, shape, strides, reduce.element.dtype)
    y = machine.memory.view(
        Space.BUFFER, reduce.y, shape[:2], (reduce.y_stride0, reduce.y_stride1), reduce.result.dtype
    )
    if reduce.reduction in _NUMBERS:
        return _number(reduce, x, y)
    if reduce.element is not reduce.result:
        raise ProgramError(f"field result is {reduce.result.name}: it must be {reduce.element.name}, as x is")
    fold, first = _FOLDS[reduce.reduction], _FIRST.get(reduce.reduction)
    scale = np.float32(reduce.scale) if reduce.element is Element.FLOAT32 else x.dtype.type(1)

    def run() -> None:
        with np.errstate(all="ignore"):
            result = fold.reduce(first(x) if first else x, axis=(2, 3), dtype=x.dtype) * scale
            y[...] = fold(y, result) if reduce.accumulate else result

    return run


def _number(reduce: Reduce, x: Array, y: Array) -> Step:
    """Where the extreme element is. Raises ProgramError with `accumulate`."""
    if reduce.accumulate:
        raise ProgramError(f"field accumulate is 1: {reduce.reduction.name} cannot be folded into what is there")
    find, last = _NUMBERS[reduce.reduction]
    folded = reduce.size2 * reduce.size3

    def run() -> None:
        rows = x.reshape(*x.shape[:2], folded)
        y[...] = folded - 1 - find(rows[..., ::-1], axis=2) if last else find(rows, axis=2)

    return run


@executes(Scan)
def _scan(machine: Machine, operation: Operation, scan: Scan, counts: Counts) -> Step:
    fold = {Reduction.SUM: np.add, Reduction.PRODUCT: np.multiply}.get(scan.reduction)
    if fold is None:
        raise ProgramError(f"field reduction is {scan.reduction.name}: it must be SUM or PRODUCT")
    shape, view = (scan.size0, scan.size1, scan.size2), machine.memory.view
    x = view(Space.BUFFER, scan.x, shape, (scan.x_stride0, scan.x_stride1, scan.x_stride2), scan.element.dtype)
    y = view(Space.BUFFER, scan.y, shape, (scan.y_stride0, scan.y_stride1, scan.y_stride2), scan.element.dtype)
    source, target = (x[:, ::-1], y[:, ::-1]) if scan.reverse else (x, y)

    def run() -> None:
        with np.errstate(all="ignore"):
            folded = fold.accumulate(source, axis=1, dtype=x.dtype)
        if scan.exclusive:
            target[:, 1:] = folded[:, :-1]
            target[:, 0] = fold.identity
        else:
            target[...] = folded

    return run
