"""Rewriting a model by a plan: what the plan says and nothing else, in a file that says where it is from."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest

from reuse_compiler.errors import PlanError
from reuse_compiler.frontend import Model
from reuse_compiler.operators import read_quantizer, reuse_nodes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan

Load = Callable[..., Model]
PlanFor = Callable[..., Plan]
Same = Callable[[Model, ir.Model], None]

NETWORK = """
net (float[1, 2, 6, 6] x) => (float[1, 3] y, float[1, 4, 6, 6] r) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1]> (b, W2, B1)
    d = Conv (b, W3)
    e = Add (c, d)
    r = Relu (e)
    f = Flatten (r)
    g = MatMul (f, W4)
    h = Add (g, B4)
    i = Relu (h)
    y = Gemm <transB = 1> (i, W5, B5)
}"""
WEIGHTS = {"W1": (4, 2, 3, 3), "B1": (4,), "W2": (4, 4, 3, 3), "W3": (4, 4, 1, 1), "W4": (144, 5), "B4": (5,)}
WEIGHTS |= {"W5": (3, 5), "B5": (3,)}


def test_only_planned_sites_change(load: Load, plan_for: PlanFor, assert_same_on_centroids: Same) -> None:
    model = load(NETWORK, **WEIGHTS)
    reuse = rewrite(model, plan_for(model, ["a"]))
    assert [node.name for node in reuse_nodes(reuse)] == ["a"]
    assert [node.name for node in reuse.graph if node.op_type == "Conv"] == ["c", "d"]
    assert_same_on_centroids(model, reuse)
    assert rewrite(model, plan_for(model, [])).functions == {}


def test_the_quantizer_is_written_into_the_node(load: Load, plan_for: PlanFor) -> None:
    model = load(NETWORK, **WEIGHTS)
    plan = plan_for(model, ["a"], deadband=[0.0, 0.5])
    reuse = rewrite(model, plan)
    assert read_quantizer(reuse_nodes(reuse)[0]) == plan.quantizers()["a"]


def test_fed_back_state_is_kept_with_the_file(load: Load, plan_for: PlanFor) -> None:
    model = load("net (float[1, 4] x) => (float[1, 4] y) { y = Gemm (x, W) }", W=(4, 4))
    plan = plan_for(model)
    assert "reuse.state" not in rewrite(model, plan).metadata_props
    plan.state = {"x": "y"}
    assert rewrite(model, plan).metadata_props["reuse.state"] == '{"x": "y"}'


def test_a_plan_for_another_model_names_both(load: Load, plan_for: PlanFor) -> None:
    model = load(NETWORK, **WEIGHTS)
    plan = plan_for(model)
    plan.model.sha256 = "0" * 64
    with pytest.raises(PlanError, match=f"{'0' * 64}.*{model.sha256}"):
        rewrite(model, plan)


def test_a_plan_that_lacks_a_site_is_rejected(load: Load, plan_for: PlanFor) -> None:
    model = load(NETWORK, **WEIGHTS)
    plan = plan_for(model)
    lost = plan.sites.pop(1)
    with pytest.raises(PlanError, match=f"site {lost.node} of .* is missing"):
        rewrite(model, plan)


def test_a_plan_that_does_not_fit_is_rejected(load: Load, plan_for: PlanFor) -> None:
    model = load(NETWORK, **WEIGHTS)
    plan = plan_for(model)
    plan.sites[1].node = "nowhere"
    with pytest.raises(PlanError, match=r"site nowhere of .*: the model has no such site: remove"):
        rewrite(model, plan)
    plan = plan_for(model, ["c"])
    plan.sites[1].input = "x"
    with pytest.raises(PlanError, match="site c: its input is b, not x"):
        rewrite(model, plan)
    plan = plan_for(model, ["c"], deadband=[0.0, 0.1, 0.2])
    with pytest.raises(PlanError, match="site c: 3 deadbands for 4 channels"):
        rewrite(model, plan)
