"""Rules of CONV and FC layers."""

from __future__ import annotations

import math

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import shape_of
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import (
    TENSOR,
    constant_weights,
    explicit_padding,
    spatial_axes,
    variable_data,
)

__all__ = ["RULES"]


def untransposed_data(node: ir.Node) -> str | None:
    """the data operand of Gemm is not transposed"""
    return "transA is 1" if node.attributes.get_int("transA", 0) else None


def bias_of_one_row(node: ir.Node) -> str | None:
    """the bias is the same for every row of the output"""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    shape = shape_of(bias) if bias is not None else None
    return f"the bias has shape {list(shape)}" if shape is not None and math.prod(shape[:-1]) != 1 else None


def matrix_weight(node: ir.Node) -> str | None:
    """the weight is a matrix"""
    value = node.inputs[1]
    shape = shape_of(value) if value is not None else None
    return None if shape is not None and len(shape) == 2 else f"it has shape {list(shape or ())}"


def padding_of_its_output(node: ir.Node) -> str | None:
    """the size of the output is given by padding, not by output_shape"""
    given = node.attributes.get_ints("output_shape", None)
    return None if given is None else f"output_shape is {list(given)}"


_CONV = (*TENSOR, variable_data, constant_weights, spatial_axes, explicit_padding)

RULES: dict[str, tuple[Rule, ...]] = {
    "Conv": _CONV,
    "ConvTranspose": (*_CONV, padding_of_its_output),
    "Gemm": (*TENSOR, variable_data, constant_weights, untransposed_data, bias_of_one_row),
    "MatMul": (*TENSOR, variable_data, constant_weights, matrix_weight),
}
