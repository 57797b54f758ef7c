"""Feed the sites of a model from outside, and show what they would have read."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.sites import Site

__all__ = ["ReplaySites", "replayed_name"]


def replayed_name(node: str) -> str:
    """The graph input that the node of that name reads in place of its own."""
    return f"replayed_{node}"


@dataclass(frozen=True)
class ReplaySites(ir.passes.InPlacePass):
    """Give each site an input of its own.

    1. The node of each site reads the new graph input ``replayed_<node>``, in the shape of what it read before.
    2. What it read before, and its linear output, become graph outputs, each tensor once; a graph input does not.

    Parameters
    ----------
    sites : tuple of Site
        Sites of the model.
    """

    sites: tuple[Site, ...]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Change the model in place."""
        graph = model.graph
        nodes = {node.name: node for node in graph}
        values = {value.name: value for node in graph for value in node.outputs}
        shown = {value.name for value in (*graph.inputs, *graph.outputs)}
        for site in self.sites:
            replayed = ir.Value(
                name=replayed_name(site.node), shape=ir.Shape(site.shape), type=ir.TensorType(ir.DataType.FLOAT)
            )
            nodes[site.node].replace_input_with(0, replayed)
            graph.inputs.append(replayed)
            for name in (site.input, site.output):
                if name not in shown:
                    graph.outputs.append(values[name])
                    shown.add(name)
        return ir.passes.PassResult(model, bool(self.sites))
