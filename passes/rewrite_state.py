"""Make the state of reuse nodes inputs and outputs of the model."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.errors import ModelError
from reuse_compiler.operators import reuse_nodes

__all__ = ["ExposeState"]


@dataclass(frozen=True)
class ExposeState(ir.passes.InPlacePass):
    """Append the loose state of the reuse nodes to the model's inputs and outputs, in the order of the graph.

    1. Per node ``past_index_<node>`` and ``past_linear_<node>`` are appended to the inputs.
    2. Per node ``present_index_<node>`` and ``present_linear_<node>`` are appended to the outputs.
    3. State that is there already stays where it is.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Append in place. Raises ModelError where the model has another tensor of that name."""
        loose = [node for node in reuse_nodes(model) if not node.outputs[1].is_graph_output()]
        taken = _names(model.graph, {value for node in loose for value in _state(node)})
        for node in loose:
            for value in _state(node):
                if value.name in taken:
                    raise ModelError(f"tensor {value.name}: the name is needed for the state of {node.name}: rename it")
            model.graph.inputs.extend(_state(node)[:2])
            model.graph.outputs.extend(_state(node)[2:])
        return ir.passes.PassResult(model, bool(loose))


def _state(node: ir.Node) -> list[ir.Value]:
    past_index, past_linear = node.inputs[1:3]
    assert past_index is not None and past_linear is not None
    return [past_index, past_linear, *node.outputs[1:3]]


def _names(graph: ir.Graph, state: set[ir.Value]) -> set[str | None]:
    values = {*graph.inputs, *graph.initializers.values()}
    for node in graph.all_nodes():
        values.update(value for value in (*node.inputs, *node.outputs) if value is not None)
    return {value.name for value in values - state}
