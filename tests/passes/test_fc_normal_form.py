from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.passes.fc_normal_form import FcNormalForm
from reuse_compiler.passes.infer_shapes import InferShapes

Evaluate = Callable[..., dict[str, NDArray[Any]]]
Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def random(shape: Shape, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def build(body: str, inputs: Shapes, weights: Shapes, element: str = "float") -> onnx.ModelProto:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> g () => ({element}[] y) {{ {body} }}')
    dtype = {"float": np.float32, "double": np.float64}[element]
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    proto.graph.input.extend(onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items())
    for seed, (name, shape) in enumerate(weights.items()):
        proto.graph.initializer.append(numpy_helper.from_array(random(shape, seed).astype(dtype), name))
    return proto


def normalized(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    for node in model.graph:
        node.name = node.outputs[0].name
    InferShapes()(model)
    FcNormalForm()(model)
    assert not FcNormalForm()(model).modified
    return model


def assert_same(proto: onnx.ModelProto, model: ir.Model, inputs: Shapes, evaluate: Evaluate) -> None:
    """Outputs agree, and the shapes that the pass gave are those that onnx infers."""
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    feeds = {name: random(shape, 100 + number) for number, (name, shape) in enumerate(inputs.items())}
    expected, result = evaluate(proto, feeds)["y"], evaluate(after, feeds)["y"]
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    given = {value.name: value.shape for node in model.graph for value in node.outputs}
    InferShapes()(model)
    assert {value.name: value.shape for node in model.graph for value in node.outputs} == given


def the_product(model: ir.Model) -> ir.Node:
    [node] = [node for node in model.graph if node.op_type in ("Conv", "Gemm", "MatMul")]
    return node


def is_normal(node: ir.Node) -> bool:
    x, weight, *bias = (value for value in node.inputs if value is not None and value.shape is not None)
    assert x.shape is not None and weight.const_value is not None
    if node.op_type == "Gemm":
        row = all(c.const_value is not None and np.atleast_2d(c.const_value.numpy()).shape[0] == 1 for c in bias)
        return row and not node.attributes.get_int("transA", 0) and x.const_value is None
    return node.op_type == "MatMul" and len(weight.const_value.shape) == 2 and len(x.shape) >= 2


@given(
    trans_a=st.booleans(),
    trans_b=st.booleans(),
    left=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5]),
    beta=st.sampled_from([1.0, -2.0, 0.0]),
    bias=st.sampled_from([None, (), (1,), (4,), (1, 1), (1, 4), (3, 1), (3, 4)]),
    bias_is_constant=st.booleans(),
)
def test_gemm(
    trans_a: bool,
    trans_b: bool,
    left: bool,
    alpha: float,
    beta: float,
    bias: Shape | None,
    bias_is_constant: bool,
    evaluate: Evaluate,
) -> None:
    shapes: dict[str, Shape] = {"a": (5, 3) if trans_a else (3, 5), "b": (4, 5) if trans_b else (5, 4)}
    if bias is not None:
        shapes["c"] = bias
    constant = {"a" if left else "b", *(["c"] if bias_is_constant else [])}
    inputs = {name: shape for name, shape in shapes.items() if name not in constant}
    weights = {name: shape for name, shape in shapes.items() if name in constant}
    attributes = f"transA={int(trans_a)}, transB={int(trans_b)}, alpha={alpha}, beta={beta}"
    proto = build(f"y = Gemm<{attributes}>({', '.join(shapes)})", inputs, weights)
    model = normalized(proto)
    assert_same(proto, model, inputs, evaluate)
    node = the_product(model)
    assert node.op_type == "Gemm" and node.name == "y" and is_normal(node)


@st.composite
def operands(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Shapes of two operands that MatMul takes."""
    rows, inner, columns = (draw(st.integers(1, 4)) for _ in range(3))
    outer = draw(st.lists(st.integers(1, 3), max_size=3))
    cut = draw(st.tuples(st.integers(0, len(outer)), st.integers(0, len(outer))))
    ones = [draw(st.tuples(st.booleans(), st.booleans())) for _ in outer]
    a = [1 if one else size for size, (one, _) in zip(outer, ones, strict=True)][cut[0] :]
    b = [1 if one else size for size, (_, one) in zip(outer, ones, strict=True)][cut[1] :]
    a = [inner] if not a and draw(st.booleans()) else [*a, rows, inner]
    b = [inner] if not b and draw(st.booleans()) else [*b, inner, columns]
    return tuple(a), tuple(b)


@given(shapes=operands(), left=st.booleans())
def test_matmul(shapes: tuple[Shape, Shape], left: bool, evaluate: Evaluate) -> None:
    a, b = shapes
    inputs, weights = ({"b": b}, {"a": a}) if left else ({"a": a}, {"b": b})
    proto = build("y = MatMul(a, b)", inputs, weights)
    model = normalized(proto)
    assert_same(proto, model, inputs, evaluate)
    node = the_product(model)
    assert node.name == "y"
    batch = (a if left else b)[:-2]
    if all(size == 1 for size in batch):
        assert is_normal(node)
    else:
        assert node.op_type == "Conv" and node.attributes.get_int("group") == np.prod(batch)


def test_what_is_normal_stays() -> None:
    inputs = {"x": (2, 3)}
    weights = {"w": (3, 4), "v": (4, 4), "c": (1, 4), "d": (4,)}
    body = "a = Gemm<alpha=2.0, beta=3.0>(x, w, c) b = Gemm<transB=1>(a, v, d) m = MatMul(b, v) y = Add(m, d)"
    model = ir.from_proto(build(body, inputs, weights))
    InferShapes()(model)
    assert not FcNormalForm()(model).modified


@pytest.mark.parametrize("body", ["y = MatMul(x, z)", "y = Gemm<transA=1>(x, z)", "y = MatMul(w, v)"])
def test_a_product_of_two_variables_or_two_constants_stays(body: str) -> None:
    model = ir.from_proto(build(body, {"x": (3, 3), "z": (3, 3)}, {"w": (3, 3), "v": (3, 3)}))
    InferShapes()(model)
    assert not FcNormalForm()(model).modified


def test_another_precision_stays() -> None:
    model = ir.from_proto(build("y = MatMul(w, x)", {"x": (3, 3)}, {"w": (3, 3)}, "double"))
    InferShapes()(model)
    assert not FcNormalForm()(model).modified


def test_an_input_of_open_shape_stays() -> None:
    proto = build("y = MatMul(w, x)", {"x": (3, 3)}, {"w": (3, 3)})
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "N"
    model = ir.from_proto(proto)
    InferShapes()(model)
    assert not FcNormalForm()(model).modified


def test_nodes_that_share_a_weight_share_what_it_becomes() -> None:
    proto = build("a = MatMul(w, x) y = MatMul(w, a)", {"x": (3, 3)}, {"w": (3, 3)})
    model = normalized(proto)
    products = [node for node in model.graph if node.op_type == "MatMul"]
    assert len({node.inputs[1] for node in products}) == 1


def test_a_bias_whose_rows_are_equal_becomes_one_row(evaluate: Evaluate) -> None:
    proto = build("y = Gemm(x, w, c)", {"x": (2, 3)}, {"w": (3, 4)})
    proto.graph.initializer.append(numpy_helper.from_array(np.tile(random((1, 4), 9), (2, 1)), "c"))
    model = normalized(proto)
    assert [node.op_type for node in model.graph] == ["Gemm"]
    assert_same(proto, model, {"x": (2, 3)}, evaluate)


def test_an_output_in_the_middle_keeps_its_name(evaluate: Evaluate) -> None:
    proto = build("a = MatMul(w, x) y = Relu(a)", {"x": (3, 2)}, {"w": (4, 3)})
    proto.graph.output.append(onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, None))
    model = normalized(proto)
    feeds = {"x": random((3, 2), 5)}
    np.testing.assert_allclose(evaluate(ir.to_proto(model), feeds)["a"], evaluate(proto, feeds)["a"], rtol=1e-5)
