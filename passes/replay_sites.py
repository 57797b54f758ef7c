"""Feed the sites of a model from outside, and show what they would have read."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.passes.recurrent_call import replace_by_function
from reuse_compiler.passes.rewrite_weights import Weights
from reuse_compiler.recurrent import Layer
from reuse_compiler.sites import Site

__all__ = ["ReplaySites", "replayed_name", "seen_name"]


def replayed_name(node: str) -> str:
    """The graph input that the node of that name reads in place of its own."""
    return f"replayed_{node}"


def seen_name(site: str) -> str:
    """The graph output that shows what the steps of a recurrent site would have read."""
    return f"seen_{site}"


@dataclass(frozen=True)
class ReplaySites(ir.passes.InPlacePass):
    """Give each site an input of its own.

    1. The node of each site reads the new graph input ``replayed_<node>``, in the shape of what it read before.
    2. What it read before, and its linear output, become graph outputs, each tensor once; a graph input does not.
    3. A recurrent layer multiplies the given tensors, time first; ``seen_<site>`` shows what it would have multiplied,
       and the linear output of the site's last step is a graph output under the site's name for it.

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
        layers = {site.of: site.recurrent for site in self.sites if site.recurrent}
        for name, layer in layers.items():
            _replay_layer(model, nodes[name], layer)
        for site in self.sites:
            if site.recurrent:
                continue
            replayed = _given(site.node, site.shape)
            nodes[site.node].replace_input_with(0, replayed)
            graph.inputs.append(replayed)
            for name in (site.input, site.output):
                if name not in shown:
                    graph.outputs.append(values[name])
                    shown.add(name)
        return ir.passes.PassResult(model, bool(self.sites))


def _given(site: str, shape: tuple[int, ...]) -> ir.Value:
    return ir.Value(name=replayed_name(site), shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))


def _replay_layer(model: ir.Model, node: ir.Node, layer: Layer) -> None:
    """Let a recurrent layer multiply what is given, and show what it would have multiplied."""
    name = str(node.name)
    shapes = {operand: (layer.steps, layer.batch, layer.width(operand)) for operand in layer.operands}
    given = {f"centroid_{operand}": _given(f"{name}.{operand}", shape) for operand, shape in shapes.items()}
    model.graph.inputs.extend(given.values())
    made = replace_by_function(model, node, layer, "replay", given, [], Weights(model.graph))
    for operand, shape in shapes.items():
        seen, linear = made[f"seen_{operand}"], made[f"linear_{operand}"]
        seen.name, seen.shape = seen_name(f"{name}.{operand}"), ir.Shape(shape)
        linear.name = f"{name}.{operand} linear"
        linear.shape = ir.Shape((layer.batch, layer.outputs(operand)))
        for value in (seen, linear):
            value.type = ir.TensorType(ir.DataType.FLOAT)
            model.graph.outputs.append(value)
