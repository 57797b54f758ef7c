"""Read products of matrices: FC layers where the second operand is a constant matrix, else products of two tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from reuse_compiler.backend.accelerator.isa import Binary, Special
from reuse_compiler.backend.accelerator.lowering.readers.folds import Folds
from reuse_compiler.backend.accelerator.lowering.readers.parts import Value
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import tensor
from reuse_compiler.backend.accelerator.lowering.readers.weights import read_gemm, read_matmul
from reuse_compiler.backend.accelerator.lowering.specs import FcSpec, Layer, MatmulSpec, Tensor
from reuse_compiler.backend.accelerator.shapes import constant, matrix_axes

__all__ = ["READERS"]


def _product(
    parts: Folds, a: Value, b: Value, shape: Sequence[int], a_flip: bool = False, b_flip: bool = False
) -> Tensor:
    """a b as numpy multiplies matrices, to be seen as `shape`; with `*_flip` of the transposed operand.

    A constant is the W of the instruction. On the left it trades places: (a b)' = b' a'.
    """
    left, right = tuple(a.shape), tuple(b.shape)
    first = (1, *left) if len(left) == 1 else left
    second = (*right, 1) if len(right) == 1 else right
    sizes, sides = matrix_axes(first, second)
    matrices, a_matrices, b_matrices = ((many[0], many[1]) for many in (sizes, *sides))
    rows, inputs = first[-2:][::-1] if a_flip else first[-2:]
    outputs = second[-2] if b_flip else second[-1]
    if not isinstance(a, Tensor):
        spec = MatmulSpec(
            matrices, outputs, inputs, rows, b_matrices, a_matrices, not b_flip, not a_flip, True, np.asarray(a)
        )
        assert isinstance(b, Tensor)
        return parts.layer(spec, [b], shape)
    weight = None if isinstance(b, Tensor) else np.asarray(b)
    spec = MatmulSpec(matrices, rows, inputs, outputs, a_matrices, b_matrices, a_flip, b_flip, False, weight)
    return parts.layer(spec, [a, b] if isinstance(b, Tensor) else [a], shape)


def _shape(node: ir.Node) -> tuple[int, ...]:
    return tensor(node.outputs[0]).shape


def _is_fc(node: ir.Node) -> bool:
    weight = constant(node.inputs[1])
    return weight is not None and weight.ndim == 2 and constant(node.inputs[0]) is None


def _matmul(node: ir.Node) -> FcSpec | list[Layer]:
    if _is_fc(node):
        return read_matmul(node)
    parts = Folds(node)
    a, b = parts.operand(0), parts.operand(1)
    return parts.layers(_product(parts, a, b, _shape(node)))


def _gemm(node: ir.Node) -> FcSpec | list[Layer]:
    """alpha a b + beta c."""
    if _is_fc(node) and not node.attributes.get_int("transA", 0) and _is_row(node):
        return read_gemm(node)
    parts, attributes = Folds(node), node.attributes
    a, b, c = parts.operand(0), parts.operand(1), parts.given(2)
    a_flip, b_flip = bool(attributes.get_int("transA", 0)), bool(attributes.get_int("transB", 0))
    result: Value = _product(parts, a, b, _shape(node), a_flip, b_flip)
    alpha, beta = attributes.get_float("alpha", 1.0), attributes.get_float("beta", 1.0)
    if alpha is not None and alpha != 1:
        result = parts.function(Special.AFFINE, result, alpha, 0.0)
    if c is not None and beta:
        if beta != 1:
            c = parts.function(Special.AFFINE, c, beta or 0.0, 0.0)
        result = parts.binary(Binary.ADD, result, c)
    return parts.layers(result)


def _is_row(node: ir.Node) -> bool:
    """Whether the bias, if there is one, is a constant that is the same for every row."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    bias = constant(node.inputs[2])
    return bias is not None and math.prod(bias.shape[:-1]) == 1


READERS: dict[str, Reader] = {"MatMul": _matmul, "Gemm": _gemm}
