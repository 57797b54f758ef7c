"""The nodes of a reuse model: what each was, what it is, its quantizer and its state."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reuse_compiler.operators import Activation, is_reuse, read_activation
from reuse_compiler.quantizers import LinearQuantizer, Quantizer
from reuse_compiler.slots import Slot, slots

__all__ = [
    "NodeRow",
    "activation_text",
    "deadband_text",
    "node_rows",
    "op_name",
    "plan_properties",
    "quantizer_text",
    "state_bytes",
]

_BEFORE = {"Conv": "Conv", "ConvTranspose": "ConvTranspose", "Gemm": "Gemm or MatMul"}


@dataclass(frozen=True)
class NodeRow:
    """One node of the top graph.

    Parameters
    ----------
    node : str
    before, after : str
        Operator in the original, with the activation that was fused into it, and now; equal where nothing changed.
    shape : tuple of int or None
        Of the first input; -1 for a dimension that is not known.
    clusters, step, zero, deadband
        Of a reuse node, else None; a table has no step; one deadband, or one for each channel.
    index_bytes, linear_bytes : int
        State that a reuse node keeps from frame to frame, else 0.
    reason : str
        Why the plan has it so, as the file says; may be empty.
    """

    node: str
    before: str
    after: str
    shape: tuple[int, ...] | None
    clusters: int | None
    step: float | None
    zero: int | None
    deadband: float | tuple[float, ...] | None
    index_bytes: int
    linear_bytes: int
    reason: str = ""

    @property
    def state_bytes(self) -> int:
        """All of its state."""
        return self.index_bytes + self.linear_bytes


def node_rows(model: ir.Model, ops: Mapping[str, str] | None = None) -> list[NodeRow]:
    """The nodes of `model` in the order of the graph; `ops` has the original operator of a reuse node by name."""
    return [row for node in model.graph for row in _rows(node, ops or {})]


def _rows(node: ir.Node, ops: Mapping[str, str]) -> Iterator[NodeRow]:
    """A row of the node, or one of each of its sites."""
    after = op_name(node)
    found = slots(node)
    if not found:
        shape = _shape(node.inputs[0]) if node.inputs else None
        yield NodeRow(str(node.name), after, after, shape, None, None, None, None, 0, 0, _reason(node, ""))
    for slot in found:
        yield _row(slot, ops, after)


def _row(slot: Slot, ops: Mapping[str, str], after: str) -> NodeRow:
    node, quantizer = slot.node, slot.quantizer
    if is_reuse(node):
        activation = activation_text(read_activation(node))
        before = " + ".join(
            part
            for part in (
                ops.get(slot.site, _BEFORE[node.op_type.removeprefix("Reuse").removesuffix("Table")]),
                activation,
            )
            if part
        )
        shape = _shape(node.inputs[0])
    else:
        before = ops.get(slot.site, "")
        shape = _shape(slot.steps)
    index, linear = state_bytes([slot])
    return NodeRow(
        slot.site,
        before,
        after,
        shape,
        quantizer.clusters,
        quantizer.step if isinstance(quantizer, LinearQuantizer) else None,
        quantizer.zero,
        quantizer.deadband,
        index,
        linear,
        _reason(node, "" if slot.steps is None else f"{slot.site.rpartition('.')[2]}."),
    )


def plan_properties(node: ir.Node) -> dict[str, str]:
    """What the plan has for a node, by name, as :mod:`reuse_compiler.passes.rewrite_metadata` writes it."""
    return {name: text for name, text in node.metadata_props.items() if name.startswith("reuse.")}


def _reason(node: ir.Node, operand: str) -> str:
    return node.metadata_props.get(f"reuse.{operand}reason", "")


def op_name(node: ir.Node) -> str:
    """The operator, with its domain where that is neither ONNX's own nor that of the reuse operators."""
    return node.op_type if not node.domain or is_reuse(node) else f"{node.domain}.{node.op_type}"


def activation_text(activation: Activation) -> str:
    """The operator that a fused activation was; empty where there is none."""
    if activation == Activation():
        return ""
    if activation.slope == 0:
        return "Relu" if math.isinf(activation.maximum) else f"Clip(0, {activation.maximum:g})"
    return f"LeakyRelu({activation.slope:g})"


def quantizer_text(quantizer: Quantizer) -> str:
    """A quantizer in a few words."""
    deadband = f" deadband={deadband_text(quantizer.deadband)}" if np.any(quantizer.deadband) else ""
    if isinstance(quantizer, LinearQuantizer):
        return f"clusters={quantizer.clusters} step={quantizer.step:.4g} zero={quantizer.zero}{deadband}"
    low, high = quantizer.centroids[0], quantizer.centroids[-1]
    return f"table={quantizer.clusters} from {low:.4g} to {high:.4g} zero={quantizer.zero}{deadband}"


def deadband_text(deadband: float | Sequence[float]) -> str:
    """A deadband to four digits; the least and the most where channels differ."""
    if not isinstance(deadband, Sequence):
        return f"{deadband:.4g}"
    ends = dict.fromkeys(f"{end:.4g}" for end in (min(deadband), max(deadband)))
    return " to ".join(ends) + (" by channel" if len(ends) > 1 else "")


def state_bytes(kept: Sequence[Slot]) -> tuple[int, int]:
    """Bytes of the indices and of the linear outputs that sites keep between frames; 0 where a shape is not known."""
    lasting = [slot for slot in kept if not slot.reverse]
    return sum(_bytes(slot.past_index) for slot in lasting), sum(_bytes(slot.past_linear) for slot in lasting)


def _bytes(value: ir.Value | None) -> int:
    shape = _shape(value)
    if value is None or value.dtype is None or shape is None or min(shape, default=0) < 0:
        return 0
    return int(math.prod(shape) * value.dtype.itemsize)


def _shape(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else -1 for size in value.shape)
