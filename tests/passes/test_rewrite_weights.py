"""Initializers that a rewrite derives: each made once."""

from __future__ import annotations

from collections.abc import Callable

from reuse_compiler.frontend import Model
from reuse_compiler.operators import reuse_nodes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan

Load = Callable[..., Model]
PlanFor = Callable[..., Plan]


def test_shared_weights_are_folded_once(load: Load, plan_for: PlanFor) -> None:
    text = """net (float[1, 4] x) => (float[1, 4] y) {
        a = Gemm <transB = 1> (x, W, B)  b = Gemm <transB = 1> (a, W, B)  c = Gemm (b, W)  y = Gemm (c, W) }"""
    model = load(text, W=(4, 4), B=(4,))
    reuse = rewrite(model, plan_for(model))
    a, b, c, y = (node.inputs[3] for node in reuse_nodes(reuse))
    assert a is b and c is y and a is not c
    assert len(reuse.graph.initializers) == 4  # both orders of W, B, and zeros
