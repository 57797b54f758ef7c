"""Which inputs of a conformance model are parameters, and the model with their values inside.

A node test gives every operand as an input of the graph: the weights of a Conv as much as its picture. A compiler is
given a model whose weights, shapes and axes are in the file. So an input that only ever goes where ONNX's schema says
that a parameter goes becomes an initializer, with the value that the test's own data set has for it. What the schema
lists first stays data whatever it is called, so that no model is left without an input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import onnx

__all__ = ["bound", "data_inputs"]

_PARAMETERS = frozenset(
    {
        *("W", "w", "b", "weight", "weights", "R", "P", "C", "scale", "Scale", "bias", "slope"),
        *("mean", "var", "input_mean", "input_var", "cos_cache", "sin_cache", "window"),
        *("x_scale", "w_scale", "y_scale", "a_scale", "b_scale"),
        *("x_zero_point", "w_zero_point", "y_zero_point", "a_zero_point", "b_zero_point"),
        *("shape", "axes", "axis", "pads", "constant_value", "starts", "ends", "steps", "repeats", "split", "k"),
        *("roi", "scales", "sizes", "size", "image_shape", "block_shape", "output_shape", "depth", "values"),
        *("min", "max", "ratio", "training_mode", "position", "sequence_lens", "dft_length", "frame_step"),
        *("frame_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz"),
        *("max_output_boxes_per_class", "iou_threshold", "score_threshold"),
    }
)
"""Names of formal inputs, as the schemas have them, that are parameters in every operator with an input of that name."""

_BY_OPERATOR: Mapping[str, Collection[str]] = {
    "B": (
        *("BatchNormalization", "Conv", "ConvTranspose", "DeformConv", "GRU", "Gemm", "InstanceNormalization"),
        *("LSTM", "LayerNormalization", "MatMul", "MatMulInteger", "QLinearConv", "RNN"),
    ),
    "K": ("TopK",),
    "indices": ("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"),
    "condition": ("Compress",),
}
"""Names that are parameters in these operators only: B is a weight there and an operand elsewhere, K a number and not keys."""


def data_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a run has to give, in the graph's order: those without an initializer."""
    fixed = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in fixed]


def bound(model: onnx.ModelProto, inputs: Mapping[str, Any]) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A copy of `model` with the parameters among `inputs` as initializers, and the inputs that stay."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    uses: dict[str, list[bool]] = {}
    for name, is_parameter in _uses(model.graph, _opsets(model)):
        uses.setdefault(name, []).append(is_parameter)
    fixed = {
        name for name, value in inputs.items() if isinstance(value, np.ndarray) and name in uses and all(uses[name])
    }
    kept = [value for value in result.graph.input if value.name not in fixed]
    del result.graph.input[:]
    result.graph.input.extend(kept)
    result.graph.initializer.extend(onnx.numpy_helper.from_array(inputs[name], name) for name in sorted(fixed))
    return result, {name: value for name, value in inputs.items() if name not in fixed}


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    return {entry.domain: entry.version for entry in model.opset_import}


def _uses(graph: onnx.GraphProto, opsets: Mapping[str, int]) -> Iterator[tuple[str, bool]]:
    """Every use of a name by a node, those in bodies too, and whether it is that of a parameter."""
    for node in graph.node:
        for position, name in enumerate(node.input):
            yield name, _is_parameter(node, position, opsets)
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
                yield from _uses(body, opsets)
    yield from ((output.name, False) for output in graph.output)


def _is_parameter(node: onnx.NodeProto, position: int, opsets: Mapping[str, int]) -> bool:
    if position == 0 or not onnx.defs.has(node.op_type, node.domain):
        return False
    schema = onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    formal = schema.inputs[min(position, len(schema.inputs) - 1)].name
    return formal in _PARAMETERS or node.op_type in _BY_OPERATOR.get(formal, ())
