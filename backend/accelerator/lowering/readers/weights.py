"""Read CONV and FC layers, with and without reuse."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import array_at, ints, shape_at
from reuse_compiler.backend.accelerator.lowering.specs import (
    ConvSpec,
    FcSpec,
)
from reuse_compiler.backend.accelerator.shapes import padded
from reuse_compiler.errors import ModelError
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.operators import Activation, ConvAttributes, read_activation, read_conv, read_quantizer
from reuse_compiler.quantizers import Quantizer

__all__ = ["READERS", "read_gemm", "read_matmul"]

Float = NDArray[np.float32]


def _conv_spec(
    node: ir.Node,
    weight: Float,
    bias: Float | None,
    attributes: ConvAttributes,
    activation: Activation,
    quantizer: Quantizer | None,
) -> ConvSpec:
    shape, group, rank = shape_at(node), attributes.group, weight.ndim - 2
    padding = attributes.output_padding
    if padding is not None:
        weight = _by_output_channel(weight, group)
    kernel = padded(weight.shape[2:], 3)
    geometry = ConvGeometry(
        in_channels=shape[1],
        out_channels=weight.shape[0],
        group=group,
        in_shape=padded(shape[2:], 3),
        kernel=kernel,
        strides=padded(attributes.strides, 3),
        dilations=padded(attributes.dilations, 3),
        pads_begin=padded(attributes.pads[:rank], 3, 0),
        pads_end=padded(attributes.pads[rank:], 3, 0),
        transposed=padding is not None,
        output_padding=() if padding is None else padded(padding, 3, 0),
    )
    return ConvSpec(
        geometry=geometry,
        batch=shape[0],
        weight=weight.reshape(*weight.shape[:2], *kernel),
        bias=np.zeros(weight.shape[0], np.float32) if bias is None else bias,
        activation=activation,
        quantizer=quantizer,
    )


def _by_output_channel(weight: Float, group: int) -> Float:
    """The weight of a ConvTranspose [in_channels, out_channels / group, ..] as [out_channels, in_channels / group, ..]."""
    inputs, outputs, *kernel = weight.shape
    grouped = weight.reshape(group, inputs // group, outputs, *kernel)
    return np.ascontiguousarray(grouped.swapaxes(1, 2)).reshape(group * outputs, inputs // group, *kernel)


def _reuse_conv(node: ir.Node) -> ConvSpec:
    weight, bias = array_at(node, 3), array_at(node, 4)
    if weight is None or bias is None:
        raise ModelError(f"node {node.name}: W and B of a reuse operator must be constants")
    return _conv_spec(node, weight, bias, read_conv(node), read_activation(node), read_quantizer(node))


def _conv(node: ir.Node) -> ConvSpec:
    weight = array_at(node, 1)
    assert weight is not None
    rank = weight.ndim - 2
    attributes = ConvAttributes(
        strides=ints(node, "strides", [1] * rank),
        pads=ints(node, "pads", [0] * 2 * rank),
        dilations=ints(node, "dilations", [1] * rank),
        group=node.attributes.get_int("group", 1),
        output_padding=ints(node, "output_padding", [0] * rank) if node.op_type == "ConvTranspose" else None,
    )
    return _conv_spec(node, weight, array_at(node, 2), attributes, Activation(), None)


def _fc(node: ir.Node, weight: Float, bias: Float, activation: Activation, quantizer: Quantizer | None) -> FcSpec:
    shape = shape_at(node)
    inputs, outputs = weight.shape
    return FcSpec(
        rows=math.prod(shape) // inputs,
        inputs=inputs,
        outputs=outputs,
        weight=weight,
        bias=bias,
        activation=activation,
        quantizer=quantizer,
    )


def _reuse_gemm(node: ir.Node) -> FcSpec:
    weight, bias = array_at(node, 3), array_at(node, 4)
    if weight is None or bias is None:
        raise ModelError(f"node {node.name}: W and B of a reuse operator must be constants")
    return _fc(node, weight, bias, read_activation(node), read_quantizer(node))


def read_gemm(node: ir.Node) -> FcSpec:
    """A Gemm whose second operand is a constant, and its bias one row."""
    weight = array_at(node, 1)
    assert weight is not None
    weight = weight.T if node.attributes.get_int("transB", 0) else weight
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    weight = weight if alpha == 1.0 else weight * np.float32(alpha or 0.0)
    bias = array_at(node, 2)
    zeros = np.zeros(weight.shape[1], np.float32)
    bias = zeros if bias is None else np.float32(1.0 if beta is None else beta) * bias
    return _fc(node, weight, np.broadcast_to(bias.reshape(-1), zeros.shape), Activation(), None)


def read_matmul(node: ir.Node) -> FcSpec:
    """A MatMul whose second operand is a constant matrix."""
    weight = array_at(node, 1)
    assert weight is not None
    return _fc(node, weight, np.zeros(weight.shape[1], np.float32), Activation(), None)


READERS: dict[str, Reader] = {
    "ReuseConv": _reuse_conv,
    "ReuseConvTable": _reuse_conv,
    "ReuseConvTranspose": _reuse_conv,
    "ReuseConvTransposeTable": _reuse_conv,
    "ReuseGemm": _reuse_gemm,
    "ReuseGemmTable": _reuse_gemm,
    "Conv": _conv,
    "ConvTranspose": _conv,
}
