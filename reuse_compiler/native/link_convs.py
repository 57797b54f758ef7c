"""Let CONVs read the linear outputs of the CONV before them, where the change of a frame is small and known."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.operators import DOMAIN, read_activation

__all__ = ["LinkConvs"]

_LINKED = {"ReuseConv": "LinkedConv", "ReuseConvTable": "LinkedConvTable"}


@dataclass(frozen=True)
class LinkConvs(ir.passes.InPlacePass):
    """Link reuse CONVs that read one another.

    1. A CONV whose x is the y of another one reads the linear outputs that this one keeps, and applies its activation itself;
       it is also told which pixels of them changed, and looks at no others.
    2. A y that nothing else reads is not computed.

    The linked operators are the kernel library's alone, and rest on its records of a stream; a file has none.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Link in place."""
        graph = model.graph
        convs = [node for node in graph if node.domain == DOMAIN and node.op_type in _LINKED]
        before = {node: node.inputs[0].producer() for node in convs if node.inputs[0] is not None}
        pairs = {node: other for node, other in before.items() if other in convs}
        made: dict[ir.Node, ir.Node] = {}
        for node in convs:
            if node in pairs or node in pairs.values():
                made[node] = _linked(graph, node, made[pairs[node]] if node in pairs else None)
        for node in made.values():
            for output in (node.outputs[0], node.outputs[3]):
                if not output.uses() and not output.is_graph_output():
                    output.name = ""
        return ir.passes.PassResult(model, bool(made))


def _linked(graph: ir.Graph, node: ir.Node, before: ir.Node | None) -> ir.Node:
    """The node with links in the place of `node`; `before` has the linear outputs that it reads."""
    x, *operands = node.inputs[:5]
    attributes = [*node.attributes.values(), ir.AttrInt64("linear", int(before is not None))]
    slope, maximum = 1.0, float("inf")
    moved = []
    if before is not None:
        activation = read_activation(before)
        slope, maximum = activation.slope, activation.maximum
        x, moved = before.outputs[2], [before.outputs[3]]
    attributes += [ir.AttrFloat32("before_slope", slope), ir.AttrFloat32("before_max", maximum)]
    new = ir.Node(DOMAIN, _LINKED[node.op_type], [x, *operands, *moved], attributes, num_outputs=4, name=node.name)
    graph.insert_before(node, new)
    for old, value in zip(node.outputs, new.outputs[:3], strict=True):
        value.name, value.type, value.shape = old.name, old.type, old.shape
        ir.convenience.replace_all_uses_with(old, value, replace_graph_outputs=True)
    new.outputs[3].name = f"moved {node.name}"
    graph.remove(node, safe=True)
    return new
