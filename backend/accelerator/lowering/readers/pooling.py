"""Read pooling layers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Pooling
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import ints, shape_at
from reuse_compiler.backend.accelerator.lowering.specs import (
    PoolSpec,
)
from reuse_compiler.backend.accelerator.shapes import padded, shape_of
from reuse_compiler.geometry import ConvGeometry

__all__ = ["READERS"]

Float = NDArray[np.float32]


def _pool(node: ir.Node) -> PoolSpec:
    shape, out = shape_at(node), shape_of(node.outputs[0])
    assert out is not None
    rank = len(shape) - 2
    everything = list(shape[2:]) if node.op_type.startswith("Global") else [1] * rank
    pads = ints(node, "pads", [0] * 2 * rank)
    geometry = ConvGeometry(
        in_channels=shape[1],
        out_channels=shape[1],
        group=shape[1],
        in_shape=padded(shape[2:], 3),
        kernel=padded(ints(node, "kernel_shape", everything), 3),
        strides=padded(ints(node, "strides", [1] * rank), 3),
        dilations=padded(ints(node, "dilations", [1] * rank), 3),
        pads_begin=padded(pads[:rank], 3, 0),
        pads_end=padded(pads[rank:], 3, 0),
    )
    if node.op_type.endswith("MaxPool"):
        pooling = Pooling.MAX
    else:
        pooling = Pooling.AVERAGE_PADDED if node.attributes.get_int("count_include_pad", 0) else Pooling.AVERAGE
    return PoolSpec(pooling, geometry, padded(out[2:], 3))


READERS: dict[str, Reader] = {
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _pool,
    "GlobalMaxPool": _pool,
}
