"""Remove nodes that hand their input on unchanged."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["RemoveIdentities"]


@dataclass(frozen=True)
class RemoveIdentities(ir.passes.InPlacePass):
    """Remove ``y = f(x)`` from the top graph where y is x.

    1. f is Identity; Dropout outside training whose mask nobody uses; Cast to the type that x has; Reshape, Flatten or
       Expand to the fixed shape that x has.
    2. Where y is no graph output, its uses become uses of x.
    3. Where y is a graph output, a node of the top graph produces x and x is no graph output itself, x takes the name
       of y, so that the names of the outputs stay.
    4. Otherwise the node stays.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove in place. Shapes must have been inferred for the reshaping nodes to be seen."""
        removed = [node for node in model.graph if _is_identity(node) and _bypass(node)]
        return ir.passes.PassResult(model, bool(removed))


def _is_identity(node: ir.Node) -> bool:
    if node.domain != "" or not node.inputs or node.inputs[0] is None:
        return False
    x, y = node.inputs[0], node.outputs[0]
    match node.op_type:
        case "Identity":
            return True
        case "Dropout":
            return _is_inference(node) and not any(mask.uses() or mask.is_graph_output() for mask in node.outputs[1:])
        case "Cast":
            return x.dtype is not None and x.dtype == y.dtype
        case "Reshape" | "Flatten" | "Expand":
            return x.shape is not None and y.shape is not None and x.shape.is_static() and x.shape == y.shape
        case _:
            return False


def _is_inference(node: ir.Node) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    if training is None:
        return True
    return training.const_value is not None and not training.const_value.numpy().any()


def _bypass(node: ir.Node) -> bool:
    """Take `node` out by rules 2 and 3; whether one of them holds."""
    graph = node.graph
    x, y = node.inputs[0], node.outputs[0]
    assert isinstance(graph, ir.Graph) and x is not None
    if not y.is_graph_output():
        ir.convenience.replace_all_uses_with(y, x)
        graph.remove(node, safe=True)
        return True
    producer = x.producer()
    if producer is None or producer.graph is not graph or x.is_graph_output():
        return False
    name = y.name
    y.name = f"{name}_removed"
    ir.convenience.replace_all_uses_with(y, x, replace_graph_outputs=True)
    x.name = name
    graph.remove(node, safe=True)
    return True
