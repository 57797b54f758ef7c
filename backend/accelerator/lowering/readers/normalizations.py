"""Read normalizations: mean and variance by reductions, the rest element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from reuse_compiler.backend.accelerator.isa import Binary, Pooling, Special
from reuse_compiler.backend.accelerator.lowering.readers.folds import Folds, number
from reuse_compiler.backend.accelerator.lowering.readers.parts import Value
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import ints
from reuse_compiler.backend.accelerator.lowering.specs import Layer, PoolSpec
from reuse_compiler.geometry import ConvGeometry

__all__ = ["READERS"]


def _real(node: ir.Node, name: str, default: float) -> float:
    value = node.attributes.get_float(name, default)
    return default if value is None else value


def _inverse_deviation(parts: Folds, centred: Value, axes: Sequence[int], epsilon: float) -> Value:
    """1 / sqrt(mean square + epsilon) along `axes`."""
    variance = parts.function(Special.AFFINE, parts.mean_square(centred, axes), 1.0, epsilon)
    return parts.function(Special.RECIPROCAL, parts.function(Special.SQRT, variance))


def _scaled(parts: Folds, x: Value, shape: Sequence[int] | None = None) -> Value:
    """x times the node's second operand, plus its third if it has one, both seen as `shape`."""
    for function, position in ((Binary.MUL, 1), (Binary.ADD, 2)):
        operand = parts.given(position)
        if operand is not None:
            x = parts.binary(function, x, operand if shape is None else parts.reshape(operand, shape))
    return x


def _layer_normalization(node: ir.Node) -> list[Layer]:
    parts = Folds(node)
    x = parts.operand(0)
    rank = len(x.shape)
    axis = (node.attributes.get_int("axis", -1) or 0) % rank
    axes = tuple(range(axis, rank))
    epsilon = _real(node, "epsilon", 1e-5)
    if node.op_type == "RMSNormalization":
        normal = parts.binary(Binary.MUL, x, _inverse_deviation(parts, x, axes, epsilon))
        return parts.layers(_scaled(parts, normal))
    mean = parts.mean(x, axes)
    centred = parts.binary(Binary.SUB, x, mean)
    inverse = _inverse_deviation(parts, centred, axes, epsilon)
    return parts.layers(_scaled(parts, parts.binary(Binary.MUL, centred, inverse)), mean, inverse)


def _group_normalization(node: ir.Node) -> list[Layer]:
    """Of InstanceNormalization each channel is a group. Scale and shift are one number a channel, or one a group."""
    parts = Folds(node)
    x = parts.operand(0)
    batch, channels = x.shape[:2]
    groups = node.attributes.get_int("num_groups", channels) or channels
    grouped = parts.reshape(x, (batch, groups, math.prod(x.shape[1:]) // groups))
    centred = parts.binary(Binary.SUB, grouped, parts.mean(grouped, (2,)))
    normal = parts.binary(Binary.MUL, centred, _inverse_deviation(parts, centred, (2,), _real(node, "epsilon", 1e-5)))
    count = math.prod(parts.operand(1).shape)
    by_channel = parts.reshape(normal, (batch, count, math.prod(x.shape[1:]) // count))
    return parts.layers(_scaled(parts, by_channel, (1, count, 1)))


def _mean_variance_normalization(node: ir.Node) -> list[Layer]:
    """(x - mean) / (standard deviation + 1e-9), as the operator is defined."""
    parts = Folds(node)
    x = parts.operand(0)
    axes = tuple(axis % len(x.shape) for axis in ints(node, "axes", [0, 2, 3]))
    centred = parts.binary(Binary.SUB, x, parts.mean(x, axes))
    deviation = parts.function(Special.SQRT, parts.mean_square(centred, axes))
    return parts.layers(parts.binary(Binary.DIV, centred, parts.function(Special.AFFINE, deviation, 1.0, 1e-9)))


def _local_response(node: ir.Node) -> list[Layer]:
    """x / (bias + alpha / size * the sum of squares over `size` channels) ** beta."""
    parts = Folds(node)
    x = parts.operand(0)
    batch, channels, *space = x.shape
    size = node.attributes.get_int("size", 1) or 1
    before = (size - 1) // 2
    geometry = ConvGeometry(
        in_channels=batch,
        out_channels=batch,
        group=batch,
        in_shape=(channels, math.prod(space[:-1]), math.prod(space[-1:])),
        kernel=(size, 1, 1),
        strides=(1, 1, 1),
        dilations=(1, 1, 1),
        pads_begin=(before, 0, 0),
        pads_end=(size - 1 - before, 0, 0),
    )
    squares = parts.binary(Binary.MUL, x, x)
    mean = parts.layer(PoolSpec(Pooling.AVERAGE_PADDED, geometry, geometry.out_shape), [squares], x.shape)
    base = parts.function(Special.AFFINE, mean, _real(node, "alpha", 1e-4), _real(node, "bias", 1.0))
    power = parts.binary(Binary.POW, base, number(_real(node, "beta", 0.75)))
    return parts.layers(parts.binary(Binary.DIV, x, power))


READERS: dict[str, Reader] = {
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _layer_normalization,
    "InstanceNormalization": _group_normalization,
    "GroupNormalization": _group_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "LRN": _local_response,
}
