"""Write CastLike as the Cast that it is."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["PlainCast"]


@dataclass(frozen=True)
class PlainCast(ir.passes.InPlacePass):
    """In the top graph, CastLike to a type that is known becomes Cast, under the same name; what was only asked for its
    type is no longer read."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace in place. Types must have been inferred."""
        found = [
            (node, like.dtype)
            for node in model.graph
            if (node.domain, node.op_type) == ("", "CastLike")
            and (like := node.inputs[1]) is not None
            and like.dtype not in (None, ir.DataType.UNDEFINED)
        ]
        for node, dtype in found:
            node.op_type = "Cast"
            node.attributes.add(ir.AttrInt64("to", int(dtype or 0)))
            node.resize_inputs(1)
        return ir.passes.PassResult(model, bool(found))
