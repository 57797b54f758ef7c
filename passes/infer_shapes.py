"""Infer the shape and type of every tensor of the top graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from reuse_compiler.passes.weightless import without_weights
from reuse_compiler.runtime_judge import refusal

__all__ = ["InferShapes"]

_LIKE_INPUT = frozenset({("", "GroupNormalization"), ("", "MeanVarianceNormalization")})


@dataclass(frozen=True)
class InferShapes(ir.passes.InPlacePass):
    """Infer shapes forward from the graph's inputs.

    1. What the file declares of a tensor that a node produces is set aside: files are wrong there, above all once the
       batch is bound.
    2. An error of onnx's inference is an error of the model only if onnxruntime does not take it either; else the
       outputs of that node stay unknown.
    3. Where inference leaves a tensor without rank or a dimension open, a size that is declared fills in.
    4. What GroupNormalization and MeanVarianceNormalization give is as their input; onnx does not infer them.

    Raises ValueError with the message of onnx where a node's inputs contradict its operator.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Infer in place."""
        values = {str(value.name): value for node in model.graph for value in node.outputs if value.name}
        declared = {name: value.shape for name, value in values.items()}
        for node in model.graph.all_nodes():
            for value in node.outputs:
                value.shape = None
        _adopt(values, _infer(model))
        if _fill(values, declared):
            _adopt(values, _infer(model))
        for _ in model.graph:  # one of them may stand behind another
            if not _normalized(model.graph):
                break
            _adopt(values, _infer(model))
        return ir.passes.PassResult(model, any(declared[name] != value.shape for name, value in values.items()))


def _infer(model: ir.Model) -> ir.Graph:
    with without_weights(model) as proto:
        try:
            inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
        except (onnx.shape_inference.InferenceError, RuntimeError) as error:
            if refusal(proto) is not None:
                raise ValueError(str(error)) from error
            inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    return ir.from_proto(inferred).graph


def _adopt(values: Mapping[str, ir.Value], inferred: ir.Graph) -> None:
    for node in inferred:
        for source in node.outputs:
            value = values.get(str(source.name))
            if value is None:
                continue
            value.shape = source.shape
            if source.type is not None:
                value.type = source.type


def _normalized(graph: ir.Graph) -> bool:
    """Give the outputs that rule 4 speaks of the shape and type of the input; whether there were any."""
    found = [
        (node.outputs[0], source)
        for node in graph
        if (node.domain, node.op_type) in _LIKE_INPUT
        and (source := node.inputs[0]) is not None
        and source.shape is not None
        and node.outputs[0].shape is None
    ]
    for value, source in found:
        value.shape, value.type = source.shape, source.type
    return bool(found)


def _fill(values: Mapping[str, ir.Value], declared: Mapping[str, ir.Shape | None]) -> bool:
    """Fill open dimensions from the declared sizes; whether there were any."""
    filled = False
    for name, value in values.items():
        known = declared[name]
        if known is None or (value.shape is not None and (value.shape.is_static() or len(value.shape) != len(known))):
            continue
        now = list(value.shape) if value.shape is not None else [ir.SymbolicDim(None)] * len(known)
        dims = [old if isinstance(old, int) else new for old, new in zip(now, known, strict=True)]
        dims = [dim if isinstance(dim, int) else ir.SymbolicDim(None) for dim in dims]
        if value.shape is None or any(isinstance(d, int) != isinstance(n, int) for d, n in zip(dims, now, strict=True)):
            value.shape = ir.Shape(dims)
            filled = True
    return filled
