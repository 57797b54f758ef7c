from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from reuse_compiler.passes.fold_constants import FoldConstants
from reuse_compiler.passes.infer_shapes import InferShapes

Evaluate = Callable[..., dict[str, np.ndarray]]

# body over x [2,3,4] and the initializers w [4,5] and i [2] (int64); operators that stay
CASES = {
    "a chain of constants": ("a = Neg(w) b = Exp(a) y = MatMul(x, b)", ["MatMul"]),
    "constant nodes": ("c = Constant<value_float=2.0>() y = Mul(x, c)", ["Mul"]),
    "the shape of an input": (
        (
            "s = Shape(x) k = Constant<value_ints=[0]>() n = Gather(s, k) m = Constant<value_ints=[-1]>()"
            " t = Concat<axis=0>(n, m) y = Reshape(x, t)"
        ),
        ["Reshape"],
    ),
    "part of a shape": ("s = Shape<start=1, end=-1>(x) f = Cast<to=1>(s) y = Mul(x, f)", ["Mul"]),
    "the size of an input": ("s = Size(x) f = Cast<to=1>(s) y = Mul(x, f)", ["Mul"]),
    "several outputs": (
        "a, b = Split<axis=0, num_outputs=2>(w) s = Add(a, b) t = MatMul(x, w) y = Add(t, t)",
        ["MatMul", "Add"],
    ),
    "an output of several": (
        "a, b = Split<axis=0, num_outputs=2>(w) s = Concat<axis=0>(b, a) y = MatMul(x, s)",
        ["MatMul"],
    ),
    "a value used inside and outside": (
        "a = Neg(w) b = Exp(a) c = Add(a, b) p = MatMul(x, a) q = MatMul(x, c) y = Add(p, q)",
        ["MatMul", "MatMul", "Add"],
    ),
    "a constant output": ("a = Neg(w) y = Exp(a)", ["Exp"]),
    "a shape as output": ("y = Shape(x)", ["Shape"]),
    "random numbers": ("r = RandomNormalLike<seed=1.0>(w) y = MatMul(x, r)", ["RandomNormalLike", "MatMul"]),
    "a body": (
        (
            "c = Constant<value_int=1>() b = Cast<to=9>(c) z = If(b) <then_branch = t () => (float[] p) { p = Exp(w) },"
            " else_branch = e () => (float[] q) { q = Neg(w) }> y = MatMul(x, z)"
        ),
        ["If", "MatMul"],
    ),
    "a constant that a body reads": (
        (
            "a = Neg(w) m = ReduceMax<keepdims=0>(x) b = Cast<to=9>(m) z = If(b) <then_branch = t () => (float[] p) { p = Exp(a) },"
            " else_branch = e () => (float[] q) { q = Neg(a) }> y = MatMul(x, z)"
        ),
        ["ReduceMax", "Cast", "If", "MatMul"],
    ),
}


def build(body: str, out: str = "float[] y", extra: dict[str, np.ndarray[Any, Any]] | None = None) -> Any:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[2,3,4] x) => ({out}) {{ {body} }}'
    proto = parser.parse_model(text)
    weights = {"w": np.random.default_rng(3).standard_normal((4, 5)).astype(np.float32), **(extra or {})}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


@pytest.mark.parametrize("name", CASES)
def test_what_is_known_is_folded_and_values_stay(name: str, evaluate: Evaluate) -> None:
    body, left = CASES[name]
    proto = build(body, "int64[] y" if name == "a shape as output" else "float[] y")
    model = ir.from_proto(proto)
    for _ in range(2):
        InferShapes()(model)
        FoldConstants()(model)
    used = [node.op_type for node in model.graph if any(v.uses() or v.is_graph_output() for v in node.outputs)]
    assert used == left
    assert not FoldConstants()(model).modified
    if name == "random numbers":
        return
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)}
    np.testing.assert_allclose(evaluate(ir.to_proto(model), feeds)["y"], evaluate(proto, feeds)["y"], rtol=1e-6)


def test_a_node_above_the_limit_stays() -> None:
    model = ir.from_proto(build("a = Neg(w) y = MatMul(x, a)"))
    InferShapes()(model)
    assert not FoldConstants(max_bytes=79)(model).modified
    assert FoldConstants(max_bytes=80)(model).modified


def test_what_onnxruntime_cannot_compute_stays_and_the_rest_is_folded() -> None:
    # onnxruntime has no bfloat16 Neg on the CPU.
    model = ir.from_proto(
        build("b = Cast<to=16>(w) a = Neg(b) n = Neg(w) f = Cast<to=1>(a) s = Add(n, f) y = MatMul(x, s)")
    )
    InferShapes()(model)
    assert FoldConstants()(model).modified
    assert "n" in model.graph.initializers
    assert "a" not in model.graph.initializers


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int32, np.uint8, np.int64, np.bool_])
def test_large_constants_of_every_plain_type_are_folded(dtype: type) -> None:
    array: np.ndarray[Any, Any] = np.arange(6000).reshape(60, 100).astype(dtype)
    proto = build("a = Transpose(v) y = Cast<to=1>(x) z = Cast<to=1>(a)", "float[] y, float[] z", {"v": array})
    model = ir.from_proto(proto)
    InferShapes()(model)
    FoldConstants()(model)
    folded = model.graph.initializers["a"].const_value
    assert folded is not None and folded.numpy().dtype == dtype
    assert np.array_equal(folded.numpy(), array.T)


def test_strings_stay_right() -> None:
    proto = build(
        "a = Identity(v) b = Reshape(a, k) y = Relu(x)",
        "float[] y, string[] b",
        {"v": np.array(["p", "q"], object), "k": np.array([2, 1])},
    )
    model = ir.from_proto(proto)
    InferShapes()(model)
    FoldConstants()(model)
    assert [node.op_type for node in model.graph if node.op_type != "Identity"] == ["Reshape", "Relu"]
