"""Write the broadcasting of opsets before 7 as that of the later ones."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.passes.initializers import NewInitializers

__all__ = ["LegacyBroadcast"]

_BINARY = ("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor")
_NUMPY_LIKE = 7


@dataclass(frozen=True)
class LegacyBroadcast(ir.passes.InPlacePass):
    """Put an Unsqueeze before second operands of the top graph, where the opset is below 7, so that they align at the end.

    The converter of onnx aligns them wrongly.

    1. An Add, And, Div, Equal, Greater, Less, Mul, Or, Pow, Sub or Xor with `broadcast` and `axis` lays its second operand
       along the axes of the first from `axis` on.
    2. A PRelu with more than one slope lays them along axis 1.

    Raises ValueError where the rank of an operand is unknown.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; infers shapes for it."""
        if model.graph.opset_imports.get("", _NUMPY_LIKE) >= _NUMPY_LIKE:
            return ir.passes.PassResult(model, False)
        nodes = [node for node in model.graph if _axis(node) is not None]
        if nodes:
            InferShapes()(model)
        new = NewInitializers(model.graph)
        for node in nodes:
            _align(node, new)
        return ir.passes.PassResult(model, bool(nodes))


def _axis(node: ir.Node) -> int | None:
    """The axis of the first operand that the first one of the second belongs to; None where both end together."""
    if node.domain != "":
        return None
    if node.op_type == "PRelu":
        return 1
    if node.op_type in _BINARY and node.attributes.get_int("broadcast", 0) != 0:
        return node.attributes.get_int("axis", None)
    return None


def _align(node: ir.Node, new: NewInitializers) -> None:
    first, second = node.inputs[:2]
    axis = _axis(node)
    if first is None or second is None or first.shape is None or second.shape is None or axis is None:
        raise ValueError(f"node {node.name} ({node.op_type}): the rank of an operand is unknown: export it anew")
    rank, own = len(first.shape), len(second.shape)
    behind = rank - own - (axis + rank if axis < 0 else axis)
    for name in ("axis", "broadcast"):
        node.attributes.pop(name, None)
    if behind <= 0 or (node.op_type == "PRelu" and second.shape == (1,)):
        return
    assert isinstance(node.graph, ir.Graph)
    name = new.free_name(f"{node.name}_aligned")
    aligned = ir.Value(name=name, type=second.type, shape=ir.Shape([*second.shape, *[1] * behind]))
    axes = ir.AttrInt64s("axes", list(range(own, own + behind)))
    node.graph.insert_before(node, ir.Node("", "Unsqueeze", [second], [axes], outputs=[aligned]))
    node.replace_input_with(1, aligned)
