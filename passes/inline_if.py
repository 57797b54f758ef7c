"""Put the branch of an If whose condition is known in its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["InlineIf"]


@dataclass(frozen=True)
class InlineIf(ir.passes.InPlacePass):
    """Replace every If of the top graph with a constant condition by the nodes of the branch that it takes.

    1. Nodes and initializers of the branch move into the top graph. A tensor keeps its name unless another has it.
    2. The outputs of the If keep their names: an Identity leads to each, for
       :class:`~reuse_compiler.passes.remove_identities.RemoveIdentities` to remove.
    3. An If inside the branch is then one of the top graph.

    Needs constants folded.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Inline in place."""
        inlined = 0
        while (node := next((node for node in model.graph if _condition(node) is not None), None)) is not None:
            _inline(model.graph, node)
            inlined += 1
        return ir.passes.PassResult(model, inlined > 0)


def _condition(node: ir.Node) -> bool | None:
    """The condition of an If where it is a constant."""
    if (node.domain, node.op_type) != ("", "If") or node.inputs[0] is None:
        return None
    value = node.inputs[0]
    if not value.is_initializer() or value.const_value is None or value.const_value.size != 1:
        return None
    return bool(value.const_value.numpy().item())


def _inline(graph: ir.Graph, node: ir.Node) -> None:
    branch = node.attributes["then_branch" if _condition(node) else "else_branch"].as_graph()
    taken = set(_names(graph, node))
    outputs = list(branch.outputs)
    branch.outputs.clear()
    for value in list(branch.initializers.values()):
        branch.initializers.pop(str(value.name))
        value.name = _free(str(value.name), taken)
        graph.register_initializer(value)
    nodes = list(branch)
    branch.remove(nodes)
    for value in (value for moved in nodes for value in moved.outputs if value.name):
        value.name = _free(str(value.name), taken)
    graph.insert_before(node, nodes)
    for old, new in zip(node.outputs, outputs, strict=True):
        name, old.name = old.name, None
        value = ir.Value(name=name, type=old.type, shape=old.shape)
        graph.insert_before(node, ir.Node("", "Identity", [new], outputs=[value]))
        ir.convenience.replace_all_uses_with(old, value, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    for left in [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]:
        for unused in ir.traversal.RecursiveGraphIterator(left):
            unused.resize_inputs(0)  # else what it reads counts as used


def _names(graph: ir.Graph, without: ir.Node) -> Iterator[str | None]:
    """Names of the tensors of `graph` and of all bodies in it but those of one node."""
    yield from (value.name for value in graph.inputs)
    yield from graph.initializers
    for node in graph:
        yield from (value.name for value in node.outputs)
        if node is without:
            continue
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _names(attribute.as_graph(), without)
            elif attribute.type == ir.AttributeType.GRAPHS:
                for body in attribute.as_graphs():
                    yield from _names(body, without)


def _free(wanted: str, taken: set[str | None]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name
