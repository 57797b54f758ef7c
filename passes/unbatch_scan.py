"""Take the batch axis off the Scan of opset 8."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.passes.infer_shapes import InferShapes

__all__ = ["UnbatchScan"]

_BATCHED = 8  # the one opset whose Scan has a batch axis and sequence lengths


@dataclass(frozen=True)
class UnbatchScan(ir.passes.InPlacePass):
    """Prepare the Scan nodes of opset 8, in the top graph, for the conversion to a later opset.

    1. The first axis of every input, the batch, is squeezed away, and put back to every output.
    2. The values in between keep the shapes with a batch, as opset 8 has them: onnx's converter takes the first axis off.

    Raises ValueError, naming the node, where the batch is not 1 or there are sequence lengths.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        scans = [node for node in model.graph if (node.domain, node.op_type) == ("", "Scan")]
        if model.graph.opset_imports.get("") != _BATCHED or not scans:
            return ir.passes.PassResult(model, False)
        InferShapes()(model)
        for node in scans:
            _unbatch(model.graph, node)
        return ir.passes.PassResult(model, True)


def _unbatch(graph: ir.Graph, node: ir.Node) -> None:
    where = f"node {node.name} (Scan): opset {_BATCHED}"
    if node.inputs[0] is not None:
        raise ValueError(f"{where}: it has sequence lengths: export it with opset {_BATCHED + 1} or later")
    for position, value in enumerate(node.inputs):
        if value is None:
            continue
        if value.shape is None or value.shape[0] != 1:
            raise ValueError(f"{where}: {value.name} is not a batch of 1: export it with opset {_BATCHED + 1} or later")
        squeeze = ir.node("Squeeze", [value], {"axes": [0]})
        squeeze.outputs[0].name = f"{node.name}_{value.name}_unbatched_{position}"
        squeeze.outputs[0].type, squeeze.outputs[0].shape = value.type, value.shape
        graph.insert_before(node, squeeze)
        node.replace_input_with(position, squeeze.outputs[0])
    for number, value in enumerate(node.outputs):
        if not value.name:
            continue
        unsqueeze = ir.node("Unsqueeze", [], {"axes": [0]}, outputs=[_twin(value)])
        graph.insert_after(node, unsqueeze)
        ir.convenience.replace_all_uses_with(value, unsqueeze.outputs[0], replace_graph_outputs=True)
        value.name = f"{node.name}_unbatched_{number}"
        unsqueeze.resize_inputs(1)
        unsqueeze.replace_input_with(0, value)


def _twin(value: ir.Value) -> ir.Value:
    return ir.Value(name=value.name, type=value.type, shape=value.shape)
