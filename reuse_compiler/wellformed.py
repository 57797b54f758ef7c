"""Is a graph well formed: does every node have a known operator, and every tensor one producer, without a cycle?

onnx's own checker says less about where a fault is, and takes an unsorted graph for a broken one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx

from reuse_compiler.errors import ModelError
from reuse_compiler.runtime_judge import refusal

__all__ = ["check_operators", "check_opset", "check_wiring"]

_ALIAS = {"ai.onnx": ""}


def check_operators(path: Path, proto: onnx.ModelProto) -> None:
    """Raise ModelError for the first node whose operator is unknown.

    Known are the operators of the installed onnx at the opset that the model imports, and the model's own functions.
    An operator of another domain is known if onnxruntime takes the model.
    """
    own = {(function.domain, function.name) for function in proto.functions}
    foreign: onnx.NodeProto | None = None
    domains = {schema.domain for schema in onnx.defs.get_all_schemas()}
    for node, opsets in _all_nodes(proto):
        domain = _ALIAS.get(node.domain, node.domain)
        if (node.domain, node.op_type) in own:
            continue
        if domain not in domains:
            foreign = foreign or node
            continue
        version = opsets.get(domain)
        if version is None:
            raise ModelError(f"{path}: {describe(node)}: the model imports no opset of domain {domain or 'ai.onnx'}")
        if not onnx.defs.has(node.op_type, max_inclusive_version=version, domain=domain):
            known = f"opset {version} of {domain or 'ai.onnx'}: {_since(node.op_type, domain)}"
            raise ModelError(f"{path}: {describe(node)}: no such operator in {known}")
    reason = None if foreign is None else refusal(path)
    if foreign is not None and reason is not None:
        raise ModelError(f"{path}: {describe(foreign)}: neither onnx nor onnxruntime knows the operator: {reason}")


def _since(op: str, domain: str) -> str:
    """What to do about an operator that the opset lacks."""
    if not onnx.defs.has(op, domain=domain):
        return "correct the model, or install an onnx that knows it"
    first = min(schema.since_version for schema in onnx.defs.get_all_schemas_with_history() if _is(schema, op, domain))
    return f"it came with {first}: export the model with that opset or a later one"


def _is(schema: onnx.defs.OpSchema, op: str, domain: str) -> bool:
    return schema.name == op and schema.domain == domain


def check_opset(path: Path, proto: onnx.ModelProto, oldest: int) -> None:
    """Raise ModelError if the default opset is below `oldest`, or later than what the installed onnx knows.

    Of the latter the message names the first node whose operator is new, if there is one.
    """
    version = next(
        (entry.version for entry in proto.opset_import if _ALIAS.get(entry.domain, entry.domain) == ""), None
    )
    newest = onnx.defs.onnx_opset_version()
    if version is None or oldest <= version <= newest:
        return
    if version < oldest:
        raise ModelError(f"{path}: opset {version}: export it with opset {oldest} or later")
    own = {(function.domain, function.name) for function in proto.functions}
    nodes = [node for node, _ in _all_nodes(proto) if _ALIAS.get(node.domain, node.domain) == ""]
    new = [node for node in nodes if not onnx.defs.has(node.op_type) and (node.domain, node.op_type) not in own]
    where = f"{path}: {describe(new[0])}: no such operator, and" if new else f"{path}: opset {version}:"
    advice = f"export it with opset {newest} or earlier, or install a newer onnx"
    raise ModelError(f"{where} the installed onnx knows up to {newest}, the model has {version}: {advice}")


def check_wiring(path: Path, proto: onnx.ModelProto) -> bool:
    """Whether the nodes of every graph are in topological order.

    Raises ModelError for a tensor that two nodes produce, one that nothing produces, or a cycle.
    """
    return _check_graph(path, proto.graph, frozenset())


def describe(node: onnx.NodeProto) -> str:
    """A node for an error message: its name, or its first output where it has none, and its operator."""
    name = node.name or next((output for output in node.output if output), "(no name)")
    operator = f"{node.domain}.{node.op_type}" if _ALIAS.get(node.domain, node.domain) else node.op_type
    return f"node {name} ({operator})"


def _all_nodes(proto: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, dict[str, int]]]:
    """Every node of the graph, its subgraphs and the functions, with the opsets that hold there."""
    opsets = {_ALIAS.get(entry.domain, entry.domain): entry.version for entry in proto.opset_import}
    yield from ((node, opsets) for node in _nested(proto.graph.node))
    for function in proto.functions:
        inside = opsets | {_ALIAS.get(entry.domain, entry.domain): entry.version for entry in function.opset_import}
        yield from ((node, inside) for node in _nested(function.node))


def _nested(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in _subgraphs(node):
            yield from _nested(graph.node)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _check_graph(path: Path, graph: onnx.GraphProto, outer: frozenset[str]) -> bool:
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    given = outer | own
    producer: dict[str, int] = {}
    for number, node in enumerate(graph.node):
        for output in node.output:
            if output in producer or output in own:
                raise ModelError(f"{path}: {describe(node)}: its output {output} is there already")
            if output:
                producer[output] = number
    before = _dependences(path, graph, given, producer)
    _check_acyclic(path, graph, before)
    missing = next(
        (value.name for value in graph.output if value.name not in producer and value.name not in given), None
    )
    if missing is not None:
        raise ModelError(f"{path}: graph output {missing}: no node produces it")
    in_order = all(max(numbers, default=-1) < number for number, numbers in before.items())
    visible = frozenset(given | set(producer))
    inside = [_check_graph(path, subgraph, visible) for node in graph.node for subgraph in _subgraphs(node)]
    return in_order and all(inside)


def _dependences(
    path: Path, graph: onnx.GraphProto, given: frozenset[str], producer: dict[str, int]
) -> dict[int, set[int]]:
    """For each node the nodes of this graph whose outputs it reads, itself or in its subgraphs."""
    before: dict[int, set[int]] = {}
    for number, node in enumerate(graph.node):
        for name in node.input:
            if name and name not in producer and name not in given:
                raise ModelError(f"{path}: {describe(node)}: nothing produces its input {name}")
        reads = set(node.input).union(*(_captured(subgraph) for subgraph in _subgraphs(node)))
        before[number] = {producer[name] for name in reads if name in producer}
    return before


def _captured(graph: onnx.GraphProto) -> set[str]:
    """Names that `graph` and its subgraphs take from outside."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own.update(output for node in graph.node for output in node.output)
    reads = {value.name for value in graph.output}
    for node in graph.node:
        reads.update(node.input)
        reads.update(*(_captured(subgraph) for subgraph in _subgraphs(node)))
    return reads - own


def _check_acyclic(path: Path, graph: onnx.GraphProto, before: dict[int, set[int]]) -> None:
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        first, *rest = [graph.node[number] for number in error.args[1][:-1]]
        through = ", ".join(describe(node) for node in rest[:3])
        raise ModelError(
            f"{path}: {describe(first)}: it depends on its own output" + (f" through {through}" if rest else "")
        ) from error
