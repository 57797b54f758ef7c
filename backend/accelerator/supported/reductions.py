"""Rules of reductions and of what is made of them."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import constant
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import (
    OPERAND,
    TENSOR,
    known_operand,
    some_elements,
    variable_data,
)

__all__ = ["RULES"]

_WHOLE = frozenset(getattr(ir.DataType, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64))
_NUMBERS = _WHOLE | {ir.DataType.FLOAT}


def _other(node: ir.Node, allowed: frozenset[ir.DataType]) -> str | None:
    value = node.inputs[0]
    return f"{value.name} is {value.dtype}" if value is not None and value.dtype not in allowed else None


def numbers(node: ir.Node) -> str | None:
    """the first input is float32 or holds whole numbers"""
    return _other(node, _NUMBERS)


def comparable(node: ir.Node) -> str | None:
    """the first input is float32 or bool or holds whole numbers"""
    return _other(node, _NUMBERS | {ir.DataType.BOOL})


def constant_axes(node: ir.Node) -> str | None:
    """the axes are constants"""
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    return f"{axes.name} is computed at run time" if axes is not None and constant(axes) is None else None


def some_axes(node: ir.Node) -> str | None:
    """there is an axis to reduce, or having no axes means all of them"""
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    named = axes is not None and axes.size > 0
    return None if named or not node.attributes.get_int("noop_with_empty_axes", 0) else "noop_with_empty_axes is 1"


def float32_statistics(node: ir.Node) -> str | None:
    """statistics are computed in float32"""
    kind = node.attributes.get_int("stash_type", ir.DataType.FLOAT.value)
    return None if kind == ir.DataType.FLOAT.value else f"stash_type is {kind}"


_ANY = (known_operand, some_elements, variable_data)
_NORMALIZE = (*TENSOR, variable_data)

RULES: dict[str, tuple[Rule, ...]] = {
    "ReduceMean": (*OPERAND, constant_axes),
    **dict.fromkeys(("ReduceProd", "ReduceSum"), (numbers, *_ANY, constant_axes)),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), (comparable, *_ANY, constant_axes)),
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"),
        (*OPERAND, constant_axes, some_axes),
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), (numbers, *_ANY)),
    **dict.fromkeys(("CumSum", "CumProd"), (numbers, *_ANY, constant_axes)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "GlobalLpPool"), _NORMALIZE),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "LRN"), _NORMALIZE),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), (*_NORMALIZE, float32_statistics)),
}
