from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.passes.fold_affine import FoldAffine
from reuse_compiler.passes.infer_shapes import InferShapes

Evaluate = Callable[..., dict[str, NDArray[Any]]]
Weights = dict[str, NDArray[Any]]


def statistics(channels: int, generator: np.random.Generator) -> Weights:
    return {
        "s": generator.uniform(-2, 2, channels),
        "b": generator.standard_normal(channels),
        "m": generator.standard_normal(channels),
        "v": generator.uniform(0.01, 4, channels),
    }


def build(shape: list[int], body: str, weights: Weights, outputs: str = "y", element: str = "float") -> onnx.ModelProto:
    results = ", ".join(f"{element}[] {output}" for output in outputs.split(", "))
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({element}{shape} x) => ({results}) {{ {body} }}'
    proto = parser.parse_model(text)
    dtype = {"float": np.float32, "double": np.float64, "float16": np.float16}[element]
    proto.graph.initializer.extend(numpy_helper.from_array(a.astype(dtype), name) for name, a in weights.items())
    return proto


def fold(proto: onnx.ModelProto) -> tuple[ir.Model, list[str]]:
    """The folded model and its operators."""
    model = ir.from_proto(proto)
    InferShapes()(model)
    FoldAffine()(model)
    return model, [node.op_type for node in model.graph]


def assert_same(proto: onnx.ModelProto, model: ir.Model, shape: list[int], evaluate: Evaluate) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(proto.graph.input[0].type.tensor_type.elem_type)
    feeds = {"x": np.random.default_rng(7).standard_normal(shape).astype(dtype)}
    before, after = evaluate(proto, feeds), evaluate(ir.to_proto(model), feeds)
    assert list(before) == list(after)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=0, atol=2e-5 * max(1, float(np.abs(value).max())))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[int], str, Weights]:
    """A Conv or ConvTranspose of one to three axes and a BatchNormalization behind it."""
    transposed, rank = draw(st.booleans()), draw(st.integers(1, 3))
    group, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    strides = [draw(st.integers(1, 2)) for _ in range(rank)]
    with_bias = draw(st.booleans())
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    first, second = (group * inputs, outputs) if transposed else (group * outputs, inputs)
    weights = {"w": generator.standard_normal((first, second, *kernel)), **statistics(group * outputs, generator)}
    if with_bias:
        weights["c"] = generator.standard_normal(group * outputs)
    op = "ConvTranspose" if transposed else "Conv"
    arguments = "x, w, c" if with_bias else "x, w"
    epsilon = draw(st.sampled_from(["", "<epsilon=0.1>"]))
    body = f"a = {op}<group={group}, strides={strides}>({arguments}) y = BatchNormalization{epsilon}(a, s, b, m, v)"
    return [2, group * inputs, *[5] * rank], body, weights


@settings(max_examples=60, deadline=None)
@given(case=convolutions())
def test_conv_and_conv_transpose(case: tuple[list[int], str, Weights], evaluate: Evaluate) -> None:
    shape, body, weights = case
    proto = build(shape, body, weights)
    model, operators = fold(proto)
    assert operators == [proto.graph.node[0].op_type]
    assert_same(proto, model, shape, evaluate)


@settings(max_examples=40, deadline=None)
@given(
    trans_a=st.booleans(),
    trans_b=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5, -2.0]),
    beta=st.sampled_from([1.0, 0.0, 3.0]),
    bias=st.sampled_from([None, (), (1,), (4,), (1, 4), (3, 1), (3, 4), (1, 1)]),
    seed=st.integers(0, 1000),
)
def test_gemm(
    trans_a: bool,
    trans_b: bool,
    alpha: float,
    beta: float,
    bias: tuple[int, ...] | None,
    seed: int,
    evaluate: Evaluate,
) -> None:
    generator = np.random.default_rng(seed)
    shape = [5, 3] if trans_a else [3, 5]
    weights = {"w": generator.standard_normal((4, 5) if trans_b else (5, 4)), **statistics(4, generator)}
    if bias is not None:
        weights["c"] = generator.standard_normal(bias)
    attributes = f"transA={int(trans_a)}, transB={int(trans_b)}, alpha={alpha}, beta={beta}"
    arguments = "x, w" if bias is None else "x, w, c"
    proto = build(shape, f"a = Gemm<{attributes}>({arguments}) y = BatchNormalization(a, s, b, m, v)", weights)
    model, operators = fold(proto)
    assert operators == ["Gemm"]
    assert_same(proto, model, shape, evaluate)


@pytest.mark.parametrize(
    "body",
    [
        "a = MatMul(x, w) y = BatchNormalization(a, s, b, m, v)",
        "a = MatMul(x, w) d = Add(a, c) y = BatchNormalization(d, s, b, m, v)",
        "a = MatMul(x, w) d = Add(c, a) y = BatchNormalization(d, s, b, m, v)",
    ],
)
@pytest.mark.parametrize("bias", [(), (1,), (4,), (1, 4), (3, 1), (3, 4)])
def test_matmul(body: str, bias: tuple[int, ...], evaluate: Evaluate) -> None:
    generator = np.random.default_rng(1)
    weights = {"w": generator.standard_normal((5, 4)), "c": generator.standard_normal(bias), **statistics(4, generator)}
    proto = build([3, 5], body, weights)
    model, operators = fold(proto)
    assert operators == ["MatMul", "Add"]
    assert_same(proto, model, [3, 5], evaluate)


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[int], str, Weights]:
    """A layer and up to four affine functions behind it, each of one constant per channel or one for all."""
    layer = draw(st.sampled_from(["Conv", "ConvTranspose", "Gemm", "MatMul", "MatMul + bias"]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    if layer.startswith("Conv"):
        shape, channel = [2, 3, 5, 5], [4, 1, 1]
        weights: Weights = {"w": generator.standard_normal((4, 3, 2, 2) if layer == "Conv" else (3, 4, 2, 2))}
    else:
        shape, channel = ([3, 5] if layer == "Gemm" else [2, 3, 5]), [4]
        weights = {"w": generator.standard_normal((5, 4)), "bias": generator.standard_normal(4)}
    body = "t0 = MatMul(x, w) f0 = Add(bias, t0)" if layer == "MatMul + bias" else f"f0 = {layer}(x, w)"
    count = draw(st.integers(1, 4))
    for number in range(1, count + 1):
        c, operands = f"c{number}", [f"f{number - 1}", f"c{number}"]
        form = draw(st.sampled_from([[], [1], channel, [1, *channel]]))
        weights[c] = generator.uniform(0.5, 2, form) * draw(st.sampled_from([1, -1]))
        op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
        swapped = op != "Div" and draw(st.booleans())
        body += f" f{number} = {op}({', '.join(operands[::-1] if swapped else operands)})"
    return shape, f"{body} y = Neg(f{count})", weights


@settings(max_examples=60, deadline=None)
@given(case=chains())
def test_a_chain_of_affine_functions_goes_into_the_layer(
    case: tuple[list[int], str, Weights], evaluate: Evaluate
) -> None:
    shape, body, weights = case
    proto = build(shape, body, weights)
    model, operators = fold(proto)
    assert len([op for op in operators if op not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "Neg")]) <= 1
    assert operators[1] in ("Neg", "Add")
    assert_same(proto, model, shape, evaluate)


def test_what_stands_behind_a_free_batch_norm_goes_into_it(evaluate: Evaluate) -> None:
    generator = np.random.default_rng(4)
    weights = {**statistics(3, generator), "p": generator.standard_normal((3, 1)), "q": generator.standard_normal(())}
    proto = build([2, 3, 6], "a = BatchNormalization(x, s, b, m, v) c = Mul(a, p) y = Add(q, c)", weights)
    model, operators = fold(proto)
    assert operators == ["BatchNormalization"]
    assert_same(proto, model, [2, 3, 6], evaluate)


CONV = np.random.default_rng(2).standard_normal((4, 3, 3, 3))
NORM = "y = BatchNormalization(a, s, b, m, v)"

# body, outputs: where nothing may be folded
KEPT = {
    "another node reads the output": (f"a = Conv(x, w) {NORM} z = Relu(a)", "y, z"),
    "the output is a graph output": (f"a = Conv(x, w) {NORM}", "a, y"),
    "training": ("a = Conv(x, w) y, n, o = BatchNormalization<training_mode=1>(a, s, b, m, v)", "y"),
    "no layer before": ("y = BatchNormalization(x, s3, s3, s3, v3)", "y"),
    "a layer of another kind before": (f"r = Conv(x, w) a = Relu(r) {NORM}", "y"),
    "an Add of two computed tensors": (f"p = Conv(x, w) q = Neg(p) a = Add(p, q) {NORM}", "y"),
    "an Add along another axis": ("a = Conv(x, w) y = Add(a, row)", "y"),
    "an Add that widens": ("a = Conv(x, w) y = Add(a, wide)", "y"),
    "a division by the output": ("a = Conv(x, w) y = Div(one, a)", "y"),
    "a division by zero": ("a = Conv(x, w) y = Div(a, zero)", "y"),
    "a computed factor": ("a = Conv(x, w) f = ReduceMean(x) y = Mul(a, f)", "y"),
    "a product with itself": ("a = Conv(x, w) y = Mul(a, a)", "y"),
    "an Add before an output": ("a = Conv(x, w) y = Add(a, one)", "a, y"),
    "statistics that are computed": (
        "r = ReduceMean<keepdims=0>(x) e = Expand(r, k) a = Conv(x, w) y = BatchNormalization(a, s, e, m, v)",
        "y",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_where_it_cannot_be_folded_the_model_stays(name: str, evaluate: Evaluate) -> None:
    body, outputs = KEPT[name]
    weights = {"w": CONV, **statistics(4, np.random.default_rng(3)), "s3": np.ones(3), "v3": np.ones(3)}
    weights |= {"row": np.ones((1, 4)), "wide": np.ones((1, 1, 4, 1, 1)), "zero": np.zeros(()), "one": np.ones(1)}
    proto = build([1, 3, 6, 6], body, weights, outputs)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([4]), "k"))
    model, operators = fold(proto)
    assert operators == [node.op_type for node in proto.graph.node]
    assert_same(proto, model, [1, 3, 6, 6], evaluate)


def test_statistics_that_give_infinity_are_left_to_run_time() -> None:
    weights = {"w": CONV, **statistics(4, np.random.default_rng(3))}
    weights["v"] = np.array([-1.0, 1, 1, 1])
    assert fold(build([1, 3, 6, 6], f"a = Conv(x, w) {NORM}", weights))[1] == ["Conv", "BatchNormalization"]


def test_half_precision_is_left_alone() -> None:
    weights = {"w": CONV, **statistics(4, np.random.default_rng(3))}
    proto = build([1, 3, 6, 6], f"a = Conv(x, w) {NORM}", weights, element="float16")
    assert fold(proto)[1] == ["Conv", "BatchNormalization"]


def test_double_precision_is_folded_in_double(evaluate: Evaluate) -> None:
    weights = {"w": CONV, **statistics(4, np.random.default_rng(3))}
    weights["w"] = CONV.reshape(4, -1)
    proto = build([2, 27], f"a = Gemm<transB=1>(x, w) {NORM}", weights, element="double")
    model, operators = fold(proto)
    assert operators == ["Gemm"]
    x = np.random.default_rng(0).standard_normal((2, 27))
    after, before = evaluate(ir.to_proto(model), {"x": x})["y"], evaluate(proto, {"x": x})["y"]
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)


def test_shared_weights_are_copied(evaluate: Evaluate) -> None:
    weights = {"w": CONV, **statistics(4, np.random.default_rng(3))}
    body = f"a = Conv(x, w) {NORM} d = Conv(x, w) z = BatchNormalization(d, b, s, b, v)"
    proto = build([1, 3, 6, 6], body, weights, "y, z")
    model, operators = fold(proto)
    assert operators == ["Conv", "Conv"]
    assert_same(proto, model, [1, 3, 6, 6], evaluate)


def test_the_layer_keeps_its_name_and_its_output_takes_that_of_the_normalization() -> None:
    proto = build([1, 3, 6, 6], f"a = Conv(x, w) {NORM}", {"w": CONV, **statistics(4, np.random.default_rng(3))})
    proto.graph.node[0].name = "layer"
    model, _ = fold(proto)
    assert [node.name for node in model.graph] == ["layer"]
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert model.graph.outputs[0].shape == ir.Shape([1, 4, 4, 4])
