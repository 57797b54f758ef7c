"""Multiply-accumulates of a model's nodes, for those that are no site as well."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:  # backends count with this module, and need neither
    from reuse_compiler.frontend import Model
    from reuse_compiler.sites import Site

__all__ = ["model_macs", "node_macs"]

Shape = tuple[int, ...]


def model_macs(model: Model, sites: Sequence[Site]) -> int:
    """Multiply-accumulates of one frame: those of `sites`, and those of every other node of the top graph."""
    by_node: Counter[str] = Counter()
    for site in sites:
        by_node[site.of] += site.macs
    return sum(by_node[node.name or ""] or node_macs(node) for node in model.ir.graph)


def node_macs(node: ir.Node) -> int:
    """Multiply-accumulates of one execution of a `node` that is no site; 0 where it has none or a shape is open.

    Products with padding count, since whoever executes the node computes them.
    """
    out = _shape(node.outputs[0]) if node.outputs else None
    shapes = [_shape(value) for value in node.inputs]
    if out is None or len(shapes) < 2 or shapes[0] is None or shapes[1] is None:
        return 0
    data, weight = shapes[0], shapes[1]
    match node.op_type:
        case "Conv":
            return math.prod(out) * math.prod(weight[1:])
        case "ConvTranspose":
            return math.prod(data) * math.prod(weight[1:])
        case "MatMul":
            return math.prod(out) * data[-1]
        case "Gemm":
            return math.prod(out) * (data[0] if node.attributes.get_int("transA", 0) else data[1])
        case "Attention" if len(data) == len(weight) and len(shapes) > 2 and shapes[2] is not None:
            return _attention(node, data, weight, shapes[2], shapes[4] if len(shapes) > 4 else None)
        case "LSTM" | "GRU" | "RNN" if shapes[2] is not None:
            return data[0] * data[1] * (math.prod(weight) + math.prod(shapes[2]))
    return 0


def _attention(node: ir.Node, q: Shape, k: Shape, v: Shape, past: Shape | None) -> int:
    """Of the products of queries and keys, and of probabilities and values, whatever a mask leaves of them."""
    if len(q) == 4:
        _, heads, queries, size = q
        keys, value_size = k[2], v[3]
    else:
        heads, kv_heads = (node.attributes.get_int(f"{kind}_num_heads", 1) or 1 for kind in ("q", "kv"))
        queries, size, keys, value_size = q[1], q[2] // heads, k[1], v[2] // kv_heads
    keys += past[2] if past is not None else 0
    return q[0] * heads * queries * keys * (size + value_size)


def _shape(value: ir.Value | None) -> Shape | None:
    if value is None or value.shape is None or any(not isinstance(dim, int) for dim in value.shape):
        return None
    return tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]
