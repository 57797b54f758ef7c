"""Which nodes the accelerator executes itself. Everything else becomes a call to the host.

A rule is a function whose docstring is its text in reports and documentation. It returns the measured value that
breaks it, or None where it holds.
"""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.supported import (
    definitions,
    elementwise,
    matmul,
    movement,
    pooling,
    recurrent,
    reductions,
    resize,
    weights,
)
from reuse_compiler.backend.accelerator.supported.names import ALIASES, POOLS
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import placed
from reuse_compiler.operators import is_reuse
from reuse_compiler.slots import is_recurrent_reuse

__all__ = ["ALIASES", "DEFINED", "NO_INSTRUCTION", "POOLS", "RULES", "Rule", "verdict"]

NO_INSTRUCTION = "no instruction for the operator"

RULES: dict[str, tuple[Rule, ...]] = {
    op: (*rules, placed)
    for family in (
        weights.RULES,
        pooling.RULES,
        elementwise.RULES,
        movement.RULES,
        reductions.RULES,
        matmul.RULES,
        resize.RULES,
        recurrent.RULES,
        definitions.RULES,
    )
    for op, rules in family.items()
}
"""Rules by operator, tried in order; an operator that is not among them has no instruction."""


DEFINED = tuple(definitions.RULES)
"""Operators that are executed as what ONNX defines them by."""


def verdict(node: ir.Node) -> tuple[bool, str, str]:
    """Whether the accelerator executes `node`; else the rule that it breaks and the measured value."""
    if is_reuse(node) or is_recurrent_reuse(node):
        return True, "a reuse operator", ""
    rules = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rules is None:
        return False, NO_INSTRUCTION, node.op_type
    for rule in rules:
        measured = rule(node)
        if measured is not None:
            return False, rule.__doc__ or "", measured
    return True, "has an instruction", ""
