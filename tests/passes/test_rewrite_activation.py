"""Activations behind a site: fused where they are a slope and a maximum, and nobody else needs the linear output."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import onnx_ir as ir
import pytest

from reuse_compiler.frontend import Model
from reuse_compiler.operators import Activation, read_activation, reuse_nodes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan

Load = Callable[..., Model]
PlanFor = Callable[..., Plan]
Same = Callable[[Model, ir.Model], None]


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("Relu (h)", Activation(0.0)),
        ("LeakyRelu <alpha = 0.25> (h)", Activation(0.25)),
        ("Clip (h, zero, six)", Activation(0.0, 6.0)),
        ("Clip (h, zero)", Activation(0.0, inf)),
        ("Clip (h, six)", None),
        ("Clip (h, , six)", None),
        ("LeakyRelu <alpha = 2.0> (h)", None),
        ("Tanh (h)", None),
        ("Add (h, h)", None),
    ],
)
def test_the_activation_behind_a_site_is_fused(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same, activation: str, expected: Activation | None
) -> None:
    constants = "zero = Constant <value_float = 0.0> () six = Constant <value_float = 6.0> ()"
    text = f"net (float[1, 4] x) => (float[1, 5] y) {{ {constants} h = Gemm (x, W, B) y = {activation} }}"
    model = load(text, W=(4, 5), B=(5,))
    reuse = rewrite(model, plan_for(model))
    [node] = reuse_nodes(reuse)
    assert read_activation(node) == (expected or Activation())
    assert len(reuse.graph) == (1 if expected else 2)
    assert set(reuse.graph.initializers) <= {"W", "B", "six"}
    assert_same_on_centroids(model, reuse)


@pytest.mark.parametrize(
    "text",
    [
        "net (float[1, 4] x) => (float[1, 5] y, float[1, 5] h) { h = Gemm (x, W, B) y = Relu (h) }",
        "net (float[1, 4] x) => (float[1, 5] y, float[1, 5] z) { h = Gemm (x, W, B) y = Relu (h) z = Neg (h) }",
    ],
)
def test_an_activation_stays_where_the_linear_output_is_needed_itself(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same, text: str
) -> None:
    model = load(text, W=(4, 5), B=(5,))
    reuse = rewrite(model, plan_for(model))
    assert "Relu" in [node.op_type for node in reuse.graph]
    assert_same_on_centroids(model, reuse)
