"""The nodes of a reuse model: what each was, what it is, its quantizer and its state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reuse_compiler.operators import Activation, is_reuse, read_activation, read_quantizer

__all__ = ["NodeRow", "activation_text", "node_rows", "op_name", "quantizer_text", "state_bytes"]

_BEFORE = {"ReuseConv": "Conv", "ReuseConvTranspose": "ConvTranspose", "ReuseGemm": "Gemm or MatMul"}


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
        Of a reuse node, else None; one deadband, or one for each channel.
    index_bytes, linear_bytes : int
        State that a reuse node keeps from frame to frame, else 0.
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

    @property
    def state_bytes(self) -> int:
        """All of its state."""
        return self.index_bytes + self.linear_bytes


def node_rows(model: ir.Model, ops: Mapping[str, str] | None = None) -> list[NodeRow]:
    """The nodes of `model` in the order of the graph; `ops` has the original operator of a reuse node by name."""
    return [_row(node, ops or {}) for node in model.graph]


def _row(node: ir.Node, ops: Mapping[str, str]) -> NodeRow:
    name, after = str(node.name), op_name(node)
    shape = _shape(node.inputs[0]) if node.inputs else None
    if not is_reuse(node):
        return NodeRow(name, after, after, shape, None, None, None, None, 0, 0)
    quantizer, activation = read_quantizer(node), activation_text(read_activation(node))
    before = " + ".join(part for part in (ops.get(name, _BEFORE[node.op_type]), activation) if part)
    index, linear = state_bytes(node)
    return NodeRow(
        name,
        before,
        after,
        shape,
        quantizer.clusters,
        quantizer.step,
        quantizer.zero,
        quantizer.deadband,
        index,
        linear,
    )


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


def quantizer_text(node: ir.Node) -> str:
    """The quantizer of a reuse node in a few words; the largest deadband where channels have their own."""
    quantizer = read_quantizer(node)
    widest = float(np.max(quantizer.deadband))
    deadband = f" deadband={widest:.4g}" if widest else ""
    return f"clusters={quantizer.clusters} step={quantizer.step:.4g} zero={quantizer.zero}{deadband}"


def state_bytes(node: ir.Node) -> tuple[int, int]:
    """Bytes of the past indices and of the past linear output of a reuse node; 0 where the shape is not known."""
    return _bytes(node.inputs[1]), _bytes(node.inputs[2])


def _bytes(value: ir.Value | None) -> int:
    shape = _shape(value)
    if value is None or value.dtype is None or shape is None or min(shape, default=0) < 0:
        return 0
    return int(math.prod(shape) * value.dtype.itemsize)


def _shape(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else -1 for size in value.shape)
