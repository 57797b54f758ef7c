"""Write the padding of convolutions and poolings out as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["ExplicitPads"]

_POOLS = ("AveragePool", "LpPool", "MaxPool")


@dataclass(frozen=True)
class ExplicitPads(ir.passes.InPlacePass):
    """Replace auto_pad of Conv, ConvTranspose, AveragePool, LpPool and MaxPool in the top graph, ceil_mode of a pooling,
    and output_shape of a ConvTranspose, by the pads that they mean.

    1. VALID is no padding.
    2. SAME_UPPER and SAME_LOWER pad for ``ceil(in / stride)`` outputs, an odd one at the end or at the beginning.
    3. A node stays where a spatial size of its input is open; one with auto_pad also where ceil_mode is set.
    4. A node with SAME stays where onnxruntime, which is to compute it, does not do what ONNX says: a pooling with
       dilations above 1, and a stride that leaves two or more elements at the borders unread.
    5. With ceil_mode a window that begins inside the input or the padding before it is computed, however far it reaches:
       so onnxruntime does it, where onnx's shape inference also counts a window that begins behind. A node that counts
       padding stays, since what a window reaches behind the padding is not counted.
    6. A ConvTranspose has kernel_shape, strides, dilations, pads and output_padding written out. SAME pads down to ``in *
       stride`` outputs, output_shape to what it says, an odd element at the end with SAME_UPPER and else at the beginning.
       What output_shape asks beyond the natural size is output_padding; where that would reach a stride, the node stays.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the attributes in place. Shapes must have been inferred."""
        written = [node for node in model.graph if _write_out(node)]
        written += [node for node in model.graph if _write_ceil(node)]
        written += [node for node in model.graph if _write_transposed(node)]
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
    pads = _pads(mode, sizes, kernel, strides, dilations)
    if pads is None or (mode != "VALID" and node.op_type in _POOLS and max(dilations) > 1):
        return False
    del node.attributes["auto_pad"]
    node.attributes.add(ir.AttrInt64s("pads", pads))
    return True


def _write_ceil(node: ir.Node) -> bool:
    attributes = node.attributes
    if node.domain != "" or node.op_type not in _POOLS or attributes.get_int("ceil_mode", 0) == 0:
        return False
    sizes, kernel = _sizes(node.inputs[0]), attributes.get_ints("kernel_shape", None)
    if sizes is None or kernel is None or "auto_pad" in attributes or attributes.get_int("count_include_pad", 0) != 0:
        return False
    pads = attributes.get_ints("pads", [0] * 2 * len(kernel))
    ends = [
        _end(size, width, stride, dilation, begin, end)
        for size, width, stride, dilation, begin, end in zip(
            sizes,
            kernel,
            attributes.get_ints("strides", [1] * len(kernel)),
            attributes.get_ints("dilations", [1] * len(kernel)),
            pads[: len(kernel)],
            pads[len(kernel) :],
            strict=True,
        )
    ]
    if any(end >= width for end, width in zip(ends, kernel, strict=True)):
        return False
    del attributes["ceil_mode"]
    attributes["pads"] = ir.AttrInt64s("pads", [*pads[: len(kernel)], *ends])
    return True


def _write_transposed(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type != "ConvTranspose":
        return False
    attributes, sizes, kernel = node.attributes, _sizes(node.inputs[0]), _sizes(node.inputs[1])
    if sizes is None or kernel is None:
        return False
    rank = len(sizes)
    strides, dilations = (attributes.get_ints(name, [1] * rank) for name in ("strides", "dilations"))
    extra = list(attributes.get_ints("output_padding", [0] * rank))
    mode = attributes.get_string("auto_pad", "NOTSET")
    wanted: Sequence[int] | None = attributes.get_ints("output_shape", None)
    natural = [
        (size - 1) * stride + (width - 1) * dilation + 1 + more
        for size, width, stride, dilation, more in zip(sizes, kernel, strides, dilations, extra, strict=True)
    ]
    if wanted is None and mode.startswith("SAME"):
        wanted = [min(size * stride, full) for size, stride, full in zip(sizes, strides, natural, strict=True)]
    pads = list(attributes.get_ints("pads", [0] * 2 * rank)) if mode == "NOTSET" else [0] * 2 * rank
    if wanted is not None:
        totals = [full - size for full, size in zip(natural, wanted[-rank:], strict=True)]
        extra = [more - min(total, 0) for more, total in zip(extra, totals, strict=True)]
        less = [max(total, 0) // 2 for total in totals]
        more = [max(total, 0) - half for total, half in zip(totals, less, strict=True)]
        pads = less + more if mode == "SAME_UPPER" else more + less
    if any(more >= stride for more, stride in zip(extra, strides, strict=True)):
        return False
    given = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads, "output_padding": extra}
    new = {name: tuple(values) for name, values in given.items()}
    if all(attributes.get_ints(name, None) == values for name, values in new.items()) and (
        "auto_pad" not in attributes and "output_shape" not in attributes
    ):
        return False
    for name in ("auto_pad", "output_shape"):
        attributes.pop(name, None)
    for name, values in new.items():
        attributes[name] = ir.AttrInt64s(name, values)
    return True


def _end(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int) -> int:
    """Padding at the end with which whole windows are as many as ceil_mode gives."""
    reach = (kernel - 1) * dilation + 1
    windows = -(-(size + begin + end - reach) // stride) + 1
    if (windows - 1) * stride >= size + begin:
        windows -= 1
    return max((windows - 1) * stride + reach - size - begin, 0)


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
) -> list[int] | None:
    """Pads in the order of ONNX, or None where rule 4 forbids the strides."""
    if mode == "VALID":
        return [0] * 2 * len(sizes)
    wanted = [
        (-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size
        for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    if min(wanted) < -1:
        return None
    totals = [max(pad, 0) for pad in wanted]
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return less + more if mode == "SAME_UPPER" else more + less
