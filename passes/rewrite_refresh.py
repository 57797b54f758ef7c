"""From a reuse model to the network that computes its linear outputs anew from held indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from reuse_compiler.operators import DOMAIN, keeps_channels_last, past_linear_name, read_conv
from reuse_compiler.quantizers import TableQuantizer
from reuse_compiler.slots import Slot, model_slots
from reuse_compiler.state_layout import TO_CHANNELS_FIRST, TO_CHANNELS_LAST

__all__ = ["LinearFromIndex"]


@dataclass(frozen=True)
class LinearFromIndex(ir.passes.InPlacePass):
    """Reduce a reuse model to what a refresh needs.

    Parameters
    ----------
    sites : frozenset of str, optional
        Those to refresh; by default every site whose state outlives a frame.

    1. The inputs are ``past_index_<node>``, the outputs ``past_linear_<node>``, of `sites`.
    2. Each output is ``B + sum c(k) W`` of its indices, computed without an earlier linear output.
    3. All else goes, the functions too.
    """

    sites: frozenset[str] | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Reduce in place."""
        graph = model.graph
        inputs, outputs = [], []
        others = list(graph.all_nodes())
        for slot in model_slots(model):
            if slot.reverse or (self.sites is not None and slot.site not in self.sites):
                continue
            steps = _dense(slot, graph)
            graph.insert_before(slot.node, steps)
            inputs.append(slot.past_index)
            outputs.append(steps[-1].outputs[0])
        graph.outputs.clear()
        graph.outputs.extend(outputs)
        for node in others:  # those in subgraphs too: they would keep what they take from outside
            for position in range(len(node.inputs)):
                node.replace_input_with(position, None)
        common.RemoveUnusedNodesPass()(model)
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        model.functions.clear()
        graph.opset_imports.pop(DOMAIN, None)
        return ir.passes.PassResult(model, True)


def _dense(slot: Slot, graph: ir.Graph) -> list[ir.Node]:
    """The nodes that compute the linear output of a site from its past index."""
    node = slot.node
    dequantized = _centroids(slot, graph)
    centroid = dequantized[-1].outputs[0]
    linear = ir.Value(
        name=past_linear_name(slot.site), type=ir.TensorType(ir.DataType.FLOAT), shape=slot.past_linear.shape
    )
    weight, bias = slot.weight, slot.bias
    if not keeps_channels_last(node):
        product = ir.node("MatMul", [centroid, weight])
        return [*dequantized, product, ir.node("Add", [product.outputs[0], bias], outputs=[linear])]
    conv = read_conv(node)
    x = ir.node("Einsum", [centroid], {"equation": TO_CHANNELS_FIRST})
    y = ir.node(conv.op, [x.outputs[0], weight, bias], conv.attributes)
    return [*dequantized, x, y, ir.node("Einsum", y.outputs, {"equation": TO_CHANNELS_LAST}, outputs=[linear])]


def _centroids(slot: Slot, graph: ir.Graph) -> list[ir.Node]:
    """The nodes that compute c(k) of the past index."""
    quantizer = slot.quantizer
    if isinstance(quantizer, TableQuantizer):
        place = ir.node("Cast", [slot.past_index], {"to": ir.DataType.INT32})
        table = _constant(graph, f"centroids_{slot.site}", quantizer.centroids)
        return [place, ir.node("Gather", [table, place.outputs[0]])]
    number = ir.node("Cast", [slot.past_index], {"to": ir.DataType.FLOAT})
    steps = ir.node("Sub", [number.outputs[0], _constant(graph, f"zero_{slot.site}", quantizer.zero)])
    return [number, steps, ir.node("Mul", [steps.outputs[0], _constant(graph, f"step_{slot.site}", quantizer.step)])]


def _constant(graph: ir.Graph, name: str, numbers: float | Sequence[float]) -> ir.Value:
    array = np.array(numbers, np.float32)
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, const_value=tensor, shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.FLOAT))
    graph.register_initializer(value)
    return value
