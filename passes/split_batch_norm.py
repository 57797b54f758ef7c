"""Write a batch normalization that no layer could take as a multiplication and an addition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reuse_compiler.passes.affine import Affine, batch_norm
from reuse_compiler.passes.initializers import NewInitializers

__all__ = ["SplitBatchNorm"]


@dataclass(frozen=True)
class SplitBatchNorm(ir.passes.InPlacePass):
    """Replace float32 BatchNormalization in the top graph by a Mul and an Add of one constant per channel.

    It must be outside training, with constant statistics that give finite float32 factors, and an input of known rank.
    The Add has the name and the output of the node that it replaces. Needs shapes inferred.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace in place."""
        norms = [node for node in model.graph if (node.domain, node.op_type) == ("", "BatchNormalization")]
        new = NewInitializers(model.graph)
        split = [node for node in norms if _split(model.graph, node, new)]
        return ir.passes.PassResult(model, bool(split))


def _split(graph: ir.Graph, node: ir.Node, new: NewInitializers) -> bool:
    x, y, affine = node.inputs[0], node.outputs[0], batch_norm(node)
    if x is None or x.dtype != ir.DataType.FLOAT or x.shape is None or len(x.shape) < 2:
        return False
    if affine is None or not affine.is_finite:
        return False
    scale, shift = _constants(new, node, affine, len(x.shape))
    product = ir.Value(name=new.free_name(f"{y.name}_scaled"), type=x.type, shape=x.shape)
    name = y.name
    y.name = None
    total = ir.Value(name=name, type=y.type, shape=y.shape)
    mul = ir.Node("", "Mul", [x, scale], outputs=[product], name=product.name)
    add = ir.Node("", "Add", [product, shift], outputs=[total], name=node.name)
    graph.insert_before(node, [mul, add])
    ir.convenience.replace_all_uses_with(y, total, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return True


def _constants(new: NewInitializers, node: ir.Node, affine: Affine, rank: int) -> tuple[ir.Value, ir.Value]:
    """Scale and shift as initializers that lie along axis 1."""
    along = (-1, *[1] * (rank - 2))
    return (
        new.add(f"{node.name}_scale", affine.scale.astype(np.float32).reshape(along)),
        new.add(f"{node.name}_shift", affine.shift.astype(np.float32).reshape(along)),
    )
