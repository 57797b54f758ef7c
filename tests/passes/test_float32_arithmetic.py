from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from reuse_compiler.errors import ModelError
from reuse_compiler.passes.float32_arithmetic import Float32Arithmetic
from reuse_compiler.passes.infer_shapes import InferShapes

Array = NDArray[Any]
Evaluate = Callable[..., dict[str, Array]]
DTYPES = {"float16": np.float16, "double": np.float64, "bfloat16": ml_dtypes.bfloat16, "float": np.float32}
TOLERANCE = {"float16": 5e-3, "double": 1e-5}

BODIES = {
    "conv": "a = Conv(x, k) y = Relu(a)",
    "gemm behind a constant": "c = Constant<value = float[1] {{2.0}}>() m = Mul(w, c) f = Flatten(x) y = Gemm(f, m, b)",
    "casts": "i = Cast<to=6>(x) h = Cast<to={N}>(i) f = Flatten(h) y = MatMul(f, w)",
    "named types": (
        "s = Shape(x) z = ConstantOfShape<value = float[1] {{0.5}}>(s) e = Flatten(z) r = EyeLike<dtype={N}>(e)"
        " f = Flatten(x) t = Add(f, r) y = MatMul(t, w)"
    ),
    "a body": (
        "n = ReduceMax<keepdims=0>(x) q = Cast<to=9>(n) f = Flatten(x) y = If(q) <then_branch = t () => ({E}[1,3] p)"
        " {{ g = Gemm(f, w) p = Add(g, u) }}, else_branch = e () => ({E}[1,3] o) {{ o = Gemm(f, w) }}>"
    ),
    "sequences": "f = Flatten(x) s = SequenceConstruct(f, f) c = ConcatFromSequence<axis=0>(s) y = MatMul(c, w)",
    "an output that is read on": "y = Conv(x, k) z = Relu(y)",
}


def build(body: str, element: str, signature: str = "", outputs: str = "", opset: int = 18) -> onnx.ModelProto:
    number = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[element]))
    text = body.format(E=element, N=number) if body in BODIES.values() else body
    proto = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]> g ({signature or f"{element}[1,2,4,4] x"}) =>
        ({outputs or f"{element}[] y"}) {{ {text} }}"""
    )
    generator = np.random.default_rng(0)
    for name, shape in {"k": (3, 2, 3, 3), "w": (32, 3), "b": (3,), "u": (1, 3)}.items():
        array = generator.standard_normal(shape).astype(DTYPES[element])
        if f"{name})" in text or f"{name}," in text:
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    for attribute in (
        attribute for node in proto.graph.node for attribute in node.attribute if attribute.HasField("t")
    ):
        attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(DTYPES[element])))
    return proto


def converted(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    InferShapes()(model)
    assert Float32Arithmetic()(model).modified
    assert not Float32Arithmetic()(model).modified
    return model


def types_inside(model: ir.Model) -> set[ir.DataType | None]:
    """Types of all values but the inputs and outputs of the graph."""
    found = {value.dtype for node in model.graph.all_nodes() for value in node.outputs if not value.is_graph_output()}
    return found | {value.dtype for value in model.graph.initializers.values()}


@pytest.mark.parametrize("element", TOLERANCE)
@pytest.mark.parametrize("name", BODIES)
def test_layers_compute_in_float32_and_the_interface_stays(name: str, element: str, evaluate: Evaluate) -> None:
    # onnxruntime has no Conv in double: the reference implementation is the judge.
    proto = build(BODIES[name], element)
    model = converted(proto)
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    assert not types_inside(model) & {ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16}
    assert after.graph.input == proto.graph.input
    x = np.random.default_rng(1).standard_normal((1, 2, 4, 4)).astype(DTYPES[element])
    judged: Any = ReferenceEvaluator(proto).run(["y"], {"x": x})
    expected, result = judged[0], evaluate(after, {"x": x})["y"]
    assert result.dtype == expected.dtype == DTYPES[element]
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE[element] * np.abs(expected).max())


def test_bfloat16_becomes_float32() -> None:
    model = converted(build(BODIES["conv"], "bfloat16", opset=22))
    assert model.graph.inputs[0].dtype == model.graph.outputs[0].dtype == ir.DataType.BFLOAT16
    assert [node.op_type for node in model.graph] == ["Cast", "Conv", "Relu", "Cast"]


def test_an_input_that_is_an_output_stays_so() -> None:
    model = ir.from_proto(build("y = Conv(x, k)", "float16"))
    model.graph.outputs.append(model.graph.inputs[0])
    InferShapes()(model)
    assert Float32Arithmetic()(model).modified
    onnx.checker.check_model(ir.to_proto(model))
    assert [value.name for value in model.graph.outputs] == ["y", "x"]
    assert model.graph.outputs[1] is model.graph.inputs[0]


def test_a_constant_output_keeps_its_type(evaluate: Evaluate) -> None:
    proto = build("y = Conv(x, k)", "float16")
    proto.graph.output.append(onnx.helper.make_tensor_value_info("k", onnx.TensorProto.FLOAT16, (3, 2, 3, 3)))
    result = evaluate(ir.to_proto(converted(proto)), {"x": np.zeros((1, 2, 4, 4), np.float16)})["k"]
    np.testing.assert_array_equal(result, numpy_helper.to_array(proto.graph.initializer[0]))


@pytest.mark.parametrize(
    ("body", "element"),
    [
        ("y = Relu(x)", "float16"),
        ("y = Cast<to=11>(x)", "float"),
        (
            "f = Flatten(x) d = Cast<to=11>(f) t = Transpose(d) m = MatMul(t, d) n = Cast<to=1>(m) y = MatMul(n, w)",
            "float",
        ),
        ("f = Flatten(x) c = BitCast<to=10>(f) y = MatMul(c, w)", "float16"),
    ],
)
def test_what_has_no_such_layer_or_is_so_on_purpose_stays(body: str, element: str) -> None:
    outputs = "double[] y" if "to=11" in body and "MatMul" not in body else ""
    signature = "float[1,2,4,4] x" if element == "float" else ""
    model = ir.from_proto(build(body, element, signature, outputs))
    if "BitCast" not in body:
        InferShapes()(model)
    before = [(value.name, value.dtype) for node in model.graph for value in node.outputs]
    assert not Float32Arithmetic()(model).modified
    assert [(value.name, value.dtype) for node in model.graph for value in node.outputs] == before


def test_mixed_halves_and_float32_become_float32() -> None:
    body = "f = Flatten(x) h = Cast<to=10>(f) a = MatMul(h, w) g = Cast<to=1>(a) t = Transpose(g) y = MatMul(t, g)"
    model = converted(build(body, "float16", "float[1,2,4,4] x", "float[] y"))
    assert types_inside(model) == {ir.DataType.FLOAT}


def test_a_value_beyond_float32_names_the_initializer() -> None:
    proto = build("f = Flatten(x) y = Gemm(f, w, b)", "double")
    proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([0, -1e300, np.inf]), "b"))
    model = ir.from_proto(proto)
    InferShapes()(model)
    with pytest.raises(ModelError, match=r"initializer b: its value -1e\+300 is beyond float32"):
        Float32Arithmetic()(model)
