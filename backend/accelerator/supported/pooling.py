"""Rules of pooling layers."""

from __future__ import annotations

import math

import onnx_ir as ir

from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import (
    TENSOR,
    explicit_padding,
    one_output,
    spatial_axes,
    variable_data,
)

__all__ = ["RULES"]

_WINDOW = 65_536  # two of them in flight take a good third of the buffer of the built-in hardware


def padding_below_kernel(node: ir.Node) -> str | None:
    """padding at the start of an axis is less than the extent of the window there"""
    kernel = node.attributes.get_ints("kernel_shape", []) or []
    dilations = node.attributes.get_ints("dilations", None) or [1] * len(kernel)
    pads = node.attributes.get_ints("pads", None) or [0] * 2 * len(kernel)
    wide = [axis for axis, size in enumerate(kernel) if pads[axis] >= (size - 1) * dilations[axis] + 1]
    return f"axis {wide[0]} has padding {pads[wide[0]]} and window {kernel[wide[0]]}" if wide else None


def window_in_buffer(node: ir.Node) -> str | None:
    """the window of one output, gaps of dilation included, spans at most 65,536 elements of the input"""
    kernel = node.attributes.get_ints("kernel_shape", None) or []
    dilations = node.attributes.get_ints("dilations", None) or [1] * len(kernel)
    extent = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    return f"it spans {' x '.join(map(str, extent))}" if math.prod(extent) > _WINDOW else None


_POOL = (*TENSOR, variable_data, spatial_axes, explicit_padding, padding_below_kernel, window_in_buffer, one_output)

RULES: dict[str, tuple[Rule, ...]] = {
    "MaxPool": _POOL,
    "AveragePool": _POOL,
    "LpPool": _POOL,
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), (*TENSOR, variable_data)),
}
