"""Nodes that the accelerator has no instruction for: sub-models of one node that the host runs, and their size."""

from __future__ import annotations

import math

import onnx
import onnx_ir as ir

from reuse_compiler.backend.accelerator.lowering.specs import HostSpec
from reuse_compiler.backend.accelerator.shapes import constant, shape_of
from reuse_compiler.macs import node_macs

__all__ = ["operands", "read_host"]


def read_host(node: ir.Node) -> HostSpec:
    """`node` alone as a model, constants inside."""
    macs = node_macs(node)
    elements = sum(math.prod(shape_of(value) or ()) for value in node.outputs if value.name)
    return HostSpec(_single(node), macs, 0 if macs else elements)


def _single(node: ir.Node) -> bytes:
    """A model of one node: run-time operands are inputs, constants initializers."""
    proto = ir.to_proto(node)
    used = operands(node)
    inputs = [value for value in used if constant(value) is None]
    fixed = [value.const_value for value in used if value.const_value is not None]
    outputs = [value for value in node.outputs if value.name]
    assert node.graph is not None
    graph = onnx.helper.make_graph(
        [proto],
        str(node.name),
        [ir.to_proto(value) for value in inputs],
        [ir.to_proto(value) for value in outputs],
        [ir.to_proto(tensor) for tensor in fixed],
    )
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in _opsets(node).items()]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def operands(node: ir.Node) -> list[ir.Value]:
    """The values that `node` reads, each once: its inputs, and what its subgraphs take from outside."""
    used = dict.fromkeys(node.inputs)
    graphs = [graph for attribute in node.attributes.values() for graph in _graphs(attribute)]
    inside: set[ir.Value] = set()
    for graph in graphs:
        inside.update(graph.inputs, graph.initializers.values())
        used.update(dict.fromkeys(graph.outputs))
        for inner in graph:
            inside.update(inner.outputs)
            used.update(dict.fromkeys(inner.inputs))
            graphs += [nested for attribute in inner.attributes.values() for nested in _graphs(attribute)]
    return [value for value in used if value is not None and value not in inside]


def _graphs(attribute: ir.Attr) -> list[ir.Graph]:
    if attribute.type is ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return list(attribute.as_graphs()) if attribute.type is ir.AttributeType.GRAPHS else []


def _opsets(node: ir.Node) -> dict[str, int]:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return dict(graph.opset_imports)
