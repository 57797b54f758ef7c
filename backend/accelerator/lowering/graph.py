"""Read a model into layers: what each node computes, in the terms of the instruction set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Binary, Pooling, Special
from reuse_compiler.backend.accelerator.lowering.host import HostSpec, operands, read_host
from reuse_compiler.backend.accelerator.shapes import broadcast_axes, constant, padded, shape_of
from reuse_compiler.backend.accelerator.supported import ALIASES, BINARY, FUNCTIONS, verdict
from reuse_compiler.errors import ModelError
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.operators import Activation, is_reuse, read_activation, read_conv, read_quantizer
from reuse_compiler.quantizers import LinearQuantizer

__all__ = [
    "AliasSpec",
    "ConcatSpec",
    "ConvSpec",
    "ElementwiseSpec",
    "FcSpec",
    "FunctionSpec",
    "HostSpec",
    "Layer",
    "LayerGraph",
    "PoolSpec",
    "Spec",
    "Tensor",
    "read_graph",
]

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """A value that is computed at run time."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ConvSpec:
    """A convolution; the geometry has three spatial axes, unused ones last. W is in ONNX layout with these axes."""

    geometry: ConvGeometry
    weight: Float
    bias: Float
    activation: Activation
    quantizer: LinearQuantizer | None


@dataclass(frozen=True)
class FcSpec:
    """A fully connected layer: [rows, inputs] times an input-major W [inputs, outputs]."""

    rows: int
    inputs: int
    outputs: int
    weight: Float
    bias: Float
    activation: Activation
    quantizer: LinearQuantizer | None


@dataclass(frozen=True)
class FunctionSpec:
    """An element-wise function of one operand."""

    function: Special
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True)
class PoolSpec:
    """A pooling layer with three spatial axes; `geometry` has the window as its kernel."""

    pooling: Pooling
    geometry: ConvGeometry
    out_shape: tuple[int, ...]


@dataclass(frozen=True)
class ElementwiseSpec:
    """An element-wise function of two operands over at most four axes; strides in elements, zero where repeated."""

    function: Binary
    swapped: bool
    constant: Float | None
    sizes: tuple[int, ...]
    a_strides: tuple[int, ...]
    b_strides: tuple[int, ...]


@dataclass(frozen=True)
class ConcatSpec:
    """Concatenation: `outer` rows, of each operand `widths[i]` elements a row."""

    outer: int
    widths: tuple[int, ...]


@dataclass(frozen=True)
class AliasSpec:
    """A change of shape alone: the output is the input's memory."""


Spec = ConvSpec | FcSpec | FunctionSpec | PoolSpec | ElementwiseSpec | ConcatSpec | AliasSpec | HostSpec


@dataclass(frozen=True)
class Layer:
    """One node: its name, operator, run-time operands, and what it computes."""

    name: str
    op: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    spec: Spec


@dataclass(frozen=True)
class LayerGraph:
    """The layers in execution order, and the model's inputs and outputs (state of reuse sites left out)."""

    layers: tuple[Layer, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]  # those that are computed
    constants: dict[str, NDArray[Any]]  # outputs that are constants
    output_names: tuple[str, ...]  # of all outputs, in the model's order


def read_graph(model: ir.Model) -> LayerGraph:
    """The layers of a reuse model (or of a model without reuse) in the order that the schedule gives."""
    state = _state_names(model)
    nodes = _schedule(model)
    layers = _fuse([_layer(node) for node in nodes], {value.name for value in model.graph.outputs})
    graph_inputs = [v for v in model.graph.inputs if v.name not in state and v.name not in model.graph.initializers]
    graph_outputs = [value for value in model.graph.outputs if value.name not in state]
    fixed = {str(value.name): constant(value) for value in graph_outputs}
    return LayerGraph(
        layers=tuple(layers),
        inputs=tuple(_tensor(value) for value in graph_inputs),
        outputs=tuple(_tensor(value) for value in graph_outputs if fixed[str(value.name)] is None),
        constants={name: array for name, array in fixed.items() if array is not None},
        output_names=tuple(fixed),
    )


def _state_names(model: ir.Model) -> set[str | None]:
    """Names of the graph inputs and outputs that hold the state of reuse sites."""
    names: set[str | None] = set()
    for node in filter(is_reuse, model.graph):
        names |= {value.name for value in (*node.inputs[1:3], *node.outputs[1:3]) if value is not None}
    return names


def _schedule(model: ir.Model) -> list[ir.Node]:
    """Topological order, ties in the order of the file."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    nodes = list(model.graph)
    number = {id(node): i for i, node in enumerate(nodes)}
    graph.add_nodes_from(range(len(nodes)))
    for i, node in enumerate(nodes):
        for producer in node.predecessors():
            graph.add_edge(number[id(producer)], i)
    return [nodes[i] for i in nx.lexicographical_topological_sort(graph)]


def _tensor(value: ir.Value) -> Tensor:
    shape = shape_of(value)
    if shape is None or value.dtype is None:
        raise ModelError(f"tensor {value.name}: its shape is {value.shape}: give every axis a size (--shape)")
    if value.dtype == ir.DataType.STRING:
        raise ModelError(f"tensor {value.name}: it holds strings: the accelerator's memory holds numbers alone")
    return Tensor(str(value.name), shape, value.dtype.numpy().name)


def _layer(node: ir.Node) -> Layer:
    supported, _, _ = verdict(node)
    spec = _READERS[node.op_type](node) if supported else read_host(node)
    if isinstance(spec, HostSpec):
        data = operands(node)
    else:
        data = [
            value
            for value in (node.inputs[:1] if is_reuse(node) or node.op_type in ALIASES else node.inputs)
            if value is not None
        ]
    outputs = node.outputs[:1] if supported else [value for value in node.outputs if value.name]
    return Layer(
        name=str(node.name),
        op=node.op_type,
        inputs=tuple(_tensor(value) for value in data if constant(value) is None),
        outputs=tuple(_tensor(value) for value in outputs),
        spec=spec,
    )


def _fuse(layers: list[Layer], kept: set[str | None]) -> list[Layer]:
    """Fold a ramp into the dense CONV or FC whose only reader it is."""
    readers: dict[str, list[int]] = {}
    for i, layer in enumerate(layers):
        for tensor in layer.inputs:
            readers.setdefault(tensor.name, []).append(i)
    fused: dict[int, Layer] = dict(enumerate(layers))
    for i, layer in enumerate(layers):
        spec = layer.spec
        if not isinstance(spec, ConvSpec | FcSpec) or spec.activation != Activation() or spec.quantizer is not None:
            continue
        output = layer.outputs[0].name
        followers = readers.get(output, [])
        if output in kept or len(followers) != 1:
            continue
        follower = layers[followers[0]]
        if isinstance(follower.spec, FunctionSpec) and follower.spec.function is Special.RAMP:
            activation = Activation(follower.spec.alpha, follower.spec.beta)
            fused[i] = replace(layer, outputs=follower.outputs, spec=replace(spec, activation=activation))
            del fused[followers[0]]
    return [fused[i] for i in sorted(fused)]


# -------------------------------------------------------------------------------------------- one reader per operator


def _value(node: ir.Node, position: int) -> ir.Value:
    value = node.inputs[position]
    assert value is not None
    return value


def _shape(node: ir.Node, position: int = 0) -> tuple[int, ...]:
    shape = shape_of(_value(node, position))
    assert shape is not None
    return shape


def _array(node: ir.Node, position: int) -> Float | None:
    """The float32 constant at `position`, or None where there is none."""
    array = constant(node.inputs[position]) if len(node.inputs) > position else None
    return None if array is None else np.asarray(array, np.float32)


def _ints(node: ir.Node, name: str, default: list[int]) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints(name, default) or default)


def _conv_geometry(
    node: ir.Node, weight: tuple[int, ...], strides: tuple[int, ...], pads: tuple[int, ...], dilations: tuple[int, ...]
) -> ConvGeometry:
    shape = _shape(node)
    rank = len(shape) - 2
    return ConvGeometry(
        in_channels=shape[1],
        out_channels=weight[0],
        group=shape[1] // weight[1],
        in_shape=padded(shape[2:], 3),
        kernel=padded(weight[2:], 3),
        strides=padded(strides, 3),
        dilations=padded(dilations, 3),
        pads_begin=padded(pads[:rank], 3, 0),
        pads_end=padded(pads[rank:], 3, 0),
    )


def _reuse_conv(node: ir.Node) -> ConvSpec:
    weight, bias, attributes = _array(node, 3), _array(node, 4), read_conv(node)
    if weight is None or bias is None:
        raise ModelError(f"node {node.name}: W and B of a reuse operator must be constants")
    geometry = _conv_geometry(node, weight.shape, attributes.strides, attributes.pads, attributes.dilations)
    full = weight.reshape(*weight.shape[:2], *geometry.kernel)
    return ConvSpec(geometry, full, bias, read_activation(node), read_quantizer(node))


def _conv(node: ir.Node) -> ConvSpec:
    weight = _array(node, 1)
    assert weight is not None
    rank = weight.ndim - 2
    geometry = _conv_geometry(
        node,
        weight.shape,
        _ints(node, "strides", [1] * rank),
        _ints(node, "pads", [0] * 2 * rank),
        _ints(node, "dilations", [1] * rank),
    )
    bias = _array(node, 2)
    zeros = np.zeros(weight.shape[0], np.float32)
    full = weight.reshape(*weight.shape[:2], *geometry.kernel)
    return ConvSpec(geometry, full, zeros if bias is None else bias, Activation(), None)


def _fc(node: ir.Node, weight: Float, bias: Float, activation: Activation, quantizer: LinearQuantizer | None) -> FcSpec:
    shape = _shape(node)
    inputs, outputs = weight.shape
    return FcSpec(math.prod(shape) // inputs, inputs, outputs, weight, bias, activation, quantizer)


def _reuse_gemm(node: ir.Node) -> FcSpec:
    weight, bias = _array(node, 3), _array(node, 4)
    if weight is None or bias is None:
        raise ModelError(f"node {node.name}: W and B of a reuse operator must be constants")
    return _fc(node, weight, bias, read_activation(node), read_quantizer(node))


def _gemm(node: ir.Node) -> FcSpec:
    weight = _array(node, 1)
    assert weight is not None
    weight = weight.T if node.attributes.get_int("transB", 0) else weight
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    weight = weight if alpha == 1.0 else weight * np.float32(alpha or 0.0)
    bias = _array(node, 2)
    zeros = np.zeros(weight.shape[1], np.float32)
    bias = zeros if bias is None else np.float32(1.0 if beta is None else beta) * bias
    return _fc(node, weight, np.broadcast_to(bias.reshape(-1), zeros.shape), Activation(), None)


def _matmul(node: ir.Node) -> FcSpec:
    weight = _array(node, 1)
    assert weight is not None
    return _fc(node, weight, np.zeros(weight.shape[1], np.float32), Activation(), None)


def _function(node: ir.Node) -> FunctionSpec:
    attributes = node.attributes

    def real(name: str, default: float) -> float:
        value = attributes.get_float(name, default)
        return default if value is None else value

    def bound(position: int, default: float) -> float:
        array = _array(node, position)
        return default if array is None else float(array.reshape(-1)[0])

    match node.op_type:
        case "Relu":
            return FunctionSpec(Special.RAMP, 0.0, math.inf)
        case "LeakyRelu":
            return FunctionSpec(Special.RAMP, real("alpha", 0.01), math.inf)
        case "Clip" if bound(1, -math.inf) == 0:
            return FunctionSpec(Special.RAMP, 0.0, bound(2, math.inf))
        case "Clip":
            largest = float(np.finfo(np.float32).max)
            return FunctionSpec(Special.CLIP, bound(1, -largest), bound(2, largest))
        case "Elu":
            return FunctionSpec(Special.ELU, real("alpha", 1.0))
        case "HardSigmoid":
            return FunctionSpec(Special.HARD_SIGMOID, real("alpha", 0.2), real("beta", 0.5))
        case op:
            return FunctionSpec(Special[op.upper()])


def _pool(node: ir.Node) -> PoolSpec:
    shape, out = _shape(node), shape_of(node.outputs[0])
    assert out is not None
    rank = len(shape) - 2
    everything = list(shape[2:]) if node.op_type.startswith("Global") else [1] * rank
    pads = _ints(node, "pads", [0] * 2 * rank)
    geometry = ConvGeometry(
        in_channels=shape[1],
        out_channels=shape[1],
        group=shape[1],
        in_shape=padded(shape[2:], 3),
        kernel=padded(_ints(node, "kernel_shape", everything), 3),
        strides=padded(_ints(node, "strides", [1] * rank), 3),
        dilations=padded(_ints(node, "dilations", [1] * rank), 3),
        pads_begin=padded(pads[:rank], 3, 0),
        pads_end=padded(pads[rank:], 3, 0),
    )
    if node.op_type.endswith("MaxPool"):
        pooling = Pooling.MAX
    else:
        pooling = Pooling.AVERAGE_PADDED if node.attributes.get_int("count_include_pad", 0) else Pooling.AVERAGE
    return PoolSpec(pooling, geometry, padded(out[2:], 3))


def _elementwise(node: ir.Node) -> ElementwiseSpec:
    out = shape_of(node.outputs[0])
    assert out is not None
    first, second = _array(node, 0), _array(node, 1)
    swapped = first is not None
    a, b = (_shape(node, 1), _shape(node, 0)) if swapped else (_shape(node, 0), _shape(node, 1))
    sizes, a_strides, b_strides = broadcast_axes(a, b, out)
    return ElementwiseSpec(
        Binary[node.op_type.upper()], swapped, first if swapped else second, sizes, a_strides, b_strides
    )


def _concat(node: ir.Node) -> ConcatSpec:
    out = shape_of(node.outputs[0])
    assert out is not None
    axis = node.attributes["axis"].as_int() % len(out)
    shapes = [_shape(node, position) for position in range(len(node.inputs))]
    return ConcatSpec(math.prod(out[:axis]), tuple(math.prod(shape[axis:]) for shape in shapes))


_READERS: Mapping[str, Callable[[ir.Node], Spec]] = {
    "ReuseConv": _reuse_conv,
    "ReuseGemm": _reuse_gemm,
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _pool,
    "GlobalMaxPool": _pool,
    "Concat": _concat,
    **dict.fromkeys(ALIASES, lambda node: AliasSpec()),
    **dict.fromkeys(FUNCTIONS, _function),
    **dict.fromkeys(BINARY, _elementwise),
}
