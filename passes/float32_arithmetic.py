"""Let models in half or double precision compute in float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reuse_compiler.errors import ModelError
from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.passes.initializers import NewInitializers
from reuse_compiler.passes.weightless import without_weights
from reuse_compiler.runtime_judge import refusal

__all__ = ["Float32Arithmetic"]

_LAYERS = ("Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN")
_HALVES = frozenset({ir.DataType.BFLOAT16, ir.DataType.FLOAT16})
_DOUBLE = frozenset({ir.DataType.DOUBLE})
_TYPE_ATTRIBUTES = ("dtype", "output_datatype", "output_dtype", "softmax_precision", "stash_type", "to")

Types = frozenset[ir.DataType]


@dataclass(frozen=True)
class Float32Arithmetic(ir.passes.InPlacePass):
    """Turn float16, bfloat16 and double into float32 wherever they occur, if a layer computes in one of them.

    1. A layer is a Conv, ConvTranspose, Gemm, MatMul, LSTM, GRU or RNN, in the graph or in a subgraph. float16 and bfloat16
       are converted if a layer has such data; double, if a layer has it and none has less: else it is there on purpose.
    2. Initializers, tensors in attributes, the types that attributes name, and the types of all values become float32.
    3. Inputs and outputs of the graph keep their type and name; a Cast stands behind or before each.
    4. The model stays also where an input or output of such data is no tensor, where it has a BitCast, or where onnxruntime
       does not take what comes out, as with operators of other domains that name types in their own way.

    Types must have been inferred; they are inferred anew. Raises ModelError where a constant is finite and not so in
    float32.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Convert in place."""
        chosen = _chosen(model)
        if not chosen or not _is_convertible(model, chosen):
            return ir.passes.PassResult(model, False)
        converted = model.clone()
        _Conversion(converted.graph, chosen).convert()
        try:
            InferShapes()(converted)
        except ValueError:
            return ir.passes.PassResult(model, False)
        with without_weights(converted) as proto:
            if refusal(proto) is not None:
                return ir.passes.PassResult(model, False)
        model.graph = converted.graph
        return ir.passes.PassResult(model, True)


def _chosen(model: ir.Model) -> Types:
    """The types to convert by rule 1."""
    layers = [node for node in model.graph.all_nodes() if node.domain == "" and node.op_type in _LAYERS]
    found = {x.dtype for node in layers if node.inputs and (x := node.inputs[0]) is not None}
    chosen = _HALVES if found & _HALVES else frozenset()
    return _DOUBLE if found >= _DOUBLE and not found & {*_HALVES, ir.DataType.FLOAT} else chosen


def _is_convertible(model: ir.Model, chosen: Types) -> bool:
    """Rule 4, as far as it is to be seen before."""
    ends = [*model.graph.inputs, *model.graph.outputs]
    if any(value.dtype in chosen and not isinstance(value.type, ir.TensorType) for value in ends):
        return False
    return not any(node.op_type == "BitCast" for node in model.graph.all_nodes())


@dataclass(frozen=True)
class _Conversion:
    """Of all values of `graph` and its subgraphs that have one of the types `chosen`."""

    graph: ir.Graph
    chosen: Types

    def convert(self) -> None:
        """Convert in place."""
        inputs = {value: value.dtype for value in self.graph.inputs if value.dtype in self.chosen}
        outputs = {value: value.dtype for value in self.graph.outputs if value.dtype in self.chosen}
        for value in _values(self.graph):
            self._convert_value(value)
        for node in self.graph.all_nodes():
            self._convert_attributes(node)
        new = NewInitializers(self.graph)
        for value, dtype in outputs.items():
            if value not in inputs and dtype is not None:
                _cast_output(self.graph, value, dtype, new)
        for value, dtype in inputs.items():
            if dtype is not None:
                _cast_input(self.graph, value, dtype, new)

    def _convert_value(self, value: ir.Value) -> None:
        if value.const_value is not None and value.const_value.dtype in self.chosen:
            value.const_value = _converted(value.const_value, f"initializer {value.name}")
        value.type = self._type(value.type)

    def _type(self, type_: ir.TypeProtocol | None) -> ir.TypeProtocol | None:
        if isinstance(type_, ir.TensorType | ir.SparseTensorType):
            return type(type_)(ir.DataType.FLOAT) if type_.dtype in self.chosen else type_
        if isinstance(type_, ir.SequenceType | ir.OptionalType):
            inner = self._type(type_.elem_type)
            assert inner is not None
            return type(type_)(inner)
        return type_

    def _convert_attributes(self, node: ir.Node) -> None:
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in self.chosen:
                tensor = _converted(attribute.as_tensor(), f"node {node.name} ({node.op_type})")
                node.attributes[name] = ir.AttrTensor(name, tensor)
            elif attribute.type == ir.AttributeType.INT and node.domain == "" and name in _TYPE_ATTRIBUTES:
                kept = attribute.as_int()
                node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT if kept in self.chosen else kept)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Every value of the graph and of its subgraphs, once."""
    yield from graph.inputs
    yield from (value for value in graph.initializers.values() if not value.is_graph_input())
    for node in graph:
        yield from node.outputs
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _values(attribute.as_graph())
            elif attribute.type == ir.AttributeType.GRAPHS:
                for body in attribute.as_graphs():
                    yield from _values(body)


def _converted(tensor: ir.TensorProtocol, where: str) -> ir.TensorProtocol:
    array = tensor.numpy()
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    beyond = np.isinf(single) & np.isfinite(array.astype(np.float64))
    if beyond.any():
        raise ModelError(
            f"{where}: its value {array[beyond].flat[0]!s} is beyond float32, in which the layers are computed:"
            " scale it down"
        )
    return ir.Tensor(single, name=tensor.name)


def _cast_input(graph: ir.Graph, value: ir.Value, dtype: ir.DataType, new: NewInitializers) -> None:
    name = new.free_name(f"{value.name}_float32")
    inside = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=value.shape)
    for use in tuple(value.uses()):
        use.node.replace_input_with(use.idx, inside)
    if inside.uses():
        graph.insert_before(graph[0], _cast(value, inside, ir.DataType.FLOAT))
    value.dtype = dtype


def _cast_output(graph: ir.Graph, value: ir.Value, dtype: ir.DataType, new: NewInitializers) -> None:
    outside = ir.Value(name=value.name, type=ir.TensorType(dtype), shape=value.shape)
    value.name = new.free_name(f"{value.name}_float32")
    graph.append(_cast(value, outside, dtype))
    for position, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[position] = outside


def _cast(source: ir.Value, target: ir.Value, dtype: ir.DataType) -> ir.Node:
    return ir.Node("", "Cast", [source], [ir.AttrInt64("to", dtype)], outputs=[target])
