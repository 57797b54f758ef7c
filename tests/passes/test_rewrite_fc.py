"""FC nodes into ReuseGemm: alpha, beta, transposition and the bias behind a MatMul are absorbed."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest

from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan

Load = Callable[..., Model]
PlanFor = Callable[..., Plan]
Same = Callable[[Model, ir.Model], None]


@pytest.mark.parametrize("bias", [(), (1,), (5,), (1, 5), (1, 1)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_alpha_beta_and_transpose_of_a_gemm_go_into_its_weights(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same, bias: tuple[int, ...], transposed: int
) -> None:
    text = "net (float[3, 4] x) => (float[3, 5] y) { y = Gemm <alpha = 0.5, beta = 2.0, transB = T> (x, W, B) }"
    model = load(text.replace("T>", f"{transposed}>"), W=(5, 4) if transposed else (4, 5), B=bias)
    reuse = rewrite(model, plan_for(model))
    assert_same_on_centroids(model, reuse)
    assert {tuple(value.shape or ()) for value in reuse.graph.initializers.values()} == {(4, 5), (5,)}


def test_a_gemm_without_bias_gets_zeros(load: Load, plan_for: PlanFor, assert_same_on_centroids: Same) -> None:
    model = load("net (float[1, 4] x) => (float[1, 5] y) { y = Gemm (x, W) }", W=(4, 5))
    assert_same_on_centroids(model, rewrite(model, plan_for(model)))


@pytest.mark.parametrize("order", ["h, B", "B, h"])
def test_the_bias_behind_a_matmul_is_absorbed(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same, order: str
) -> None:
    text = "net (float[1, 3, 4] x) => (float[1, 3, 5] y) { h = MatMul (x, W) y = Add (ORDER) }"
    model = load(text.replace("ORDER", order), W=(4, 5), B=(5,))
    reuse = rewrite(model, plan_for(model))
    assert [node.op_type for node in reuse.graph] == ["ReuseGemm"]
    assert_same_on_centroids(model, reuse)


def test_a_matmul_whose_product_is_read_twice_keeps_the_add(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same
) -> None:
    text = "net (float[3, 4] x) => (float[3, 5] y, float[3, 5] z) { h = MatMul (x, W) y = Add (h, B) z = Neg (h) }"
    model = load(text, W=(4, 5), B=(5,))
    reuse = rewrite(model, plan_for(model))
    assert sorted(node.op_type for node in reuse.graph) == ["Add", "Neg", "ReuseGemm"]
    assert_same_on_centroids(model, reuse)
