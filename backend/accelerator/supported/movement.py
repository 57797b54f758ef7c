"""Rules of layers that only move elements."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import constant
from reuse_compiler.backend.accelerator.supported.names import ALIASES
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import TENSOR, float32, one_output, variable_data

__all__ = ["RULES"]


def variable_operands(node: ir.Node) -> str | None:
    """no operand is a constant"""
    fixed = [value for value in node.inputs if value is not None and constant(value) is not None]
    return f"{fixed[0].name} is a constant" if fixed else None


RULES: dict[str, tuple[Rule, ...]] = {
    "Concat": (*TENSOR, variable_operands),
    **dict.fromkeys(ALIASES, (float32, variable_data, one_output)),
}
