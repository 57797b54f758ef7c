"""Layers that reuse cannot make faster on a CPU, however little changes."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.cpu_costs import LEAST_CHANGED, CpuCosts, LayerWork, conv_work, fc_work, reuse_ns, stock_ns
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.operators import is_reuse, read_conv
from reuse_compiler.slots import is_recurrent_reuse, slots

__all__ = ["never_faster"]


def never_faster(model: ir.Model, costs: CpuCosts) -> dict[str, str]:
    """By name of the reuse node of `model`, why it had better compute everything: with 5 % of its inputs changed, side by side, it
    takes longer than onnxruntime's own operator, by `costs`."""
    found = {}
    for node in model.graph:
        if not (is_reuse(node) or is_recurrent_reuse(node)):
            continue
        works = _works(node)
        stock = sum(stock_ns(work, costs) for work in works)
        reuse = sum(reuse_ns(work, LEAST_CHANGED, costs, side_by_side=True) for work in works)
        if reuse >= stock:
            found[str(node.name)] = (
                f"never faster: {reuse / 1e3:.1f} us with {LEAST_CHANGED:.0%} of its inputs changed,"
                f" {stock / 1e3:.1f} us in onnxruntime's operator"
            )
    return found


def _works(node: ir.Node) -> list[LayerWork]:
    """The work of each site of a node."""
    x = node.inputs[0]
    assert x is not None and x.shape is not None
    shape = x.shape.numpy()
    if is_recurrent_reuse(node):
        rows = shape[0] * shape[1]
        return [fc_work(rows, *_shape(slot.weight)) for slot in slots(node)]
    [slot] = slots(node)
    if node.op_type.startswith("ReuseGemm"):
        inputs, outputs = _shape(slot.weight)
        return [fc_work(max(1, _product(shape) // inputs), inputs, outputs)]
    conv, weight = read_conv(node), _shape(slot.weight)
    transposed = conv.output_padding is not None
    rank = len(shape) - 2
    geometry = ConvGeometry(
        in_channels=shape[1],
        out_channels=weight[1] * conv.group if transposed else weight[0],
        group=conv.group,
        in_shape=tuple(shape[2:]),
        kernel=weight[2:],
        strides=conv.strides,
        dilations=conv.dilations,
        pads_begin=conv.pads[:rank],
        pads_end=conv.pads[rank:],
        transposed=transposed,
        output_padding=conv.output_padding or (),
    )
    return [conv_work(geometry, shape[0])]


def _shape(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(value.shape.numpy())


def _product(sizes: tuple[int, ...]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
