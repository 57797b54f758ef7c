"""A model as a graph in the language of graphviz."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from reuse_compiler.inspecting.nodes import activation_text, op_name, plan_properties, quantizer_text, state_bytes
from reuse_compiler.operators import is_reuse, read_activation
from reuse_compiler.slots import slots

__all__ = ["to_dot"]

_REUSE = 'style="rounded,filled" fillcolor="#cfe8cf"'
_DENSE = 'style="rounded,filled" fillcolor="#f5e6c8"'


def to_dot(model: ir.Model) -> str:
    """The top graph of `model`: a box a node, an ellipse an input or output, edges with shapes.

    Reuse nodes are green and say their quantizer and state; the state itself, which goes from frame to frame, is a
    dashed loop. Sites that the plan leaves dense are yellow. What the plan has for a node, and why, is its tooltip, which
    graphviz shows in SVG. Constants are left out.
    """
    graph = model.graph
    lines = [
        f"digraph {_quoted(graph.name or 'model')} {{",
        '  node [shape=box style=rounded fontname="Helvetica" fontsize=11]',
        '  edge [fontname="Helvetica" fontsize=9]',
    ]
    state = _state(graph)
    sources: dict[ir.Value, str] = {}
    for number, value in enumerate(value for value in graph.inputs if value not in state):
        sources[value] = f"i{number}"
        lines.append(f"  i{number} [shape=ellipse label={_label([str(value.name), _shape_text(value)])}]")
    for number, node in enumerate(graph):
        lines += _node_lines(node, f"n{number}", sources)
        sources |= dict.fromkeys(node.outputs, f"n{number}")
    outputs = (value for value in graph.outputs if value not in state)
    for number, value in enumerate(outputs):
        lines.append(f"  o{number} [shape=ellipse label={_label([str(value.name), _shape_text(value)])}]")
        if value in sources:
            lines.append(f"  {sources[value]} -> o{number}")
    return "\n".join([*lines, "}"]) + "\n"


def _state(graph: ir.Graph) -> set[ir.Value]:
    """The inputs and outputs of the graph that hold the state of reuse nodes."""
    found = (slot for node in graph for slot in slots(node))
    values = (
        value
        for slot in found
        for value in (slot.past_index, slot.past_linear, slot.present_index, slot.present_linear, slot.steps)
    )
    return {value for value in values if value is not None}


def _node_lines(node: ir.Node, number: str, sources: dict[ir.Value, str]) -> Iterable[str]:
    found, plan = slots(node), plan_properties(node)
    tooltip = f" tooltip={_label(f'{key}: {value}' for key, value in plan.items())}" if plan else ""
    if not found:
        is_dense = any(key.endswith(".mode") for key in plan)
        style, words = (f"{_DENSE} ", ["dense"]) if is_dense else ("", [])
        yield f"  {number} [{style}label={_label([str(node.name), op_name(node), *words])}{tooltip}]"
        operands = list(node.inputs)
    else:
        activation = activation_text(read_activation(node)) if is_reuse(node) else ""
        op = f"{op_name(node)}, {activation}" if activation else op_name(node)
        quantizers = dict.fromkeys(quantizer_text(slot.quantizer) for slot in found)
        yield f"  {number} [{_REUSE} label={_label([str(node.name), op, *quantizers])}{tooltip}]"
        if sum(state_bytes(found)):
            yield f"  {number} -> {number} [style=dashed label={_label([f'state, {sum(state_bytes(found)):,} bytes'])}]"
        operands = [node.inputs[0]]
    for value in (*operands, *_read_inside(node)):
        if value is not None and value in sources:
            yield f"  {sources[value]} -> {number} [label={_label([_shape_text(value)])}]"


def _read_inside(node: ir.Node) -> list[ir.Value]:
    """What the bodies of an If, Loop or Scan read of the graph around them, each value once."""
    read: dict[ir.Value, None] = {}
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            graphs = [attribute.as_graph()]
        elif attribute.type == ir.AttributeType.GRAPHS:
            graphs = list(attribute.as_graphs())
        else:
            continue
        for graph in graphs:
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                read |= dict.fromkeys(value for value in inner.inputs if value is not None)
    return list(read)


def _shape_text(value: ir.Value) -> str:
    return "" if value.shape is None else "x".join(str(size) for size in value.shape)


def _label(lines: Iterable[str]) -> str:
    return '"' + "\\n".join(_escaped(line) for line in lines if line) + '"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """`text` inside the quotes of graphviz, which would obey a backslash and end at a quote."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"')
