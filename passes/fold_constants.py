"""Compute once, when compiling, what does not depend on the model's inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx_ir.passes import common

from reuse_compiler.passes.weightless import LARGE_BYTES
from reuse_compiler.runtime_errors import RUNTIME_ERRORS

__all__ = ["FoldConstants"]

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_FED = frozenset(np.dtype(name) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"))


@dataclass(frozen=True)
class FoldConstants(ir.passes.InPlacePass):
    """Turn nodes of the top graph whose value is known into initializers. The values are those that onnxruntime computes.

    1. Constant becomes an initializer.
    2. Shape and Size of a tensor of fixed shape are known.
    3. A node whose inputs are all initializers is known, except one that draws random numbers, has a subgraph, is not of
       ONNX itself, gives strings or no tensor, produces a graph output, or gives more than `max_bytes`.
    4. What onnxruntime cannot compute stays as it is.
    """

    max_bytes: int = 1 << 31

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in place. Shapes must have been inferred for rule 2 to see them."""
        modified = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).modified
        shaped = [node for node in model.graph if _is_shape_of_fixed(node)]
        for node in shaped:
            _initialize(model.graph, node.outputs[0], ir.Tensor(_shape_value(node), name=node.outputs[0].name))
            model.graph.remove(node, safe=True)
        foldable = self._foldable(model.graph)
        folded = len(foldable) > 0 and self._fold(model, foldable)
        return ir.passes.PassResult(model, modified or bool(shaped) or folded)

    def _foldable(self, graph: ir.Graph) -> list[ir.Node]:
        """Nodes that fall under rule 3, in topological order."""
        known: set[ir.Value] = set(graph.initializers.values())
        found = []
        for node in graph:
            if self._is_foldable(node) and all(value is None or value in known for value in node.inputs):
                known.update(node.outputs)
                found.append(node)
        return found

    def _is_foldable(self, node: ir.Node) -> bool:
        return (
            node.domain == ""
            and node.op_type not in _RANDOM
            and not any(
                attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values()
            )
            and not any(value.is_graph_output() for value in node.outputs)
            and all(_is_numeric(value) for value in node.outputs)
            and sum(_nbytes(value) for value in node.outputs) <= self.max_bytes
        )

    def _fold(self, model: ir.Model, nodes: Sequence[ir.Node]) -> bool:
        """Compute all nodes in one session; where that fails, one by one, so that the rest is folded."""
        try:
            _compute(model, nodes)
        except RUNTIME_ERRORS:
            folded = [self._fold_alone(model, node) for node in nodes]
            return any(folded)
        return True

    def _fold_alone(self, model: ir.Model, node: ir.Node) -> bool:
        if not all(value is None or value.const_value is not None for value in node.inputs):
            return False
        try:
            _compute(model, [node])
        except RUNTIME_ERRORS:
            return False
        return True


def _is_shape_of_fixed(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type not in ("Shape", "Size") or node.outputs[0].is_graph_output():
        return False
    source = node.inputs[0]
    return source is not None and source.shape is not None and source.shape.is_static()


def _shape_value(node: ir.Node) -> NDArray[np.int64]:
    source = node.inputs[0]
    assert source is not None and source.shape is not None
    dims = source.shape.numpy()
    if node.op_type == "Size":
        return np.array(math.prod(dims), np.int64)
    end = node.attributes.get_int("end", None)
    return np.array(dims[node.attributes.get_int("start", 0) : end], np.int64)


def _is_numeric(value: ir.Value) -> bool:
    return isinstance(value.type, ir.TensorType | None) and value.dtype != ir.DataType.STRING


def _nbytes(value: ir.Value) -> int:
    """Bytes of `value` where its type and shape are known, else 0."""
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return 0
    return math.ceil(math.prod(value.shape.numpy()) * value.dtype.itemsize)


def _compute(model: ir.Model, nodes: Sequence[ir.Node]) -> None:
    """Replace `nodes`, which depend on initializers and each other alone, by the values of their outputs."""
    inside = set(nodes)
    wanted = [
        value
        for node in nodes
        for value in node.outputs
        if value.name and any(use.node not in inside for use in value.uses())
    ]
    if wanted:
        tensors = _run(model, nodes, wanted)
        for value, tensor in zip(wanted, tensors, strict=True):
            _initialize(model.graph, value, tensor)
    for node in reversed(nodes):
        model.graph.remove(node, safe=True)


def _run(model: ir.Model, nodes: Sequence[ir.Node], wanted: Sequence[ir.Value]) -> list[ir.TensorProtocol]:
    """Values of `wanted`, computed by onnxruntime; large initializers are fed, so that the proto stays small."""
    sources = {value for node in nodes for value in node.inputs if value is not None and value.is_initializer()}
    fed: dict[str, NDArray[Any]] = {}
    initializers: list[ir.Value] = []
    inputs: list[ir.Value] = []
    for source in sources:
        tensor = source.const_value
        assert tensor is not None and source.name is not None
        dtype = np.dtype(tensor.dtype.numpy())
        bare = ir.Value(name=source.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()))
        if tensor.nbytes > LARGE_BYTES and dtype in _FED:
            fed[source.name] = tensor.numpy()
            inputs.append(bare)
        else:
            bare.const_value = tensor
            initializers.append(bare)
    known = {value.name: value for value in [*inputs, *initializers]}
    graph = ir.Graph(
        inputs,
        [],
        nodes=_copies(nodes, known),
        initializers=initializers,
        opset_imports=model.graph.opset_imports,
        name="fold",
    )
    graph.outputs.extend(known[value.name] for value in wanted)
    proto = ir.to_proto(ir.Model(graph, ir_version=model.ir_version))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    arrays = session.run([str(value.name) for value in wanted], fed)
    return [ir.Tensor(array, dtype=value.dtype, name=value.name) for value, array in zip(wanted, arrays, strict=True)]


def _copies(nodes: Iterable[ir.Node], known: dict[str | None, ir.Value]) -> list[ir.Node]:
    """Copies of `nodes` over the values `known` by name, to which their outputs are added."""
    copies = []
    for node in nodes:
        outputs = [ir.Value(name=value.name, type=value.type) for value in node.outputs]
        inputs = [None if value is None else known[value.name] for value in node.inputs]
        copies.append(ir.Node("", node.op_type, inputs, node.attributes.values(), outputs=outputs, name=node.name))
        known.update((value.name, value) for value in outputs)
    return copies


def _initialize(graph: ir.Graph, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Put an initializer of the same name in the place of `value`."""
    name = value.name
    value.name = f"{name}_before_folding"
    initializer = ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
    )
    ir.convenience.replace_all_uses_with(value, initializer)
    graph.register_initializer(initializer)
