"""What a node consists of whose operator ONNX defines by others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import helper, inliner, numpy_helper

from reuse_compiler.backend.accelerator.shapes import constant
from reuse_compiler.runtime_errors import RUNTIME_ERRORS

__all__ = ["definition"]

_DOMAIN = "definition"


def definition(node: ir.Node) -> list[ir.Node] | None:
    """The nodes that ONNX defines `node` by, in order, with what is constant computed and shapes inferred.

    The values of `node` have their names there; those between are called after it. None where onnx has no definition of
    the operator at this opset, or onnxruntime cannot compute it.
    """
    assert isinstance(node.graph, ir.Graph)
    version = node.graph.opset_imports.get("", 1)
    function = _function(node, version)
    if function is None:
        return None
    model = inliner.inline_local_functions(_calling(node, function, version))
    try:
        while len((simpler := _simplified(model)).graph.node) < len(model.graph.node):
            model = simpler  # a round computes constants, another what these leave constant
        simple = onnx.shape_inference.infer_shapes(simpler, data_prop=True)
    except RUNTIME_ERRORS:
        return None
    graph = ir.from_proto(simple).graph
    ends = {value.name for value in (*node.inputs, *node.outputs) if value is not None}
    for number, inner in enumerate(graph):
        inner.name = f"{node.name} step {number + 1}"
        for value in inner.outputs:
            if value.name and value.name not in ends:
                value.name = f"{node.name} step {number + 1} {value.name}"
    return list(graph)


def _function(node: ir.Node, version: int) -> onnx.FunctionProto | None:
    """The definition of the operator for this node; it may depend on its attributes and the types of its inputs."""
    if not onnx.defs.has(node.op_type, version, ""):
        return None
    schema: Any = onnx.defs.get_schema(node.op_type, version, "")
    types = [b"" if value is None else ir.to_proto(value).type.SerializeToString() for value in node.inputs]
    proto = ir.to_proto(node).SerializeToString()
    function = onnx.FunctionProto()
    for known in sorted(schema.context_dependent_function_opset_versions, reverse=True):
        if known <= version:
            function.ParseFromString(schema.get_context_dependent_function_with_opset_version(known, proto, types))
            return function
    return schema.function_body if schema.has_function else None


def _calling(node: ir.Node, function: onnx.FunctionProto, version: int) -> onnx.ModelProto:
    """A model that calls the definition as a function of its own; a name is needed for whatever it takes and gives."""
    call, body = ir.to_proto(node), onnx.FunctionProto()
    body.CopyFrom(function)
    body.domain, body.name, call.domain, call.op_type = _DOMAIN, node.op_type, _DOMAIN, node.op_type
    for formal, actual in ((body.input, call.input), (body.output, call.output)):
        pairs = [(name, other) for name, other in zip(formal, _longer(actual, len(formal)), strict=True) if name]
        _replace(formal, [name for name, _ in pairs])
        _replace(actual, [other for _, other in pairs])
    declared = {*body.attribute, *(attribute.name for attribute in body.attribute_proto)}
    for attribute in [attribute for attribute in call.attribute if attribute.name not in declared]:
        call.attribute.remove(attribute)
    inputs = {str(value.name): value for value in node.inputs if value is not None}
    fixed = {name: array for name, value in inputs.items() if (array := constant(value)) is not None}
    graph = helper.make_graph(
        [call],
        "call",
        [ir.to_proto(value) for name, value in inputs.items() if name not in fixed],
        [ir.to_proto(value) for value in node.outputs if value.name],
        [numpy_helper.from_array(array, name) for name, array in fixed.items()],
    )
    opsets = [helper.make_opsetid("", version), helper.make_opsetid(_DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=[body], ir_version=10)


def _longer(names: Sequence[str], count: int) -> list[str]:
    """`names` with empty ones behind them, up to `count`."""
    return [*names, *[""] * (count - len(names))]


def _replace(names: Any, others: Sequence[str]) -> None:
    """Put `others` into a repeated field of a proto."""
    del names[:]
    names.extend(others)


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model as onnxruntime has it after what does not depend on its inputs is computed."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)
