"""What compilation changed in a graph, as a patch: lines taken away, lines put in, a line a node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from reuse_compiler.inspecting.nodes import activation_text, op_name, quantizer_text, state_bytes
from reuse_compiler.operators import is_reuse, read_activation, read_conv
from reuse_compiler.slots import Slot, slots

__all__ = ["DiffLine", "diff"]

Sign = Literal["-", "+", " "]

_LONGEST_VALUE = 40


@dataclass(frozen=True)
class DiffLine:
    """One node: only in the original (-), only in the result (+), or in both and alike."""

    sign: Sign
    node: str
    op: str
    text: str


def diff(original: ir.Model, result: ir.Model) -> list[DiffLine]:
    """The nodes of both models, by name: what went, what came, and between them what stayed.

    A node that changed is taken away and put in; nodes that went because they were fused into it stand beside it.
    """
    kept = {str(node.name): node for node in result.graph}
    known = {str(node.name) for node in original.graph}
    new = _new_before(result.graph, known)
    lines: list[DiffLine] = []
    added: list[DiffLine] = []
    for node in original.graph:
        name = str(node.name)
        text = _node_text(node)
        if name not in kept:
            lines.append(DiffLine("-", name, op_name(node), text))
            continue
        after = _node_text(kept[name])
        lines += added
        added = []
        lines += [_added(other) for other in new.get(name, [])]
        if after == text:
            lines.append(DiffLine(" ", name, op_name(node), text))
        else:
            lines.append(DiffLine("-", name, op_name(node), text))
            added = [_added(kept[name])]
    return [*lines, *added, *(_added(other) for other in new.get(None, []))]


def _added(node: ir.Node) -> DiffLine:
    return DiffLine("+", str(node.name), op_name(node), _node_text(node))


def _new_before(graph: ir.Graph, known: set[str]) -> dict[str | None, list[ir.Node]]:
    """The nodes that the original lacks, by the known node that they stand before; None at the end."""
    new: dict[str | None, list[ir.Node]] = {}
    waiting: list[ir.Node] = []
    for node in graph:
        if str(node.name) in known:
            new[str(node.name)] = waiting
            waiting = []
        else:
            waiting.append(node)
    new[None] = waiting
    return new


def _node_text(node: ir.Node) -> str:
    """``name: Op(inputs) attributes -> outputs``; constants by shape, state by size."""
    found = slots(node)
    if found:
        inputs = [node.inputs[0], *(value for slot in found for value in (slot.weight, slot.bias))]
        words = [_quantizer(slot) for slot in found]
        if is_reuse(node):
            activation = activation_text(read_activation(node))
            words += [f"then {activation}" if activation else "", *_geometry(node)]
        words.append(f"state={sum(state_bytes(found)):,} bytes")
        outputs = [node.outputs[0]]
    else:
        inputs, outputs = list(node.inputs), list(node.outputs)
        words = [_attribute_text(attribute) for attribute in node.attributes.values()]
    while inputs and inputs[-1] is None:
        inputs.pop()
    call = f"{node.name}: {op_name(node)}({', '.join(map(_value_text, inputs))})"
    result = "-> " + ", ".join(str(value.name) for value in outputs)
    return " ".join(part for part in (call, *words, result) if part)


def _quantizer(slot: Slot) -> str:
    """The quantizer of a site, after the name of its operand in a recurrent layer."""
    text = quantizer_text(slot.quantizer)
    return text if slot.steps is None else f"{slot.site.rpartition('.')[2]}: {text}"


def _geometry(node: ir.Node) -> Iterator[str]:
    """The attributes of a CONV that are not as ONNX has them by default."""
    if "strides" not in node.attributes:
        return
    conv = read_conv(node)
    zeros, ones = [("pads", conv.pads)], [("strides", conv.strides), ("dilations", conv.dilations)]
    ones.append(("group", (conv.group,)))
    if conv.output_padding is not None:
        zeros.append(("output_padding", conv.output_padding))
    for default, attributes in ((0, zeros), (1, ones)):
        for name, values in attributes:
            if set(values) != {default}:
                yield _attribute_text(node.attributes[name])


def _value_text(value: ir.Value | None) -> str:
    """A tensor by name, a constant by its shape; nothing where an input is left out."""
    if value is None:
        return ""
    if value.const_value is None:
        return str(value.name)
    shape = ",".join(str(size) for size in value.const_value.shape)
    return f"{value.const_value.dtype.name.lower()}[{shape}]"


def _attribute_text(attribute: ir.Attr) -> str:
    if attribute.is_ref():
        return f"{attribute.name}=@{attribute.ref_attr_name}"
    if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return f"{attribute.name}={{..}}"
    if attribute.type == ir.AttributeType.TENSOR:
        tensor = attribute.as_tensor()
        return f"{attribute.name}={tensor.dtype.name.lower()}[{','.join(str(size) for size in tensor.shape)}]"
    value = attribute.value
    if isinstance(value, tuple | list):
        text = "[" + ",".join(str(item) for item in value) + "]"
    else:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{attribute.name}={text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 2] + '..'}"
