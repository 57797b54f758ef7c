from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.frontend import Model, load
from reuse_compiler.sites import Site, find_sites, no_site

Evaluate = Callable[..., dict[str, NDArray[Any]]]
Folder = pytest.TempPathFactory


def build(signature: str, body: str, weights: dict[str, NDArray[Any]], outputs: str = "y") -> onnx.ModelProto:
    results = ", ".join(f"float[] {output}" for output in outputs.split(", "))
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({signature}) => ({results}) {{ {body} }}'
    proto = parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


def loaded(proto: onnx.ModelProto, folder: Path) -> Model:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return load(path)


def random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(math.prod(shape)).standard_normal(shape).astype(np.float32)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[int], list[int], str]:
    """Input shape, weight shape and call, but for its operands, of a Conv or ConvTranspose of one to three axes."""
    rank = draw(st.integers(1, 3))
    group = draw(st.integers(1, 2))
    transposed = draw(st.booleans())
    axis = st.integers(1, 3)
    kernel, strides, dilations = ([draw(axis) for _ in range(rank)] for _ in range(3))
    batch = draw(st.integers(1, 2))
    shape = [batch, group * draw(st.integers(1, 2)), *[draw(st.integers(2, 6)) for _ in range(rank)]]
    outputs = draw(st.integers(1, 2))
    weight = [shape[1], outputs, *kernel] if transposed else [group * outputs, shape[1] // group, *kernel]
    attributes = f"group={group}, strides={strides}, "
    mode = "NOTSET" if transposed else draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if mode == "NOTSET":
        attributes += f"dilations={dilations}, pads={[draw(st.integers(0, 2)) for _ in range(2 * rank)]}"
    else:
        attributes += f'auto_pad="{mode}"'
    if transposed:
        attributes += f", output_padding={[draw(st.integers(0, stride - 1)) for stride in strides]}"
        sizes = [
            (n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(shape[2:], strides, kernel, dilations, strict=True)
        ]
        assume(min(sizes) > 4)  # padding of two at both ends leaves something
    return shape, weight, f"{'ConvTranspose' if transposed else 'Conv'}<{attributes}>"


@settings(max_examples=60, deadline=None)
@given(case=convolutions())
def test_geometry_and_fan_out_of_a_conv_are_those_of_onnxruntime(
    case: tuple[list[int], list[int], str], evaluate: Evaluate, tmp_path_factory: Folder
) -> None:
    shape, weight, call = case
    body = f"y = {call}(x, w)"
    sites = find_sites(loaded(build(f"float{shape} x", body, {"w": random(*weight)}), tmp_path_factory.getbasetemp()))
    assume(sites)
    site = sites[0]
    assert site.geometry is not None
    # With weights of one, an input of one is added to every output that reads it: the sum is its fan-out.
    count = math.prod(shape)
    each = count // shape[0]
    one_hot = np.tile(np.eye(each, dtype=np.float32), (shape[0], 1)).reshape(count, *shape[1:])
    ones = build(f"float{[count, *shape[1:]]} x", body, {"w": np.ones(weight, np.float32)})
    outputs = evaluate(ones, {"x": one_hot})["y"]
    assert site.geometry.out_shape == outputs.shape[2:]
    expected = outputs.reshape(count, -1).sum(1).reshape(shape)
    assert np.array_equal(np.broadcast_to(site.fan_out(), shape), expected)
    assert site.macs == expected.sum()


def test_a_conv_site_names_its_tensors(tmp_path: Path) -> None:
    weights = {"w": random(4, 1, 3, 3), "b": random(4)}
    proto = build("float[1,2,8,6] x", "a = Conv<group=2, pads=[1,0,1,2]>(x, w, b) y = Relu(a)", weights)
    (site,) = find_sites(loaded(proto, tmp_path))
    assert (site.node, site.op, site.kind, site.input, site.output) == ("a", "Conv", "conv", "x", "a")
    assert (site.weight, site.bias, site.shape) == ("w", "b", (1, 2, 8, 6))
    assert (site.rows, site.in_features, site.out_features) == (1, 2, 4)
    assert site.geometry is not None
    assert (site.geometry.pads_begin, site.geometry.pads_end) == ((1, 0), (1, 2))


# body over x, shapes of x and w, of the bias c, output of the site, (rows, in, out)
FC: dict[str, tuple[str, list[int], list[int], list[int] | None, str, tuple[int, int, int]]] = {
    "gemm": ("y = Gemm(x, w)", [1, 5], [5, 4], None, "y", (1, 5, 4)),
    "gemm, transposed": ("y = Gemm<transB=1>(x, w, c)", [1, 5], [4, 5], [4], "y", (1, 5, 4)),
    "gemm, scaled": ("y = Gemm<alpha=0.5, beta=2.0>(x, w, c)", [3, 5], [5, 4], [1, 4], "y", (3, 5, 4)),
    "gemm, scalar bias": ("y = Gemm(x, w, c)", [3, 5], [5, 4], [], "y", (3, 5, 4)),
    "gemm, bias of one": ("y = Gemm(x, w, c)", [3, 5], [5, 4], [1], "y", (3, 5, 4)),
    "gemm, bias of one by one": ("y = Gemm(x, w, c)", [1, 5], [5, 4], [1, 1], "y", (1, 5, 4)),
    "matmul": ("y = MatMul(x, w)", [1, 5], [5, 4], None, "y", (1, 5, 4)),
    "matmul and bias": ("a = MatMul(x, w) y = Add(a, c)", [1, 5], [5, 4], [4], "y", (1, 5, 4)),
    "bias and matmul": ("a = MatMul(x, w) y = Add(c, a)", [1, 5], [5, 4], [4], "y", (1, 5, 4)),
    "matmul of many rows": ("a = MatMul(x, w) y = Add(a, c)", [2, 3, 5], [5, 4], [1, 1, 4], "y", (6, 5, 4)),
    "matmul and scalar": ("a = MatMul(x, w) y = Add(a, c)", [2, 3, 5], [5, 4], [], "y", (6, 5, 4)),
    "matmul and one": ("a = MatMul(x, w) y = Add(a, c)", [3, 5], [5, 4], [1], "y", (3, 5, 4)),
    "matmul and a bias per row": ("a = MatMul(x, w) y = Add(a, c)", [3, 5], [5, 4], [3, 1], "a", (3, 5, 4)),
    "matmul and a full bias": ("a = MatMul(x, w) y = Add(a, c)", [3, 5], [5, 4], [3, 4], "a", (3, 5, 4)),
    "an add of more dimensions": ("a = MatMul(x, w) y = Add(a, c)", [3, 5], [5, 4], [1, 1, 4], "a", (3, 5, 4)),
    "an add that widens": ("a = MatMul(x, w) y = Add(a, c)", [3, 5], [5, 1], [4], "a", (3, 5, 1)),
    "an output read twice": ("a = MatMul(x, w) b = Add(a, c) y = Mul(a, b)", [3, 5], [5, 4], [4], "a", (3, 5, 4)),
    "an output added to itself": ("a = MatMul(x, w) y = Add(a, a)", [3, 5], [5, 4], None, "a", (3, 5, 4)),
    "an output and its bias": ("y = MatMul(x, w) z = Add(y, c)", [3, 5], [5, 4], [4], "y", (3, 5, 4)),
}


@pytest.mark.parametrize("name", FC)
def test_the_linear_output_of_an_fc_site_is_its_input_times_weight_plus_bias(
    name: str, evaluate: Evaluate, tmp_path: Path
) -> None:
    body, shape, weight, bias, output, sizes = FC[name]
    weights = {"w": random(*weight), **({} if bias is None else {"c": random(*bias)})}
    outputs = "y, z" if "z =" in body else "y"
    model = loaded(build(f"float{shape} x", body, weights, outputs), tmp_path)
    (site,) = find_sites(model)
    assert (site.kind, site.input, site.output, site.shape) == ("fc", "x", output, tuple(shape))
    assert (site.rows, site.in_features, site.out_features) == sizes
    assert site.macs == math.prod(sizes)
    assert np.broadcast_to(site.fan_out(), shape).sum() == site.macs
    x = random(*shape)
    proto = model.proto()
    if output not in {value.name for value in proto.graph.output}:
        proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(output))
    np.testing.assert_allclose(evaluate(proto, {"x": x})[output], linear(site, model, x), rtol=1e-5, atol=1e-5)


def linear(site: Site, model: Model, x: NDArray[np.float32]) -> NDArray[Any]:
    """The linear output of an FC site from what the site and its node say."""
    tensors = {name: numpy_helper.to_array(t) for t in model.proto().graph.initializer if (name := t.name)}
    node = next(node for node in model.proto().graph.node if node.name == site.node)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    weight = tensors[site.weight].T if attributes.get("transB", 0) else tensors[site.weight]
    bias = np.float32(0) if site.bias is None else tensors[site.bias]
    output: NDArray[Any] = attributes.get("alpha", 1) * (x @ weight) + attributes.get("beta", 1) * bias
    return output


def test_the_batch_norm_of_a_matmul_becomes_the_bias_of_its_site(tmp_path: Path) -> None:
    weights = {"w": random(5, 4), **{name: np.ones(4, np.float32) for name in "sbmv"}}
    proto = build("float[1,5] x", "a = MatMul(x, w) y = BatchNormalization(a, s, b, m, v)", weights)
    (site,) = find_sites(loaded(proto, tmp_path))
    assert (site.node, site.output) == ("a", "y")
    assert site.bias is not None


def test_sites_come_in_topological_order_and_those_of_bodies_are_left_out(tmp_path: Path) -> None:
    weights = {"w": random(4, 4), "v": random(4, 4)}
    body = """a = MatMul(x, w) b = Gemm(a, v) m = ReduceMax<keepdims=0>(b) t = Cast<to=9>(m)
        y = If(t) <then_branch = p () => (float[] q) { q = MatMul(b, w) },
                   else_branch = r () => (float[] s) { s = MatMul(b, v) }>"""
    sites = find_sites(loaded(build("float[1,4] x", body, weights), tmp_path))
    assert [site.node for site in sites] == ["a", "b"]


def test_what_breaks_a_rule_is_no_site(tmp_path: Path) -> None:
    assert not find_sites(loaded(build("float[1,4] x, float[4,4] w", "y = MatMul(x, w)", {}), tmp_path))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "z",
            'node z (MatMul) is no site by the rule "the weight, the second input, is a constant": w is an input of the model',
        ),
        ("r", "a node of Relu is no site"),
        ("Y", "node Y (RNN) has several sites, called Y.x and so on"),
        ("nothing", "the model has no such site"),
    ],
)
def test_what_is_no_site_is_told_with_the_rule_and_the_value(tmp_path: Path, name: str, reason: str) -> None:
    weights = {"W": random(1, 4, 4), "R": random(1, 4, 4)}
    body = "z = MatMul(x, w) r = Relu(z) Y, Y_h = RNN<hidden_size=4>(s, W, R) y = Exp(r)"
    model = loaded(build("float[1,4] x, float[4,4] w, float[3,1,4] s", body, weights, outputs="y, Y"), tmp_path)
    assert no_site(model, name) == reason
