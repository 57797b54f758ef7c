"""Give every node a unique name: its own, or its first output's where it has none."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["NameNodes"]


@dataclass(frozen=True)
class NameNodes(ir.passes.InPlacePass):
    """Name the nodes of the graph and of its subgraphs.

    1. A node with a name keeps it; of several with the same one the first keeps it.
    2. A node without a name takes the name of its first output that has one.
    3. A name that is taken gets the first free suffix ``_2``, ``_3``, ...
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Name the nodes in place."""
        nodes = list(model.graph.all_nodes())
        taken: set[str] = set()
        unnamed: list[ir.Node] = []
        for node in nodes:
            if node.name and node.name not in taken:
                taken.add(node.name)
            else:
                unnamed.append(node)
        for node in unnamed:
            base = node.name or next((value.name for value in node.outputs if value.name), None) or node.op_type
            node.name = _free(base, taken)
            taken.add(node.name)
        return ir.passes.PassResult(model, bool(unnamed))

    def ensures(self, model: ir.Model) -> None:
        """Every name is there and occurs once."""
        names = [node.name for node in model.graph.all_nodes()]
        if not all(names) or len(set(names)) != len(names):
            raise ir.passes.PostconditionError("a node has no name, or one that another has")


def _free(base: str, taken: set[str]) -> str:
    if base not in taken:
        return base
    number = 2
    while f"{base}_{number}" in taken:
        number += 1
    return f"{base}_{number}"
