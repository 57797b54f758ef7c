"""Give the constants that Range counts with no axes."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.passes.initializers import NewInitializers

__all__ = ["ScalarRange"]


@dataclass(frozen=True)
class ScalarRange(ir.passes.InPlacePass):
    """A constant of one element with axes that Range reads, in the top graph, becomes a constant without.

    ONNX asks for scalars there. Runtimes take one element of any rank as long as it is computed, and refuse it as a
    constant: without this, folding constants would turn a model that runs into one that does not.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace in place."""
        new = NewInitializers(model.graph)
        modified = False
        for node in model.graph:
            if (node.domain, node.op_type) != ("", "Range"):
                continue
            for position, value in enumerate(node.inputs):
                tensor = None if value is None else value.const_value
                if tensor is not None and tensor.size == 1 and len(tensor.shape):
                    node.replace_input_with(position, new.add(f"{tensor.name}_scalar", tensor.numpy().reshape(())))
                    modified = True
        return ir.passes.PassResult(model, modified)
