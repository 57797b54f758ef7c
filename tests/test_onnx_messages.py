from __future__ import annotations

import onnx
import pytest
from onnx import parser

from reuse_compiler.onnx_messages import plain


def model(body: str, name: str) -> onnx.ModelProto:
    proto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g (float[2,3] x) => (float[2,3] y) {{ {body} }}'
    )
    proto.graph.node[-1].name = name
    return proto


def test_an_error_of_the_checker_begins_with_the_node() -> None:
    with pytest.raises(onnx.checker.ValidationError) as error:
        onnx.checker.check_model(model("y = Relu<colour=1>(x)", "my node"))
    assert plain(error.value) == "node my node (Relu): Unrecognized attribute: colour for operator Relu"


def test_an_error_of_shape_inference_begins_with_the_node() -> None:
    with pytest.raises(onnx.shape_inference.InferenceError) as error:
        onnx.shape_inference.infer_shapes(model("y = MatMul(x, x)", "product"), strict_mode=True)
    assert plain(error.value) == "node product (MatMul): Incompatible dimensions for matrix multiplication"


def test_a_node_without_a_name_is_said_to_have_none() -> None:
    with pytest.raises(onnx.shape_inference.InferenceError) as error:
        onnx.shape_inference.infer_shapes(model("y = MatMul(x, x)", ""), strict_mode=True)
    assert plain(error.value).startswith("node (no name) (MatMul): ")


def test_other_messages_only_lose_their_line_breaks() -> None:
    assert plain("one\n  two") == "one two"
