from __future__ import annotations

import onnx_ir as ir
import pytest
from onnx import parser

from reuse_compiler.passes.infer_shapes import InferShapes


def model(body: str, signature: str = "float[1,3,8,8] x", opsets: str = '"" : 18') -> ir.Model:
    text = f"<ir_version: 8, opset_import: [{opsets}]> g ({signature}) => (float[] y) {{ {body} }}"
    return ir.from_proto(parser.parse_model(text))


def shape(inferred: ir.Model, name: str) -> ir.Shape | None:
    return next(value.shape for node in inferred.graph for value in node.outputs if value.name == name)


def test_shapes_and_types_are_inferred() -> None:
    inferred = model("a = Cast<to=1>(x) y = GlobalAveragePool(a)", "int8[1,3,8,8] x")
    assert InferShapes()(inferred).modified
    assert shape(inferred, "y") == ir.Shape([1, 3, 1, 1])
    assert inferred.graph.outputs[0].dtype == ir.DataType.FLOAT
    assert not InferShapes()(inferred).modified


def test_what_was_declared_of_a_computed_tensor_is_not_believed() -> None:
    inferred = model("a = Relu(x) y = Relu(a)")
    inferred.graph[0].outputs[0].shape = ir.Shape([4, 3, 8, 8])
    InferShapes()(inferred)
    assert shape(inferred, "a") == ir.Shape([1, 3, 8, 8])


def test_a_declared_shape_fills_in_where_inference_knows_nothing() -> None:
    inferred = model("a = com.microsoft.Gelu(x) y = Relu(a)", opsets='"" : 18, "com.microsoft" : 1')
    inferred.graph[0].outputs[0].shape = ir.Shape([1, 3, 8, 8])
    inferred.graph[0].outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    InferShapes()(inferred)
    assert shape(inferred, "y") == ir.Shape([1, 3, 8, 8])


def test_a_declared_size_fills_an_open_dimension() -> None:
    inferred = model("a = NonZero(x) y = Cast<to=1>(a)")
    inferred.graph[0].outputs[0].shape = ir.Shape([4, 17])
    InferShapes()(inferred)
    assert shape(inferred, "y") == ir.Shape([4, 17])


def test_a_contradiction_is_an_error() -> None:
    with pytest.raises(ValueError, match="op_type:MatMul"):
        InferShapes()(model("a = Transpose(x) y = MatMul(x, a)"))


def test_onnx_refusing_alone_is_no_error() -> None:
    # onnx 1.23 cannot expand this one at opset 18 ("one and only one of the attributes ..."); onnxruntime computes it.
    inferred = model("a = MeanVarianceNormalization(x) y = Relu(x)")
    InferShapes()(inferred)
    assert shape(inferred, "y") == ir.Shape([1, 3, 8, 8])


def test_normalizations_that_onnx_does_not_infer_are_as_their_input() -> None:
    body = "a = GroupNormalization <num_groups=3> (x, s, s) b = MeanVarianceNormalization (a) y = Relu (b)"
    inferred = model(body, "float[1,3,8,8] x, float[3] s", '"" : 21')
    InferShapes()(inferred)
    assert shape(inferred, "y") == ir.Shape([1, 3, 8, 8])
    assert inferred.graph.outputs[0].dtype == ir.DataType.FLOAT
    assert not InferShapes()(inferred).modified
