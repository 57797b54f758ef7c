"""State as inputs and outputs of the model: behind its own, in topological order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import Model
from reuse_compiler.operators import reuse_nodes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan

Arrays = dict[str, NDArray[Any]]
Load = Callable[..., Model]
PlanFor = Callable[..., Plan]
Run = Callable[[ir.Model, Arrays], Arrays]

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


def test_the_original_interface_comes_first_and_state_in_topological_order(
    load: Load, plan_for: PlanFor, run: Run
) -> None:
    model = load(NETWORK, **WEIGHTS)
    before = model.proto().SerializeToString(deterministic=True)
    reuse = rewrite(model, plan_for(model))
    order = ["a", "c", "d", "g", "y"]
    assert [node.name for node in reuse_nodes(reuse)] == order
    assert [value.name for value in reuse.graph.inputs] == [
        "x",
        *(f"past_{kind}_{node}" for node in order for kind in ("index", "linear")),
    ]
    assert [value.name for value in reuse.graph.outputs] == [
        "y",
        "r",
        *(f"present_{kind}_{node}" for node in order for kind in ("index", "linear")),
    ]
    assert reuse.metadata_props["reuse.source_sha256"] == model.sha256
    assert set(reuse.functions) == {("ai.reuse", "ReuseConv", ""), ("ai.reuse", "ReuseGemm", "")}
    assert model.proto().SerializeToString(deterministic=True) == before
    assert list(run(reuse, {"x": np.ones((1, 2, 6, 6), np.float32)})) == [value.name for value in reuse.graph.outputs]


def test_the_state_of_conv_has_its_channels_last_and_that_of_fc_is_as_x_and_y(load: Load, plan_for: PlanFor) -> None:
    model = load(
        """net (float[2, 2, 6, 5] x) => (float[2, 3] y) {
            a = Conv <pads = [1, 1, 1, 1]> (x, W1)
            b = ConvTranspose <strides = [2, 1]> (a, W2)
            f = Flatten (b)
            y = MatMul (f, W3)
        }""",
        W1=(4, 2, 3, 3),
        W2=(4, 3, 2, 1),
        W3=(180, 3),
    )
    reuse = rewrite(model, plan_for(model))
    shapes = {str(value.name): value.shape for value in (*reuse.graph.inputs, *reuse.graph.outputs)}
    for node, index, linear in (
        ("a", (2, 6, 5, 2), (2, 6, 5, 4)),
        ("b", (2, 6, 5, 4), (2, 12, 5, 3)),
        ("y", (2, 180), (2, 3)),
    ):
        for when in ("past", "present"):
            assert shapes[f"{when}_index_{node}"] == index
            assert shapes[f"{when}_linear_{node}"] == linear
    assert [tuple(node.outputs[0].shape or ()) for node in reuse_nodes(reuse)] == [(2, 4, 6, 5), (2, 3, 12, 5), (2, 3)]


def test_a_taken_state_name_is_rejected(load: Load, plan_for: PlanFor) -> None:
    text = """net (float[1, 4] x) => (float[1, 4] past_index_y) { y = Gemm (x, W)  past_index_y = Neg (y) }"""
    model = load(text, W=(4, 4))
    with pytest.raises(ModelError, match="past_index_y: the name is needed"):
        rewrite(model, plan_for(model))
