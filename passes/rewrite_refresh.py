"""From a reuse model to the network that computes its linear outputs anew from held indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from reuse_compiler.operators import DOMAIN, past_linear_name, read_conv, read_quantizer, reuse_nodes

__all__ = ["LinearFromIndex"]


@dataclass(frozen=True)
class LinearFromIndex(ir.passes.InPlacePass):
    """Reduce a reuse model to what a refresh needs.

    1. The inputs are ``past_index_<node>``, the outputs ``past_linear_<node>``, of every reuse node.
    2. Each output is ``B + sum c(k) W`` of its indices, computed without an earlier linear output.
    3. All else goes, the functions too.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Reduce in place."""
        graph = model.graph
        inputs, outputs = [], []
        others = list(graph.all_nodes())
        for node in reuse_nodes(model):
            steps = _dense(node, graph)
            graph.insert_before(node, steps)
            inputs.append(_value(node, 1))
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


def _dense(node: ir.Node, graph: ir.Graph) -> list[ir.Node]:
    """The nodes that compute the linear output of the reuse `node` from its past index."""
    quantizer = read_quantizer(node)
    zero = _scalar(graph, f"zero_{node.name}", quantizer.zero)
    step = _scalar(graph, f"step_{node.name}", quantizer.step)
    number = ir.node("Cast", [_value(node, 1)], {"to": ir.DataType.FLOAT})
    steps = ir.node("Sub", [number.outputs[0], zero])
    centroid = ir.node("Mul", [steps.outputs[0], step])
    linear = ir.Value(
        name=past_linear_name(str(node.name)), type=ir.TensorType(ir.DataType.FLOAT), shape=_value(node, 2).shape
    )
    weight, bias = _value(node, 3), _value(node, 4)
    if node.op_type == "ReuseGemm":
        product = ir.node("MatMul", [centroid.outputs[0], weight])
        return [number, steps, centroid, product, ir.node("Add", [product.outputs[0], bias], outputs=[linear])]
    conv = read_conv(node)
    geometry: dict[str, int | Sequence[int]] = {
        "strides": conv.strides,
        "pads": conv.pads,
        "dilations": conv.dilations,
        "group": conv.group,
    }
    return [number, steps, centroid, ir.node("Conv", [centroid.outputs[0], weight, bias], geometry, outputs=[linear])]


def _scalar(graph: ir.Graph, name: str, number: float) -> ir.Value:
    tensor = ir.tensor(np.array(number, np.float32), name=name)
    value = ir.Value(name=name, const_value=tensor, shape=ir.Shape([]), type=ir.TensorType(ir.DataType.FLOAT))
    graph.register_initializer(value)
    return value


def _value(node: ir.Node, position: int) -> ir.Value:
    value = node.inputs[position]
    assert value is not None
    return value
