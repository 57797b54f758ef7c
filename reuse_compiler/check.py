"""What becomes of every node: reuse, dense on the accelerator, on the host, or rejected; by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import onnx
import onnx_ir as ir

from reuse_compiler.backend.accelerator import supported
from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.weightless import without_weights
from reuse_compiler.rules import RULES, broken
from reuse_compiler.runtime_judge import refusal
from reuse_compiler.sites import Site, bias_add, find_sites

__all__ = ["BIAS", "BODIES", "KERNEL", "SITE", "NodeVerdict", "Verdict", "check"]

SITE = "constant weights, varying input"
BIAS = "the bias of a site belongs to it"
BODIES = "bodies of If, Loop and Scan stay dense"
KERNEL = "onnxruntime has a kernel for the operator"

Verdict = Literal["reuse", "dense", "host", "rejected"]


@dataclass(frozen=True)
class NodeVerdict:
    """What becomes of one node.

    Parameters
    ----------
    node, op : str
        Its name, and its operator with the domain where that is not ONNX's own.
    verdict : {"reuse", "dense", "host", "rejected"}
        A reuse site on the accelerator; computed there in full; computed by onnxruntime; computed by nobody.
    rule : str
        The rule that decided. Of an operator that may have sites but is dense here it is the one that keeps it from reuse; of a host
        node the one of the accelerator.
    measured : str
        The value that was measured against the rule; empty where there is none.
    """

    node: str
    op: str
    verdict: Verdict
    rule: str
    measured: str


def check(model: Model) -> list[NodeVerdict]:
    """The verdict on every node of the top graph of `model`, in topological order.

    A body of If, Loop or Scan goes with its node. Raises ModelError if onnxruntime does not take the model and no single
    node is the cause.
    """
    sites: dict[str, list[Site]] = {}
    for site in find_sites(model):
        sites.setdefault(site.of, []).append(site)
    biases = {add.name: node.name for node in model.ir.graph if node.name in sites and (add := bias_add(node))}
    refused = _refused(model)
    verdicts = []
    for node in model.ir.graph:
        name = str(node.name)
        if name in refused:
            decided: tuple[Verdict, str, str] = "rejected", KERNEL, refused[name]
        elif name in biases:
            decided = "reuse", BIAS, f"site {biases[name]}"
        else:
            decided = _decide(node, sites.get(name, []))
        verdicts.append(NodeVerdict(name, f"{node.domain}.{node.op_type}" if node.domain else node.op_type, *decided))
    return verdicts


def _decide(node: ir.Node, sites: Sequence[Site]) -> tuple[Verdict, str, str]:
    if _bodies(node):
        return "host", BODIES, f"{_inner_nodes(node)} nodes inside"
    supports, rule, measured = supported.verdict(node)
    if not supports:
        return "host", rule, measured
    if sites:
        shape = "x".join(str(size) for size in sites[0].shape)
        return "reuse", SITE, f"{shape} input, {sum(site.macs for site in sites):,} MACs"
    reason = broken(node) if node.domain == "" and node.op_type in RULES else None
    return ("dense", reason.rule, reason.measured) if reason is not None else ("dense", rule, measured)


def _refused(model: Model) -> dict[str, str]:
    """The nodes for which onnxruntime has no kernel, and what it says."""
    with without_weights(model.ir) as proto:
        whole = refusal(proto)
    if whole is None:
        return {}
    nodes = list(model.ir.graph)
    alone = {
        str(node.name): reason for node in nodes if not _bodies(node) and (reason := refusal(_single(model, node)))
    }
    if alone:
        return alone
    with_bodies = {str(node.name): whole for node in nodes if _bodies(node)}
    if not with_bodies:
        raise ModelError(f"{model.path}: onnxruntime does not take the model: {whole}")
    return with_bodies


def _bodies(node: ir.Node) -> Sequence[ir.Attr]:
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return [attribute for attribute in node.attributes.values() if attribute.type in kinds]


def _inner_nodes(node: ir.Node) -> int:
    """Nodes in the bodies of `node`, and in theirs."""
    graphs = [graph for attribute in _bodies(node) for graph in _graphs(attribute)]
    return sum(1 for graph in graphs for _ in graph.all_nodes())


def _graphs(attribute: ir.Attr) -> Sequence[ir.Graph]:
    return [attribute.as_graph()] if attribute.type is ir.AttributeType.GRAPH else attribute.as_graphs()


def _single(model: Model, node: ir.Node) -> onnx.ModelProto:
    """A model of `node` alone, all its inputs fed."""
    values = {value: ir.Value(name=value.name, type=value.type, shape=value.shape) for value in node.inputs if value}
    inputs = [None if value is None else values[value] for value in node.inputs]
    outputs = [ir.Value(name=value.name, type=value.type, shape=value.shape) for value in node.outputs]
    copy = ir.Node(node.domain, node.op_type, inputs, node.attributes.values(), outputs=outputs, name=node.name)
    graph = ir.Graph(
        list(values.values()),
        [value for value in outputs if value.name],
        nodes=[copy],
        opset_imports=model.ir.graph.opset_imports,
        name="single",
    )
    return ir.to_proto(ir.Model(graph, ir_version=model.ir.ir_version))
