"""Rules of reductions and of what is made of them."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import constant
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import OPERAND, TENSOR, variable_data

__all__ = ["RULES"]


def constant_axes(node: ir.Node) -> str | None:
    """the axes are constants"""
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    return f"{axes.name} is computed at run time" if axes is not None and constant(axes) is None else None


def some_axes(node: ir.Node) -> str | None:
    """there is an axis to reduce, or no axes means all of them"""
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    named = axes is not None and axes.size > 0
    return None if named or not node.attributes.get_int("noop_with_empty_axes", 0) else "noop_with_empty_axes is 1"


def float32_statistics(node: ir.Node) -> str | None:
    """statistics are computed in float32"""
    kind = node.attributes.get_int("stash_type", ir.DataType.FLOAT.value)
    return None if kind == ir.DataType.FLOAT.value else f"stash_type is {kind}"


_REDUCE = (*OPERAND, constant_axes, some_axes)
_NORMALIZE = (*TENSOR, variable_data)

RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(
        (
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "ReduceSumSquare",
        ),
        _REDUCE,
    ),
    **dict.fromkeys(("CumSum", "CumProd"), (*OPERAND, constant_axes)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "LpNormalization", "GlobalLpPool"), _NORMALIZE),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "LRN"), _NORMALIZE),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), (*_NORMALIZE, float32_statistics)),
}
