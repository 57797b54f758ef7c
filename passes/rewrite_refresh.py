"""From a reuse model to the network that computes its linear outputs anew from held indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from reuse_compiler.operators import DOMAIN, past_linear_name, read_conv
from reuse_compiler.slots import Slot, model_slots

__all__ = ["LinearFromIndex"]


@dataclass(frozen=True)
class LinearFromIndex(ir.passes.InPlacePass):
    """Reduce a reuse model to what a refresh needs.

    1. The inputs are ``past_index_<node>``, the outputs ``past_linear_<node>``, of every site whose state outlives a
       frame.
    2. Each output is ``B + sum c(k) W`` of its indices, computed without an earlier linear output.
    3. All else goes, the functions too.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Reduce in place."""
        graph = model.graph
        inputs, outputs = [], []
        others = list(graph.all_nodes())
        for slot in model_slots(model):
            if slot.reverse:
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
    zero = _scalar(graph, f"zero_{slot.site}", slot.quantizer.zero)
    step = _scalar(graph, f"step_{slot.site}", slot.quantizer.step)
    number = ir.node("Cast", [slot.past_index], {"to": ir.DataType.FLOAT})
    steps = ir.node("Sub", [number.outputs[0], zero])
    centroid = ir.node("Mul", [steps.outputs[0], step])
    linear = ir.Value(
        name=past_linear_name(slot.site), type=ir.TensorType(ir.DataType.FLOAT), shape=slot.past_linear.shape
    )
    weight, bias = slot.weight, slot.bias
    if not node.op_type.startswith("ReuseConv"):
        product = ir.node("MatMul", [centroid.outputs[0], weight])
        return [number, steps, centroid, product, ir.node("Add", [product.outputs[0], bias], outputs=[linear])]
    conv = read_conv(node)
    geometry: dict[str, int | Sequence[int]] = {
        "strides": conv.strides,
        "pads": conv.pads,
        "dilations": conv.dilations,
        "group": conv.group,
    }
    if conv.output_padding is not None:
        geometry["output_padding"] = conv.output_padding
    op = "Conv" if conv.output_padding is None else "ConvTranspose"
    return [number, steps, centroid, ir.node(op, [centroid.outputs[0], weight, bias], geometry, outputs=[linear])]


def _scalar(graph: ir.Graph, name: str, number: float) -> ir.Value:
    tensor = ir.tensor(np.array(number, np.float32), name=name)
    value = ir.Value(name=name, const_value=tensor, shape=ir.Shape([]), type=ir.TensorType(ir.DataType.FLOAT))
    graph.register_initializer(value)
    return value
