"""Nodes say what the plan has for them and why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan, TableSpec
from reuse_compiler.sites import find_sites
from tests.small_network import small_model, small_plan


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


@pytest.fixture(scope="module")
def plan(model: Model) -> Plan:
    """A deadband for each channel of `a`, a table for `d`, `g` dense; each with a reason but `c`."""
    reasons = {"a": "it pays", "d": "k-means", "g": "267 cycles a frame with reuse, 262 without", "y": "small"}
    plan = small_plan(model, dense=["g"])
    sites = {site.node: site.model_copy(update={"reason": reasons.get(site.node, "")}) for site in plan.sites}
    sites["a"].quantizer = sites["a"].quantizer.model_copy(update={"deadband": [0.125, 0.5]})  # type: ignore[union-attr]
    sites["d"].quantizer = TableSpec(kind="table", centroids=[-1.0, 0.0, 0.75], deadband=0.1)
    return plan.model_copy(update={"sites": list(sites.values())})


@pytest.fixture
def recurrent(load: Callable[..., Model]) -> tuple[Model, Plan]:
    """An LSTM of which both sites reuse, each for its reason."""
    model = load(
        """net (float[5, 1, 4] x) => (float[5, 1, 1, 3] lstm) { lstm = LSTM <hidden_size = 3> (x, W, R) }""",
        W=(1, 12, 4),
        R=(1, 12, 3),
    )
    spec = QuantizerSpec(step=0.25, zero=8, clusters=16)
    sites = [
        SitePlan(
            node=site.node,
            input=site.input,
            op=site.op,
            mode="reuse",
            quantizer=spec,
            reason=f"because of {site.node.rpartition('.')[2]}",
        )
        for site in find_sites(model)
    ]
    return model, Plan(model=ModelRef(path=str(model.path), sha256=model.sha256), sites=sites)


def properties(model: ir.Model) -> dict[str, dict[str, str]]:
    return {str(node.name): dict(node.metadata_props) for node in model.graph if node.metadata_props}


def test_sites_say_mode_quantizer_and_reason(model: Model, plan: Plan) -> None:
    said = properties(rewrite(model, plan))
    assert set(said) == {"a", "c", "d", "g", "y"}
    assert said["a"] == {
        "reuse.mode": "reuse",
        "reuse.quantizer": "linear",
        "reuse.step": "0.03",
        "reuse.zero": "100",
        "reuse.clusters": "201",
        "reuse.deadband": "0.125 to 0.5",
        "reuse.reason": "it pays",
    }
    assert "reuse.reason" not in said["c"]
    assert said["d"]["reuse.quantizer"] == "table" and "reuse.step" not in said["d"]
    assert (said["d"]["reuse.clusters"], said["d"]["reuse.zero"], said["d"]["reuse.deadband"]) == ("3", "1", "0.1")
    assert said["g"] == {"reuse.mode": "dense", "reuse.reason": "267 cycles a frame with reuse, 262 without"}


def test_steps_are_the_exact_float32(model: Model, plan: Plan) -> None:
    for site, quantizer in plan.quantizers().items():
        said = properties(rewrite(model, plan))[site]
        if "reuse.step" in said:
            assert np.float32(said["reuse.step"]) == np.float32(quantizer.step)  # type: ignore[union-attr]


def test_operands_of_a_recurrent_layer_are_told_apart(recurrent: tuple[Model, Plan]) -> None:
    model, plan = recurrent
    said = properties(rewrite(model, plan))["lstm"]
    assert said["reuse.x.clusters"] == said["reuse.h.clusters"] == "16"
    assert (said["reuse.x.reason"], said["reuse.h.reason"]) == ("because of x", "because of h")
    assert "reuse.mode" not in said


def test_a_dense_recurrent_layer_says_why(recurrent: tuple[Model, Plan]) -> None:
    model, plan = recurrent
    sites = [site.model_copy(update={"mode": "dense"}) for site in plan.sites]
    said = properties(rewrite(model, plan.model_copy(update={"sites": sites})))["lstm"]
    assert said == {
        "reuse.x.mode": "dense",
        "reuse.x.reason": "because of x",
        "reuse.h.mode": "dense",
        "reuse.h.reason": "because of h",
    }


def test_the_file_is_checked_and_keeps_them(model: Model, plan: Plan) -> None:
    proto = ir.serde.serialize_model(rewrite(model, plan))
    onnx.checker.check_model(proto, full_check=True)
    again = ir.serde.deserialize_model(onnx.load_model_from_string(proto.SerializeToString()))
    assert properties(again) == properties(rewrite(model, plan))


def test_reasons_change_nothing_that_executes(model: Model, plan: Plan) -> None:
    """The program is the same without them, and the original model stays as it was."""
    before = properties(model.ir)
    silent = [site.model_copy(update={"reason": ""}) for site in plan.sites]
    sizes = load_hardware("isca18").tiling
    one, other = (
        lower(rewrite(model, these), sizes, model.sha256) for these in (plan, plan.model_copy(update={"sites": silent}))
    )
    assert digest(one) == digest(other)
    assert properties(model.ir) == before == {}
