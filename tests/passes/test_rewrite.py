"""Rewriting a model by a plan: valid plain ONNX, the same function on quantized inputs, nothing else changed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.errors import ModelError, PlanError
from reuse_compiler.frontend import Model
from reuse_compiler.operators import (
    Activation,
    initial_index,
    initial_linear,
    read_activation,
    read_conv,
    read_quantizer,
    reuse_nodes,
)
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.sites import find_sites

Load = Callable[..., Model]
STEP, ZERO, CLUSTERS = 0.25, 16, 32


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a model given as ONNX text, with random quarter-integer arrays for the initializers in `weights`."""

    def build(text: str, **weights: tuple[int, ...]) -> Model:
        proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 13]> {text}')
        generator = np.random.default_rng(len(text))
        for name, shape in weights.items():
            array = (generator.integers(-8, 9, shape) / 4).astype(np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        path = tmp_path / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)

    return build


def plan_for(model: Model, nodes: Collection[str] | None = None, deadband: float | list[float] = 0.0) -> Plan:
    """Reuse with one quantizer at `nodes`, all sites by default."""
    spec = QuantizerSpec(step=STEP, zero=ZERO, clusters=CLUSTERS, deadband=deadband)
    return Plan(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        sites=[
            SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec)
            if nodes is None or site.node in nodes
            else SitePlan(node=site.node, input=site.input, op=site.op, mode="dense")
            for site in find_sites(model)
        ],
    )


def run(model: ir.Model | onnx.ModelProto, feed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run a valid model in stock onnxruntime; past state that `feed` lacks is where a sequence starts."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    onnx.checker.check_model(proto, full_check=True)
    for node in reuse_nodes(model) if isinstance(model, ir.Model) else []:
        feed = {str(node.inputs[1].name): initial_index(node), str(node.inputs[2].name): initial_linear(node)} | feed  # type: ignore[union-attr]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def frames(*shape: int) -> list[NDArray[np.float32]]:
    """Two frames on the centroids, half of the elements changed."""
    generator = np.random.default_rng(1)
    first, other = ((generator.integers(-ZERO, CLUSTERS - ZERO, shape) * STEP).astype(np.float32) for _ in range(2))
    return [first, np.where(generator.random(shape) < 0.5, first, other)]


def assert_same_on_centroids(model: Model, reuse: ir.Model, name: str = "x") -> None:
    """On inputs that are centroids already, two frames of the reuse model give exactly what the model gives."""
    shape = next(spec.shape for spec in model.inputs if spec.name == name)
    feed: dict[str, NDArray[Any]] = {}
    for frame in frames(*shape):
        expected = run(model.proto(), {name: frame})
        result = run(reuse, {name: frame} | feed)
        for output, value in expected.items():
            np.testing.assert_array_equal(result[output], value)
        feed = {key.replace("present_", "past_", 1): result[key] for key in result if key.startswith("present_")}


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


CONV = """
net (float[1, 4, 10, 8] x) => (float[M, N, H, W] y) {
    y = Conv <group = 2, strides = [2, 1], dilations = [1, 2], PADDING> (x, W, B)
}"""


@pytest.mark.parametrize(
    ("padding", "pads"),
    [
        ("pads = [1, 0, 2, 3]", (1, 0, 2, 3)),
        ('auto_pad = "VALID"', (0, 0, 0, 0)),
        ('auto_pad = "SAME_UPPER"', (0, 2, 1, 2)),
        ('auto_pad = "SAME_LOWER"', (1, 2, 0, 2)),
    ],
)
def test_a_conv_keeps_its_geometry_with_pads_written_out(load: Load, padding: str, pads: tuple[int, ...]) -> None:
    model = load(CONV.replace("PADDING", padding), W=(6, 2, 3, 3), B=(6,))
    reuse = rewrite(model, plan_for(model))
    [node] = reuse.graph
    assert read_conv(node).pads == pads
    assert read_conv(node).strides == (2, 1) and read_conv(node).dilations == (1, 2) and read_conv(node).group == 2
    assert_same_on_centroids(model, reuse)


@pytest.mark.parametrize("rank", [1, 3])
def test_conv_of_other_ranks_and_without_bias(load: Load, rank: int) -> None:
    text = f"net (float[{', '.join(['1', '2', *['6'] * rank])}] x) => (float[{', '.join('ABCDE'[: rank + 2])}] y)"
    model = load(text + "{ y = Conv (x, W) }", W=(3, 2, *(3,) * rank))
    assert_same_on_centroids(model, rewrite(model, plan_for(model)))


@pytest.mark.parametrize("bias", [(), (1,), (5,), (1, 5), (1, 1)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_alpha_beta_and_transpose_of_a_gemm_go_into_its_weights(
    load: Load, bias: tuple[int, ...], transposed: int
) -> None:
    text = "net (float[3, 4] x) => (float[3, 5] y) { y = Gemm <alpha = 0.5, beta = 2.0, transB = T> (x, W, B) }"
    model = load(text.replace("T>", f"{transposed}>"), W=(5, 4) if transposed else (4, 5), B=bias)
    reuse = rewrite(model, plan_for(model))
    assert_same_on_centroids(model, reuse)
    assert {tuple(value.shape or ()) for value in reuse.graph.initializers.values()} == {(4, 5), (5,)}


def test_a_gemm_without_bias_gets_zeros(load: Load) -> None:
    model = load("net (float[1, 4] x) => (float[1, 5] y) { y = Gemm (x, W) }", W=(4, 5))
    assert_same_on_centroids(model, rewrite(model, plan_for(model)))


@pytest.mark.parametrize("order", ["h, B", "B, h"])
def test_the_bias_behind_a_matmul_is_absorbed(load: Load, order: str) -> None:
    text = "net (float[1, 3, 4] x) => (float[1, 3, 5] y) { h = MatMul (x, W) y = Add (ORDER) }"
    model = load(text.replace("ORDER", order), W=(4, 5), B=(5,))
    reuse = rewrite(model, plan_for(model))
    assert ops(reuse) == ["ReuseGemm"]
    assert_same_on_centroids(model, reuse)


def test_a_matmul_whose_product_is_read_twice_keeps_the_add(load: Load) -> None:
    text = "net (float[3, 4] x) => (float[3, 5] y, float[3, 5] z) { h = MatMul (x, W) y = Add (h, B) z = Neg (h) }"
    model = load(text, W=(4, 5), B=(5,))
    reuse = rewrite(model, plan_for(model))
    assert sorted(ops(reuse)) == ["Add", "Neg", "ReuseGemm"]
    assert_same_on_centroids(model, reuse)


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
def test_the_activation_behind_a_site_is_fused(load: Load, activation: str, expected: Activation | None) -> None:
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
def test_an_activation_stays_where_the_linear_output_is_needed_itself(load: Load, text: str) -> None:
    model = load(text, W=(4, 5), B=(5,))
    reuse = rewrite(model, plan_for(model))
    assert "Relu" in ops(reuse)
    assert_same_on_centroids(model, reuse)


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


def test_the_original_interface_comes_first_and_state_in_topological_order(load: Load) -> None:
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
    run(reuse, {"x": frames(1, 2, 6, 6)[0]})


def test_only_planned_sites_change(load: Load) -> None:
    model = load(NETWORK, **WEIGHTS)
    reuse = rewrite(model, plan_for(model, ["a"]))
    assert [node.name for node in reuse_nodes(reuse)] == ["a"]
    assert [node.name for node in reuse.graph if node.op_type == "Conv"] == ["c", "d"]
    assert_same_on_centroids(model, reuse)
    assert rewrite(model, plan_for(model, [])).functions == {}


def test_shared_weights_are_folded_once(load: Load) -> None:
    text = """net (float[1, 4] x) => (float[1, 4] y) {
        a = Gemm <transB = 1> (x, W, B)  b = Gemm <transB = 1> (a, W, B)  c = Gemm (b, W)  y = Gemm (c, W) }"""
    model = load(text, W=(4, 4), B=(4,))
    reuse = rewrite(model, plan_for(model))
    a, b, c, y = (node.inputs[3] for node in reuse_nodes(reuse))
    assert a is b and c is y and a is not c
    assert len(reuse.graph.initializers) == 4  # both orders of W, B, and zeros


def test_the_quantizer_is_written_into_the_node(load: Load) -> None:
    model = load(NETWORK, **WEIGHTS)
    plan = plan_for(model, ["a"], deadband=[0.0, 0.5])
    reuse = rewrite(model, plan)
    assert read_quantizer(reuse_nodes(reuse)[0]) == plan.quantizers()["a"]


def test_fed_back_state_is_kept_with_the_file(load: Load) -> None:
    model = load("net (float[1, 4] x) => (float[1, 4] y) { y = Gemm (x, W) }", W=(4, 4))
    plan = plan_for(model)
    assert "reuse.state" not in rewrite(model, plan).metadata_props
    plan.state = {"x": "y"}
    assert rewrite(model, plan).metadata_props["reuse.state"] == '{"x": "y"}'


def test_a_plan_for_another_model_names_both(load: Load) -> None:
    model = load(NETWORK, **WEIGHTS)
    plan = plan_for(model)
    plan.model.sha256 = "0" * 64
    with pytest.raises(PlanError, match=f"{'0' * 64}.*{model.sha256}"):
        rewrite(model, plan)


def test_a_plan_that_does_not_fit_is_rejected(load: Load) -> None:
    model = load(NETWORK, **WEIGHTS)
    plan = plan_for(model)
    plan.sites[1].node = "nowhere"
    with pytest.raises(PlanError, match=r"site nowhere: .* has no such site"):
        rewrite(model, plan)
    plan = plan_for(model, ["c"])
    plan.sites[1].input = "x"
    with pytest.raises(PlanError, match="site c: its input is b, not x"):
        rewrite(model, plan)
    plan = plan_for(model, ["c"], deadband=[0.0, 0.1, 0.2])
    with pytest.raises(PlanError, match="site c: 3 deadbands for 4 channels"):
        rewrite(model, plan)


def test_a_taken_state_name_is_rejected(load: Load) -> None:
    text = """net (float[1, 4] x) => (float[1, 4] past_index_y) { y = Gemm (x, W)  past_index_y = Neg (y) }"""
    model = load(text, W=(4, 4))
    with pytest.raises(ModelError, match="past_index_y: the name is needed"):
        rewrite(model, plan_for(model))
