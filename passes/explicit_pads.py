"""Write the padding of convolutions and poolings out as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["ExplicitPads"]

_POOLS = ("AveragePool", "LpPool", "MaxPool")


@dataclass(frozen=True)
class ExplicitPads(ir.passes.InPlacePass):
    """Replace auto_pad of Conv, AveragePool, LpPool and MaxPool in the top graph by the pads that it means.

    1. VALID is no padding.
    2. SAME_UPPER and SAME_LOWER pad for ``ceil(in / stride)`` outputs, an odd one at the end or at the beginning.
    3. A node stays where a spatial size of its input is open or ceil_mode is set.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the attributes in place. Shapes must have been inferred."""
        written = [node for node in model.graph if _write_out(node)]
        return ir.passes.PassResult(model, bool(written))


def _write_out(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type not in ("Conv", *_POOLS) or "auto_pad" not in node.attributes:
        return False
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET":
        del node.attributes["auto_pad"]
        return True
    sizes, kernel = _sizes(node.inputs[0]), _kernel(node)
    if sizes is None or kernel is None or node.attributes.get_int("ceil_mode", 0) != 0:
        return False
    strides = node.attributes.get_ints("strides", [1] * len(kernel))
    dilations = node.attributes.get_ints("dilations", [1] * len(kernel))
    begin, end = _pads(mode, sizes, kernel, strides, dilations)
    del node.attributes["auto_pad"]
    node.attributes.add(ir.AttrInt64s("pads", [*begin, *end]))
    return True


def _sizes(value: ir.Value | None) -> list[int] | None:
    """Spatial sizes of `value`, or None where one is open."""
    if value is None or value.shape is None:
        return None
    sizes = [dim for dim in value.shape[2:] if isinstance(dim, int)]
    return sizes if len(sizes) == len(value.shape) - 2 else None


def _kernel(node: ir.Node) -> Sequence[int] | None:
    given = node.attributes.get_ints("kernel_shape", None)
    return given or (_sizes(node.inputs[1]) if node.op_type == "Conv" else None)


def _pads(
    mode: str, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]]:
    if mode == "VALID":
        return [0] * len(sizes), [0] * len(sizes)
    totals = [
        max((-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size, 0)
        for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (less, more) if mode == "SAME_UPPER" else (more, less)
