"""Slots: the sites of reuse nodes, each with the values of the graph that hold its state.

A ReuseGemm or ReuseConv has one, called like the node. A recurrent node has one for each operand, called ``<node>.x``,
``<node>.h`` and ``<node>.r``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError
from reuse_compiler.operators import DOMAIN, initial_index, initial_linear, is_reuse, read_quantizer
from reuse_compiler.quantizers import Index, Quantizer
from reuse_compiler.recurrent import OPERATORS

__all__ = ["Slot", "is_recurrent_reuse", "model_slots", "slots"]


@dataclass(frozen=True)
class Slot:
    """One site of a reuse node.

    Parameters
    ----------
    site : str
        Its name.
    node : onnx_ir.Node
    quantizer : Quantizer
    past_index, past_linear, present_index, present_linear, weight, bias : onnx_ir.Value
        Operands and outputs of the node that belong to the site.
    steps : onnx_ir.Value or None
        Of a recurrent node: the indices held after each step, time first.
    reverse : bool
        Of a recurrent node whose steps run backwards: its state does not outlive a run, and its past is a constant.
    """

    site: str
    node: ir.Node
    quantizer: Quantizer
    past_index: ir.Value
    past_linear: ir.Value
    present_index: ir.Value
    present_linear: ir.Value
    weight: ir.Value
    bias: ir.Value
    steps: ir.Value | None = None
    reverse: bool = False

    @property
    def initial_index(self) -> Index:
        """The zero index everywhere, in the shape of the state: a read-only view."""
        if self.steps is None:
            return initial_index(self.node)
        shape = _shape(self.node, self.past_index)
        return np.broadcast_to(np.array(self.quantizer.zero, self.quantizer.index_dtype), shape)

    @property
    def initial_linear(self) -> NDArray[np.float32]:
        """The bias in the shape of the state: a read-only view."""
        if self.steps is None:
            return initial_linear(self.node)
        if self.bias.const_value is None:
            raise ModelError(f"node {self.node.name}: a bias is not an initializer: compile the model again")
        return np.broadcast_to(self.bias.const_value.numpy(), _shape(self.node, self.past_linear))


def is_recurrent_reuse(node: ir.Node) -> bool:
    """Whether `node` is a ReuseLSTM, ReuseGRU or ReuseRNN of any kind."""
    return node.domain == DOMAIN and node.op_type.startswith(tuple(f"Reuse{kind}" for kind in OPERATORS))


def model_slots(model: ir.Model) -> list[Slot]:
    """The slots of all reuse nodes of the top graph, in its order."""
    return [slot for node in model.graph for slot in slots(node)]


def slots(node: ir.Node) -> list[Slot]:
    """The slots of `node`; none where it is no reuse node."""
    if is_reuse(node):
        _, past_index, past_linear, weight, bias = (_required(node, value) for value in node.inputs[:5])
        _, index, linear = node.outputs
        state = (past_index, past_linear, index, linear)
        return [Slot(str(node.name), node, read_quantizer(node), *state, weight, bias)]
    return list(_recurrent(node)) if is_recurrent_reuse(node) else []


def _recurrent(node: ir.Node) -> Iterator[Slot]:
    """By the order of :func:`reuse_compiler.recurrent_functions.signature`: X, a past pair for each operand, a weight
    and a bias for each; the outputs end with a present pair and the steps of each."""
    operands = [operand for operand in "xhr" if f"{operand}_step" in node.attributes]
    count = len(operands)
    given = [_required(node, value) for value in node.inputs[1 : 1 + 4 * count]]
    shown = node.outputs[len(node.outputs) - 3 * count :]
    for number, operand in enumerate(operands):
        pair, matrix = 2 * number, 2 * count + 2 * number
        yield Slot(
            site=f"{node.name}.{operand}",
            node=node,
            quantizer=read_quantizer(node, f"{operand}_"),
            past_index=given[pair],
            past_linear=given[pair + 1],
            present_index=shown[pair],
            present_linear=shown[pair + 1],
            weight=given[matrix],
            bias=given[matrix + 1],
            steps=shown[2 * count + number],
            reverse=bool(node.attributes["reverse"].as_int()),
        )


def _required(node: ir.Node, value: ir.Value | None) -> ir.Value:
    if value is None:
        raise ModelError(f"node {node.name}: an operand of a reuse operator is missing: compile the model again")
    return value


def _shape(node: ir.Node, value: ir.Value) -> tuple[int, ...]:
    if value.shape is None or not all(isinstance(size, int) for size in value.shape):
        raise ModelError(f"node {node.name}: its state {value.name} has no static shape: compile the model again")
    return tuple(value.shape.numpy())
