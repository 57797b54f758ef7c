"""Read a model into layers, in the order of the schedule."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import networkx as nx
import onnx_ir as ir

from reuse_compiler.backend.accelerator.definitions import definition
from reuse_compiler.backend.accelerator.isa import Special
from reuse_compiler.backend.accelerator.lowering.host import operands, read_host
from reuse_compiler.backend.accelerator.lowering.readers import READERS, Reader
from reuse_compiler.backend.accelerator.lowering.readers.recurrent import read_recurrent_reuse
from reuse_compiler.backend.accelerator.lowering.readers.values import tensor
from reuse_compiler.backend.accelerator.lowering.specs import (
    ConvSpec,
    FcSpec,
    FunctionSpec,
    HostSpec,
    Layer,
    LayerGraph,
    Spec,
)
from reuse_compiler.backend.accelerator.shapes import constant
from reuse_compiler.backend.accelerator.supported import ALIASES, DEFINED, verdict
from reuse_compiler.operators import Activation, is_reuse
from reuse_compiler.slots import is_recurrent_reuse, model_slots

__all__ = ["read_graph"]


def read_graph(model: ir.Model, to_host: Collection[str] = ()) -> LayerGraph:
    """The layers of a reuse model (or of a model without reuse) in the order that the schedule gives.

    The nodes named in `to_host` run there, although the accelerator has instructions for them.
    """
    state = _state_names(model)
    nodes = _schedule(model)
    layers = [layer for node in nodes for layer in _layers(node, str(node.name) in to_host)]
    layers = _fuse(layers, {value.name for value in model.graph.outputs})
    graph_inputs = [v for v in model.graph.inputs if v.name not in state and v.name not in model.graph.initializers]
    graph_outputs = [value for value in model.graph.outputs if value.name not in state]
    fixed = {str(value.name): constant(value) for value in graph_outputs}
    return LayerGraph(
        layers=tuple(layers),
        inputs=tuple(tensor(value) for value in graph_inputs),
        outputs=tuple(tensor(value) for value in graph_outputs if fixed[str(value.name)] is None),
        constants={name: array for name, array in fixed.items() if array is not None},
        output_names=tuple(fixed),
    )


def _state_names(model: ir.Model) -> set[str | None]:
    """Names of the graph inputs and outputs that hold the state of reuse sites."""
    names: set[str | None] = set()
    for slot in model_slots(model):
        values = (slot.past_index, slot.past_linear, slot.present_index, slot.present_linear, slot.steps)
        names |= {value.name for value in values if value is not None}
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


def _layers(node: ir.Node, to_host: bool) -> Sequence[Layer]:
    """The layers of a node: one, or the parts that its reader makes of it."""
    supported = not to_host and verdict(node)[0]
    if supported and node.op_type in DEFINED:
        return _defined_layers(node)
    read = _reader(node)(node) if supported else read_host(node)
    if not isinstance(read, Spec):
        return read
    if isinstance(read, HostSpec):
        data = operands(node)
    else:
        first = is_reuse(node) or node.op_type in ALIASES
        data = [value for value in (node.inputs[:1] if first else node.inputs) if value is not None]
    outputs = node.outputs[:1] if supported else [value for value in node.outputs if value.name]
    layer = Layer(
        name=str(node.name),
        op=node.op_type,
        inputs=tuple(tensor(value) for value in data if constant(value) is None),
        outputs=tuple(tensor(value) for value in outputs),
        spec=read,
    )
    return [layer]


def _defined_layers(node: ir.Node) -> Sequence[Layer]:
    """The layers of what ONNX defines a node by, on the node's row."""
    parts = definition(node)
    assert parts is not None, "a rule asks for it"
    layers = [layer for part in parts for layer in _layers(part, False)]
    return [replace(layer, op=node.op_type, row=str(node.name)) for layer in layers]


def _reader(node: ir.Node) -> Reader:
    return read_recurrent_reuse if is_recurrent_reuse(node) else READERS[node.op_type]


def _fuse(layers: list[Layer], kept: set[str | None]) -> list[Layer]:
    """Fold a ramp into the dense CONV or FC whose only reader it is."""
    readers: dict[str, list[int]] = {}
    for i, layer in enumerate(layers):
        for read in layer.inputs:
            readers.setdefault(read.name, []).append(i)
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
