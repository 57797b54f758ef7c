"""Rules of FC layers, and of products of matrices that are computed at run time."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import constant, matrix_axes, shape_of
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import TENSOR

__all__ = ["RULES"]


def one_variable_factor(node: ir.Node) -> str | None:
    """a factor is not a constant"""
    return "both are" if all(constant(value) is not None for value in node.inputs[:2]) else None


def two_axes_of_matrices(node: ir.Node) -> str | None:
    """broadcasting of matrices needs at most two axes, neighbouring ones merged where strides allow"""
    shapes = [shape_of(value) or () for value in node.inputs[:2] if value is not None]
    left, right = ((1, *shape) if len(shape) == 1 else shape for shape in shapes)
    sizes = matrix_axes(left, right)[0]
    return f"it needs {len(sizes)}" if len(sizes) > 2 else None


RULES: dict[str, tuple[Rule, ...]] = {
    "Gemm": (*TENSOR, one_variable_factor),
    "MatMul": (*TENSOR, one_variable_factor, two_axes_of_matrices),
}
