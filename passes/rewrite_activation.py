"""Fuse the activation behind a reuse node into it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import onnx_ir as ir

from reuse_compiler.operators import Activation, read_activation, reuse_nodes

__all__ = ["FuseActivation"]


@dataclass(frozen=True)
class FuseActivation(ir.passes.InPlacePass):
    """Fuse the node that alone reads the y of a reuse node into it where it is ``min(max(z, z * slope), maximum)``.

    1. Relu: slope 0.
    2. LeakyRelu: slope alpha, where that is 0 to 1.
    3. Clip with constant min 0: slope 0, and its max where that is constant and above 0, or none.
    4. A y that is also an output of the graph stays, and so does its activation.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fuse in place."""
        modified = False
        for node in reuse_nodes(model):
            uses = list(node.outputs[0].uses())
            if len(uses) != 1 or node.outputs[0].is_graph_output() or read_activation(node) != Activation():
                continue
            reader = uses[0].node
            activation = _activation(reader) if uses[0].idx == 0 and reader.graph is node.graph else None
            if activation is not None:
                _fuse(model.graph, node, reader, activation)
                modified = True
        return ir.passes.PassResult(model, modified)


def _activation(node: ir.Node) -> Activation | None:
    if node.domain:
        return None
    if node.op_type == "Relu":
        return Activation(slope=0.0)
    if node.op_type == "LeakyRelu":
        slope = node.attributes.get_float("alpha", 0.01)
        return Activation(slope=slope) if 0 <= slope <= 1 else None
    if node.op_type == "Clip":
        minimum, maximum = _bound(node, 1, -inf), _bound(node, 2, inf)
        if minimum is not None and maximum is not None and minimum == 0 < maximum:
            return Activation(slope=0.0, maximum=maximum)
    return None


def _bound(node: ir.Node, position: int, absent: float) -> float | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    if value is None:
        return absent
    return None if value.const_value is None else float(value.const_value.numpy().item())


def _fuse(graph: ir.Graph, node: ir.Node, reader: ir.Node, activation: Activation) -> None:
    y, activated = node.outputs[0], reader.outputs[0]
    name = activated.name
    ir.convenience.replace_all_uses_with(activated, y, replace_graph_outputs=True)
    graph.remove(reader, safe=True)
    y.name = name
    node.attributes["activation_slope"] = ir.AttrFloat32("activation_slope", activation.slope)
    node.attributes["activation_max"] = ir.AttrFloat32("activation_max", activation.maximum)
