"""Read pooling layers."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.isa import Binary, Pooling, Reduction, Special
from reuse_compiler.backend.accelerator.lowering.readers.folds import Folds, number
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import ints, shape_at
from reuse_compiler.backend.accelerator.lowering.specs import Layer, PoolSpec
from reuse_compiler.backend.accelerator.shapes import padded, shape_of
from reuse_compiler.geometry import ConvGeometry

__all__ = ["READERS"]


def _spec(node: ir.Node, pooling: Pooling) -> PoolSpec:
    """Pooling of every channel of every picture of the batch."""
    shape, out = shape_at(node), shape_of(node.outputs[0])
    assert out is not None
    rank = len(shape) - 2
    pads = ints(node, "pads", [0] * 2 * rank)
    geometry = ConvGeometry(
        in_channels=shape[0] * shape[1],
        out_channels=shape[0] * shape[1],
        group=shape[0] * shape[1],
        in_shape=padded(shape[2:], 3),
        kernel=padded(ints(node, "kernel_shape", [1] * rank), 3),
        strides=padded(ints(node, "strides", [1] * rank), 3),
        dilations=padded(ints(node, "dilations", [1] * rank), 3),
        pads_begin=padded(pads[:rank], 3, 0),
        pads_end=padded(pads[rank:], 3, 0),
    )
    return PoolSpec(pooling, geometry, padded(out[2:], 3))


def _max_pool(node: ir.Node) -> PoolSpec:
    return _spec(node, Pooling.MAX)


def _average_pool(node: ir.Node) -> PoolSpec:
    return _spec(node, Pooling.AVERAGE_PADDED if node.attributes.get_int("count_include_pad", 0) else Pooling.AVERAGE)


def _global_pool(node: ir.Node) -> list[Layer]:
    """A window over all of the picture is a reduction of the axes of space."""
    parts = Folds(node)
    x = parts.operand(0)
    space = range(2, len(x.shape))
    largest = node.op_type == "GlobalMaxPool"
    return parts.layers(parts.reduce(Reduction.MAX, x, space) if largest else parts.mean(x, space))


def _lp_pool(node: ir.Node) -> list[Layer]:
    """The sum of abs(x) ** p over the window, to the power of 1 / p."""
    parts = Folds(node)
    x, p = parts.operand(0), node.attributes.get_int("p", 2) or 2
    spec, out = _spec(node, Pooling.SUM), shape_of(node.outputs[0])
    assert out is not None
    if p == 2:
        return parts.layers(parts.function(Special.SQRT, parts.layer(spec, [parts.binary(Binary.MUL, x, x)], out)))
    size = parts.function(Special.ABS, x)
    if p == 1:
        return parts.layers(parts.layer(spec, [size], out))
    powers = parts.layer(spec, [parts.binary(Binary.POW, size, number(p))], out)
    return parts.layers(parts.binary(Binary.POW, powers, number(1 / p)))


READERS: dict[str, Reader] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "LpPool": _lp_pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
}
