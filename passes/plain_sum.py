"""Write Sum of one or two tensors as what it is."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["PlainSum"]


@dataclass(frozen=True)
class PlainSum(ir.passes.InPlacePass):
    """In the top graph, Sum of one tensor becomes Identity and Sum of two Add, under the same name."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace in place."""
        sums = [node for node in model.graph if (node.domain, node.op_type) == ("", "Sum") and len(node.inputs) <= 2]
        for node in sums:
            node.op_type = "Identity" if len(node.inputs) == 1 else "Add"
        return ir.passes.PassResult(model, bool(sums))
