"""Make the state of reuse nodes inputs and outputs of the model."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.errors import ModelError
from reuse_compiler.slots import Slot, model_slots

__all__ = ["ExposeState"]


@dataclass(frozen=True)
class ExposeState(ir.passes.InPlacePass):
    """Append the loose state of the reuse nodes to the model's inputs and outputs, in the order of the graph.

    1. Per node ``past_index_<node>`` and ``past_linear_<node>`` are appended to the inputs.
    2. Per node ``present_index_<node>`` and ``present_linear_<node>`` are appended to the outputs.
    3. State that is there already stays where it is; of a site whose past is a constant ``present_linear_<node>`` alone
       is appended.
    4. What a recurrent site holds after each step, ``steps_index_<site>``, is appended to the outputs.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Append in place. Raises ModelError where the model has another tensor of that name."""
        loose = [slot for slot in model_slots(model) if not slot.present_linear.is_graph_output()]
        taken = _names(model.graph, {value for slot in loose for value in (*_past(slot), *_shown(slot))})
        for slot in loose:
            for value in (*_past(slot), *_shown(slot)):
                if value.name in taken:
                    raise ModelError(f"tensor {value.name}: the name is needed for the state of {slot.site}: rename it")
            model.graph.inputs.extend(_past(slot))
            model.graph.outputs.extend(_shown(slot))
        return ir.passes.PassResult(model, bool(loose))


def _past(slot: Slot) -> list[ir.Value]:
    """The inputs of a site's state."""
    return [] if slot.reverse else [slot.past_index, slot.past_linear]


def _shown(slot: Slot) -> list[ir.Value]:
    """The outputs of a site's state."""
    state = [slot.present_linear] if slot.reverse else [slot.present_index, slot.present_linear]
    return state if slot.steps is None else [*state, slot.steps]


def _names(graph: ir.Graph, state: set[ir.Value]) -> set[str | None]:
    values = {*graph.inputs, *graph.initializers.values()}
    for node in graph.all_nodes():
        values.update(value for value in (*node.inputs, *node.outputs) if value is not None)
    return {value.name for value in values - state}
