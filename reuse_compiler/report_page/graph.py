"""The graph of a model as the page draws it: boxes for nodes, inputs and outputs, and who reads whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import onnx_ir as ir

from reuse_compiler.inspecting.nodes import activation_text, op_name, state_bytes
from reuse_compiler.operators import is_reuse, read_activation
from reuse_compiler.slots import Slot, slots

__all__ = ["Box", "Graph", "read_graph"]

_LONGEST_VALUE = 120
_CONSTANT = "Constant"


@dataclass(frozen=True)
class Box:
    """A node of the graph, or one of its inputs or outputs.

    Parameters
    ----------
    kind : {"node", "input", "output"}
    name, op : str
        An input or output has its shape in place of an operator.
    reads, writes : list of str
        Its tensors with type and shape; constants without a name.
    attributes : list of (str, str)
        Name and value; what a fused activation was, too.
    sites : list of str
        Names of its sites, where it is a reuse node.
    state_bytes : int
        What it keeps from frame to frame.
    """

    kind: Literal["node", "input", "output"]
    name: str
    op: str
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    state_bytes: int = 0


@dataclass(frozen=True)
class Graph:
    """Boxes in topological order, and edges as pairs of their numbers, each once."""

    boxes: list[Box]
    edges: list[tuple[int, int]]


def read_graph(model: ir.Model) -> Graph:
    """The top graph of `model` without its constants and without the state of reuse nodes, which goes from frame to
    frame."""
    graph = model.graph
    nodes = [node for node in graph if node.op_type != _CONSTANT or node.domain]
    state = _state(nodes)
    boxes: list[Box] = []
    makers: dict[ir.Value, int] = {}
    for value in graph.inputs:
        if value not in state and value.const_value is None:
            makers[value] = len(boxes)
            boxes.append(Box("input", str(value.name), _type(value)))
    edges: dict[tuple[int, int], None] = {}
    for node in nodes:
        number = len(boxes)
        read = (value for value in (*node.inputs, *_read_inside(node)) if value is not None)
        edges |= {(makers[value], number): None for value in read if value in makers}
        boxes.append(_box(node, state))
        makers |= dict.fromkeys(node.outputs, number)
    for value in graph.outputs:
        if value in state:
            continue
        if value in makers:
            edges[makers[value], len(boxes)] = None
        boxes.append(Box("output", str(value.name), _type(value)))
    return Graph(boxes, list(edges))


def _state(nodes: list[ir.Node]) -> set[ir.Value]:
    found = (slot for node in nodes for slot in slots(node))
    return {value for slot in found for value in _kept(slot) if value is not None}


def _kept(slot: Slot) -> Iterator[ir.Value | None]:
    yield from (slot.past_index, slot.past_linear, slot.present_index, slot.present_linear, slot.steps)


def _box(node: ir.Node, state: set[ir.Value]) -> Box:
    kept = slots(node)
    attributes = [(name, _attribute(attribute)) for name, attribute in node.attributes.items()]
    if is_reuse(node) and (activation := activation_text(read_activation(node))):
        attributes.insert(0, ("fused activation", activation))
    return Box(
        "node",
        str(node.name),
        op_name(node),
        [_operand(value) for value in node.inputs if value is not None and value not in state],
        [_operand(value) for value in node.outputs if value not in state],
        attributes,
        [slot.site for slot in kept],
        sum(state_bytes(kept)),
    )


def _read_inside(node: ir.Node) -> list[ir.Value]:
    """What the bodies of an If, Loop or Scan read; values of their own are no maker's."""
    read: dict[ir.Value, None] = {}
    for attribute in node.attributes.values():
        if attribute.is_ref() or attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            continue
        bodies = [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else attribute.as_graphs()
        for body in bodies:
            for inner in ir.traversal.RecursiveGraphIterator(body):
                read |= dict.fromkeys(value for value in inner.inputs if value is not None)
            read |= dict.fromkeys(body.outputs)
    return list(read)


def _operand(value: ir.Value) -> str:
    name = "constant" if value.const_value is not None else str(value.name or "")
    return f"{name} {_type(value)}".strip()


def _type(value: ir.Value) -> str:
    """``float32 [1, 3, 66, 200]``, as far as it is known."""
    shape = value.shape if value.const_value is None else value.const_value.shape
    dtype = value.dtype if value.const_value is None else value.const_value.dtype
    text = "" if dtype is None else dtype.name.lower()
    return text if shape is None else f"{text} [{', '.join(str(size) for size in shape)}]".strip()


def _attribute(attribute: ir.Attr) -> str:
    if attribute.is_ref():
        return f"@{attribute.ref_attr_name}"
    if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return "a graph"
    if attribute.type == ir.AttributeType.TENSOR:
        tensor = attribute.as_tensor()
        return f"{tensor.dtype.name.lower()} [{', '.join(str(size) for size in tensor.shape)}]"
    value = attribute.value
    text = f"[{', '.join(_number(item) for item in value)}]" if isinstance(value, tuple | list) else _number(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
