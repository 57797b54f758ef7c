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
from reuse_compiler.operators import Activation, read_activation, read_conv, read_quantizer
from reuse_compiler.quantizers import LinearQuantizer

__all__ = ["READERS"]

Float = NDArray[np.float32]


def _conv_geometry(
    node: ir.Node, weight: tuple[int, ...], strides: tuple[int, ...], pads: tuple[int, ...], dilations: tuple[int, ...]
) -> ConvGeometry:
    shape = shape_at(node)
    rank = len(shape) - 2
    return ConvGeometry(
        in_channels=shape[1],
        out_channels=weight[0],
        group=shape[1] // weight[1],
        in_shape=padded(shape[2:], 3),
        kernel=padded(weight[2:], 3),
        strides=padded(strides, 3),
        dilations=padded(dilations, 3),
        pads_begin=padded(pads[:rank], 3, 0),
        pads_end=padded(pads[rank:], 3, 0),
    )


def _reuse_conv(node: ir.Node) -> ConvSpec:
    weight, bias, attributes = array_at(node, 3), array_at(node, 4), read_conv(node)
    if weight is None or bias is None:
        raise ModelError(f"node {node.name}: W and B of a reuse operator must be constants")
    geometry = _conv_geometry(node, weight.shape, attributes.strides, attributes.pads, attributes.dilations)
    full = weight.reshape(*weight.shape[:2], *geometry.kernel)
    return ConvSpec(
        geometry=geometry, weight=full, bias=bias, activation=read_activation(node), quantizer=read_quantizer(node)
    )


def _conv(node: ir.Node) -> ConvSpec:
    weight = array_at(node, 1)
    assert weight is not None
    rank = weight.ndim - 2
    geometry = _conv_geometry(
        node,
        weight.shape,
        ints(node, "strides", [1] * rank),
        ints(node, "pads", [0] * 2 * rank),
        ints(node, "dilations", [1] * rank),
    )
    bias = array_at(node, 2)
    zeros = np.zeros(weight.shape[0], np.float32)
    full = weight.reshape(*weight.shape[:2], *geometry.kernel)
    return ConvSpec(geometry=geometry, weight=full, bias=zeros if bias is None else bias)


def _fc(node: ir.Node, weight: Float, bias: Float, activation: Activation, quantizer: LinearQuantizer | None) -> FcSpec:
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


def _gemm(node: ir.Node) -> FcSpec:
    weight = array_at(node, 1)
    assert weight is not None
    weight = weight.T if node.attributes.get_int("transB", 0) else weight
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    weight = weight if alpha == 1.0 else weight * np.float32(alpha or 0.0)
    bias = array_at(node, 2)
    zeros = np.zeros(weight.shape[1], np.float32)
    bias = zeros if bias is None else np.float32(1.0 if beta is None else beta) * bias
    return _fc(node, weight, np.broadcast_to(bias.reshape(-1), zeros.shape), Activation(), None)


def _matmul(node: ir.Node) -> FcSpec:
    weight = array_at(node, 1)
    assert weight is not None
    return _fc(node, weight, np.zeros(weight.shape[1], np.float32), Activation(), None)


READERS: dict[str, Reader] = {
    "ReuseConv": _reuse_conv,
    "ReuseGemm": _reuse_gemm,
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
