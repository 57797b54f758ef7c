"""Show what the weights of recurrent layers multiply, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reuse_compiler.passes.recurrent_call import replace_by_function
from reuse_compiler.passes.rewrite_weights import Weights
from reuse_compiler.recurrent import Layer
from reuse_compiler.sites import Site

__all__ = ["ShowSteps"]


@dataclass(frozen=True)
class ShowSteps(ir.passes.InPlacePass):
    """Name the operands of recurrent sites after the sites' inputs: float32 [steps, batch, width].

    1. Where every step counts, and the hidden state is multiplied as it is, they are the layer's input, and its output
       one step later behind its initial state.
    2. Else the layer becomes a function with a Scan that gives them; of a row that has ended, what it held.
    3. Sites that read one tensor share it.

    Parameters
    ----------
    sites : tuple of Site
        Sites of the model.
    """

    sites: tuple[Site, ...]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Change the model in place."""
        nodes = {node.name: node for node in model.graph}
        first = {site.input: site for site in reversed(self.sites)}
        layers = {site.of: site.recurrent for site in self.sites if site.recurrent}
        for name, layer in layers.items():
            wanted = {site.operand: site.input for site in self.sites if site.of == name and first[site.input] is site}
            _show(model, nodes[name], layer, wanted)
        return ir.passes.PassResult(model, bool(layers))


def _show(model: ir.Model, node: ir.Node, layer: Layer, wanted: dict[str, str]) -> None:
    lengths = node.inputs[4] if len(node.inputs) > 4 else None
    if lengths is not None or layer.reset_first:
        made = replace_by_function(model, node, layer, "dense", {}, [], Weights(model.graph))
        for operand, name in wanted.items():
            made[f"seen_{operand}"].name = name
        return
    if "x" in wanted:
        x = node.inputs[0]
        model.graph.insert_after(node, ir.node("Identity", [x], outputs=[ir.Value(name=wanted["x"])]))
    if "h" in wanted:
        model.graph.insert_after(node, _hidden(model.graph, node, layer, wanted["h"]))


def _hidden(graph: ir.Graph, node: ir.Node, layer: Layer, name: str) -> list[ir.Node]:
    """The hidden state before each step."""
    weights = Weights(graph)
    axis = weights.constant("step_axis", np.array([1]))
    ends = (1, layer.steps) if layer.reverse else (0, layer.steps - 1)
    bounds = [weights.constant(f"step_{end}", np.array([end])) for end in ends]
    squeezed = ir.node("Squeeze", [node.outputs[0], axis])
    rest = ir.node("Slice", [squeezed.outputs[0], *bounds])
    initial = node.inputs[5] if len(node.inputs) > 5 else None
    if initial is None:
        initial = weights.constant(f"initial_{node.name}", np.zeros((1, layer.batch, layer.hidden), np.float32))
    parts = [rest.outputs[0], initial] if layer.reverse else [initial, rest.outputs[0]]
    return [squeezed, rest, ir.node("Concat", parts, {"axis": 0}, outputs=[ir.Value(name=name)])]
