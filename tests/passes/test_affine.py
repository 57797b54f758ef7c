from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from reuse_compiler.passes.affine import Affine, batch_norm, binary, constant


def node(body: str, form: tuple[int, ...] = (3,), value: float = 2.0) -> ir.Node:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[1,3,4] x) => (float[] y) {{ {body} }}'
    proto = parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(np.full(form, value, np.float32), "c"))
    return ir.from_proto(proto).graph[-1]


@pytest.mark.parametrize(
    ("body", "position", "scale", "shift"),
    [
        ("y = Add(x, c)", 0, 1, 2),
        ("y = Add(c, x)", 1, 1, 2),
        ("y = Sub(x, c)", 0, 1, -2),
        ("y = Sub(c, x)", 1, -1, 2),
        ("y = Mul(x, c)", 0, 2, 0),
        ("y = Mul(c, x)", 1, 2, 0),
        ("y = Div(x, c)", 0, 0.5, 0),
    ],
)
def test_the_function_of_a_binary_operator(body: str, position: int, scale: float, shift: float) -> None:
    found = binary(node(body, (1, 3, 1)), position, 1)
    assert found is not None
    assert (found.scale == scale).all() and (found.shift == shift).all()


def test_a_quotient_of_the_tensor_is_not_affine() -> None:
    assert binary(node("y = Div(c, x)", (1,)), 1, 1) is None


@pytest.mark.parametrize(
    ("form", "axis", "affine"),
    [
        ((), 1, True),
        ((1,), 1, True),
        ((3, 1), 1, True),
        ((4,), 1, False),
        ((4,), -1, True),
        ((3, 4), 1, False),
        ((2, 3, 1), 1, False),
        ((1, 1, 1, 1), 1, False),
    ],
)
def test_the_constant_has_one_value_per_channel_or_one(form: tuple[int, ...], axis: int, affine: bool) -> None:
    assert (binary(node("y = Add(x, c)", form), 0, axis) is not None) == affine


def test_scalars_and_vectors_have_no_channels() -> None:
    for shape in ("[]", "[3]"):
        text = f'<ir_version: 8, opset_import: ["" : 18]> g (float{shape} x) => (float[] y) {{ y = Add(x, c) }}'
        proto = parser.parse_model(text.replace("float[] x", "float x"))
        proto.graph.initializer.append(numpy_helper.from_array(np.ones((), np.float32), "c"))
        assert binary(ir.from_proto(proto).graph[0], 0, 1) is None


def test_a_constant_that_widens_the_channels_is_not_affine() -> None:
    text = '<ir_version: 8, opset_import: ["" : 18]> g (float[1,1,4] x) => (float[] y) { y = Add(x, c) }'
    proto = parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((3, 1), np.float32), "c"))
    assert binary(ir.from_proto(proto).graph[0], 0, 1) is None


def test_batch_norm_as_onnx_defines_it() -> None:
    found = batch_norm(node("y = BatchNormalization<epsilon=0.25>(x, c, c, c, c)"))
    assert found is not None
    np.testing.assert_allclose(found.scale, 2 / 1.5)
    np.testing.assert_allclose(found.shift, 2 - 2 * 2 / 1.5)


@pytest.mark.parametrize(
    "body",
    [
        "y, m, v = BatchNormalization<training_mode=1>(x, c, c, c, c)",
        "d = ReduceMean<keepdims=0>(x) e = Expand(d, c) y = BatchNormalization(x, c, e, c, c)",
    ],
)
def test_batch_norm_in_training_or_with_computed_statistics_is_not_affine(body: str) -> None:
    assert batch_norm(node(body)) is None


def test_what_overflows_in_float32_is_not_finite() -> None:
    fine = np.ones(2)
    assert Affine(fine, fine).is_finite
    assert not Affine(fine * 1e39, fine).is_finite
    assert not Affine(fine, fine * np.nan).is_finite


def test_only_initializers_of_two_precisions_are_constants() -> None:
    assert constant(None) is None
    for dtype, is_constant in ((np.float32, True), (np.float64, True), (np.float16, False), (np.int32, False)):
        value = ir.Value(name="v", const_value=ir.Tensor(np.ones(2, dtype)))
        assert (constant(value) is not None) == is_constant
