"""From a reuse model back to the network that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.operators import reuse_nodes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.passes.without_reuse import WithoutReuse
from reuse_compiler.plan import Plan

Arrays = dict[str, NDArray[Any]]
Load = Callable[..., Model]
PlanFor = Callable[..., Plan]
Run = Callable[[ir.Model, Arrays], Arrays]

NETWORK = """
net (float[1, 4, 6, 6] x) => (float[1, 3] y, float[1, 4, 12, 12] t) {
    a = Conv <pads = [1, 1, 1, 1], group = 2> (x, W1, B1)
    b = Relu (a)
    c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (b, W2)
    six = Constant <value_float = 6.0> ()
    nothing = Constant <value_float = 0.0> ()
    d = Clip (c, nothing, six)
    t = ConvTranspose <strides = [2, 2], output_padding = [1, 1], pads = [1, 1, 1, 1]> (b, W3)
    f = Flatten (d)
    g = MatMul (f, W4)
    h = Add (g, B4)
    i = LeakyRelu <alpha = 0.25> (h)
    y = Gemm (i, W5, B5)
}"""
WEIGHTS = {"W1": (4, 2, 3, 3), "B1": (4,), "W2": (4, 4, 3, 3), "W3": (4, 4, 3, 3), "W4": (36, 5), "B4": (5,)}
WEIGHTS |= {"W5": (5, 3), "B5": (3,)}
LAYERS = {
    "LSTM": ("LSTM <hidden_size = 5{}> (x, W, R, B, , , , P)", 4),
    "GRU": ("GRU <hidden_size = 5{}> (x, W, R, B)", 3),
    "RNN": ("RNN <hidden_size = 5{}> (x, W, R, B)", 1),
}
OPTIONS = {
    "LSTM": ["", ', direction = "reverse"', ", input_forget = 1", ", clip = 0.5"],
    "GRU": ["", ", linear_before_reset = 1", ', direction = "bidirectional"'],
    "RNN": ["", ', activations = ["LeakyRelu"], activation_alpha = [0.25]'],
}


def outputs(model: ir.Model, feed: Arrays) -> Arrays:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, feed), strict=True))


def test_the_network_is_the_original_with_its_own_interface(load: Load, plan_for: PlanFor, run: Run) -> None:
    model = load(NETWORK, **WEIGHTS)
    reuse = rewrite(model, plan_for(model))
    assert len(reuse_nodes(reuse)) == 5
    assert WithoutReuse()(reuse).modified
    assert [value.name for value in reuse.graph.inputs] == ["x"]
    assert [value.name for value in reuse.graph.outputs] == ["y", "t"]
    assert not reuse.functions and not reuse_nodes(reuse)
    x = np.random.default_rng(0).standard_normal((1, 4, 6, 6)).astype(np.float32)
    expected = outputs(model.ir, {"x": x})
    for name, found in run(reuse, {"x": x}).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-5)


def test_layers_that_are_not_named_keep_their_reuse_and_their_state(load: Load, plan_for: PlanFor, run: Run) -> None:
    model = load(NETWORK, **WEIGHTS)
    reuse = rewrite(model, plan_for(model))
    WithoutReuse(frozenset({"a", "g"}))(reuse)
    assert [node.name for node in reuse_nodes(reuse)] == ["c", "t", "y"]
    assert {value.name for value in reuse.graph.inputs if "past_" in str(value.name)} == {
        f"past_{what}_{node}" for node in ("c", "t", "y") for what in ("index", "linear")
    }
    x = np.random.default_rng(0).integers(-4, 5, (1, 4, 6, 6)).astype(np.float32) / 4
    assert np.isfinite(run(reuse, {"x": x})["y"]).all()


def test_a_model_without_reuse_is_left_alone(load: Load) -> None:
    model = load(NETWORK, **WEIGHTS).ir.clone()
    assert not WithoutReuse()(model).modified


@pytest.mark.parametrize(("kind", "option"), [(kind, option) for kind, some in OPTIONS.items() for option in some])
def test_recurrent_layers_have_their_weights_back(load: Load, plan_for: PlanFor, kind: str, option: str) -> None:
    text, gates = LAYERS[kind]
    directions = 2 if "bidirectional" in option else 1
    body = text.format(option)
    network = f"net (float[4, 2, 3] x) => (float[4, {directions}, 2, 5] y) {{ y = {body} }}"
    weights = {"W": (directions, gates * 5, 3), "R": (directions, gates * 5, 5), "B": (directions, gates * 10)}
    model = load(network, **weights, **({"P": (directions, 15)} if kind == "LSTM" else {}))
    reuse = rewrite(model, plan_for(model))
    WithoutReuse()(reuse)
    assert [value.name for value in reuse.graph.inputs] == ["x"]
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(outputs(reuse, {"x": x})["y"], outputs(model.ir, {"x": x})["y"], rtol=1e-5, atol=1e-6)
