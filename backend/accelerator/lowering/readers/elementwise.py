"""Read element-wise layers."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Binary, Special
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import array_at, shape_at
from reuse_compiler.backend.accelerator.lowering.specs import (
    ElementwiseSpec,
    FunctionSpec,
)
from reuse_compiler.backend.accelerator.shapes import broadcast_axes, shape_of
from reuse_compiler.backend.accelerator.supported import BINARY, FUNCTIONS

__all__ = ["READERS"]

Float = NDArray[np.float32]


def _function(node: ir.Node) -> FunctionSpec:
    attributes = node.attributes

    def real(name: str, default: float) -> float:
        value = attributes.get_float(name, default)
        return default if value is None else value

    def bound(position: int, default: float) -> float:
        array = array_at(node, position)
        return default if array is None else float(array.reshape(-1)[0])

    match node.op_type:
        case "Relu":
            return FunctionSpec(Special.RAMP, 0.0, math.inf)
        case "LeakyRelu":
            return FunctionSpec(Special.RAMP, real("alpha", 0.01), math.inf)
        case "Clip" if bound(1, -math.inf) == 0:
            return FunctionSpec(Special.RAMP, 0.0, bound(2, math.inf))
        case "Clip":
            largest = float(np.finfo(np.float32).max)
            return FunctionSpec(Special.CLIP, bound(1, -largest), bound(2, largest))
        case "Elu":
            return FunctionSpec(Special.ELU, real("alpha", 1.0))
        case "HardSigmoid":
            return FunctionSpec(Special.HARD_SIGMOID, real("alpha", 0.2), real("beta", 0.5))
        case op:
            return FunctionSpec(Special[op.upper()])


def _elementwise(node: ir.Node) -> ElementwiseSpec:
    out = shape_of(node.outputs[0])
    assert out is not None
    first, second = array_at(node, 0), array_at(node, 1)
    swapped = first is not None
    a, b = (shape_at(node, 1), shape_at(node, 0)) if swapped else (shape_at(node, 0), shape_at(node, 1))
    sizes, a_strides, b_strides = broadcast_axes(a, b, out)
    return ElementwiseSpec(
        Binary[node.op_type.upper()], swapped, first if swapped else second, sizes, a_strides, b_strides
    )


READERS: dict[str, Reader] = {
    **dict.fromkeys(FUNCTIONS, _function),
    **dict.fromkeys(BINARY, _elementwise),
}
