"""Read resizing: of interpolation one weighted sum of rows for each axis that changes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from reuse_compiler.backend.accelerator.lowering.axis_specs import ResampleSpec
from reuse_compiler.backend.accelerator.lowering.readers import movement
from reuse_compiler.backend.accelerator.lowering.readers.parts import Parts
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.specs import Layer, Spec, Tensor
from reuse_compiler.backend.accelerator.resizing import resized_axes, tap_weights

__all__ = ["READERS"]


def _resize(node: ir.Node) -> Spec | Sequence[Layer]:
    if node.attributes.get_string("mode", "nearest") == "nearest":
        return movement.READERS["Resize"](node)
    parts = Parts(node)
    x = parts.operand(0)
    for number, axis in enumerate(resized_axes(node)):
        if axis is not None:
            assert isinstance(x, Tensor)
            before, behind = x.shape[:number], x.shape[number + 1 :]
            sizes = (math.prod(before), axis.size, math.prod(behind))
            x = parts.layer(ResampleSpec(sizes, *tap_weights(node, axis)), [x], (*before, axis.result, *behind))
    return parts.layers(x)


READERS: dict[str, Reader] = {"Resize": _resize}
