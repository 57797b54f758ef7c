"""Read reductions along axes, and what is made of them along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from reuse_compiler.backend.accelerator.isa import Binary, Reduction, Special
from reuse_compiler.backend.accelerator.lowering.axis_specs import ScanSpec
from reuse_compiler.backend.accelerator.lowering.readers.folds import Folds, number
from reuse_compiler.backend.accelerator.lowering.readers.parts import Parts, Value
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.specs import Layer
from reuse_compiler.backend.accelerator.shapes import constant

__all__ = ["READERS", "folded_axes"]

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)

Axes = tuple[int, ...]


def folded_axes(node: ir.Node, rank: int) -> Axes:
    """The axes that a reduction folds, counted from the front: those it names, else all, or none with
    `noop_with_empty_axes`."""
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    named = [] if axes is None else axes.reshape(-1).tolist()
    if named or node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        return tuple(sorted({axis % rank for axis in named}))
    return tuple(range(rank))


def _plain(reduction: Reduction) -> Callable[[Folds, Value, Axes], Value]:
    return lambda parts, x, axes: parts.reduce(reduction, x, axes)


def _log_sum(parts: Folds, x: Value, axes: Axes) -> Value:
    return parts.function(Special.LOG, parts.reduce(Reduction.SUM, x, axes))


def _log_sum_exp(parts: Folds, x: Value, axes: Axes) -> Value:
    """log(sum(exp(x - m))) + m, m the largest element, or the finite number nearest to it."""
    largest = parts.function(Special.CLIP, parts.reduce(Reduction.MAX, x, axes), -_LARGEST, _LARGEST)
    powers = parts.function(Special.EXP, parts.binary(Binary.SUB, x, largest))
    return parts.binary(Binary.ADD, _log_sum(parts, powers, axes), largest)


def _norm(parts: Folds, x: Value, axes: Axes) -> Value:
    return parts.function(Special.SQRT, parts.reduce(Reduction.SUM_SQUARES, x, axes))


_REDUCTIONS: dict[str, Callable[[Folds, Value, Axes], Value]] = {
    "ReduceL1": _plain(Reduction.SUM_ABS),
    "ReduceL2": _norm,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _plain(Reduction.MAX),
    "ReduceMean": lambda parts, x, axes: parts.mean(x, axes),
    "ReduceMin": _plain(Reduction.MIN),
    "ReduceProd": _plain(Reduction.PRODUCT),
    "ReduceSum": _plain(Reduction.SUM),
    "ReduceSumSquare": _plain(Reduction.SUM_SQUARES),
}


_UNCHANGED = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")
"""Of one element each, what these give is that element."""


def _reduction(node: ir.Node) -> list[Layer]:
    parts = Folds(node)
    x = parts.operand(0)
    axes = folded_axes(node, len(x.shape))
    if node.op_type in _UNCHANGED and not axes:
        return parts.layers(x)
    return parts.layers(_REDUCTIONS[node.op_type](parts, x, axes))


def _number(node: ir.Node) -> list[Layer]:
    """The place of the largest or smallest element along an axis."""
    parts = Folds(node)
    x = parts.operand(0)
    last = node.attributes.get_int("select_last_index", 0)
    reduction = Reduction[f"ARG_{node.op_type[3:].upper()}{'_LAST' if last else ''}"]
    return parts.layers(parts.reduce(reduction, x, (_axis(node, x, 0),), dtype="int64"))


def _hardmax(node: ir.Node) -> list[Layer]:
    """1 where the number of an element along the axis is that of the first largest one, else 0."""
    parts = Folds(node)
    x = parts.operand(0)
    axis = _axis(node, x, -1)
    place = parts.reduce(Reduction.ARG_MAX, x, (axis,), dtype="int32")
    numbers = np.arange(x.shape[axis], dtype=np.int32).reshape([-1] + [1] * (len(x.shape) - 1 - axis))
    return parts.layers(parts.binary(Binary.EQUAL, place, numbers, dtype="float32"))


def _axis(node: ir.Node, x: Value, default: int) -> int:
    return (node.attributes.get_int("axis", default) or 0) % max(len(x.shape), 1)


def _softmax(node: ir.Node) -> list[Layer]:
    """exp(x - m) / sum, m the largest along the axis; of LogSoftmax x - m - log(sum)."""
    parts = Folds(node)
    x = parts.operand(0)
    axes = (_axis(node, x, -1),)
    below = parts.binary(Binary.SUB, x, parts.reduce(Reduction.MAX, x, axes))
    powers = parts.function(Special.EXP, below)
    if node.op_type == "LogSoftmax":
        return parts.layers(parts.binary(Binary.SUB, below, _log_sum(parts, powers, axes)))
    return parts.layers(parts.binary(Binary.DIV, powers, parts.reduce(Reduction.SUM, powers, axes)))


def _lp_normalization(node: ir.Node) -> list[Layer]:
    """x / its norm along the axis; 0 where that is 0."""
    parts = Folds(node)
    x = parts.operand(0)
    axes = (_axis(node, x, -1),)
    first = node.attributes.get_int("p", 2) == 1
    norm = parts.reduce(Reduction.SUM_ABS, x, axes) if first else _norm(parts, x, axes)
    return parts.layers(parts.binary(Binary.DIV, x, parts.binary(Binary.MAX, norm, number(_SMALLEST))))


def _global_lp_pool(node: ir.Node) -> list[Layer]:
    parts = Folds(node)
    x = parts.operand(0)
    axes, p = tuple(range(2, len(x.shape))), node.attributes.get_int("p", 2)
    if p == 1:
        return parts.layers(parts.reduce(Reduction.SUM_ABS, x, axes))
    if p == 2:
        return parts.layers(_norm(parts, x, axes))
    powers = parts.binary(Binary.POW, parts.function(Special.ABS, x), number(p or 2))
    return parts.layers(parts.binary(Binary.POW, parts.reduce(Reduction.SUM, powers, axes), number(1 / (p or 2))))


def _scan(node: ir.Node) -> list[Layer]:
    parts = Parts(node)
    x, axis = parts.operand(0), folded_axes(node, len(parts.operand(0).shape))[0]
    shape = tuple(x.shape)
    spec = ScanSpec(
        reduction=Reduction.PRODUCT if node.op_type == "CumProd" else Reduction.SUM,
        sizes=(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])),
        exclusive=bool(node.attributes.get_int("exclusive", 0)),
        reverse=bool(node.attributes.get_int("reverse", 0)),
    )
    return parts.layers(parts.layer(spec, [x], shape, x.dtype))


READERS: dict[str, Reader] = {
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Hardmax": _hardmax,
    "ArgMax": _number,
    "ArgMin": _number,
    "CumSum": _scan,
    "CumProd": _scan,
    "LpNormalization": _lp_normalization,
    "GlobalLpPool": _global_lp_pool,
}
