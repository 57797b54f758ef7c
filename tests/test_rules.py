from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.rules import RULES, Broken, broken


def last_node(signature: str, body: str, element: str = "float") -> ir.Node:
    """The last node of a graph with the weights w, v, b and c, shapes inferred."""
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({signature}) => ({element}[] y) {{ {body} }}'
    proto = parser.parse_model(text)
    dtype = {"float": np.float32, "double": np.float64, "float16": np.float16}[element]
    weights: dict[str, NDArray[Any]] = {
        "w": np.ones((4, 3, 3, 3)),
        "v": np.ones((5, 4)),
        "b": np.ones(4),
        "c": np.ones((2, 1)),
        "line": np.ones(5),
        "batch": np.ones((2, 5, 4)),
        "tesseract": np.ones((1, 1, 2, 2, 2, 2)),
    }
    used = {name for node in proto.graph.node for name in node.input} - {value.name for value in proto.graph.input}
    proto.graph.initializer.extend(
        numpy_helper.from_array(array.astype(dtype), name) for name, array in weights.items() if name in used
    )
    model = ir.from_proto(proto)
    InferShapes()(model)
    for node in model.graph:
        node.name = node.outputs[0].name
    return list(model.graph)[-1]


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("float[1,3,8,8] x", "y = Conv(x, w)"),
        ("float[1,3,8,8] x", "y = Conv<pads=[1,1,1,1], group=1>(x, w, b)"),
        ("float[2,3,8,8] x", "y = Conv(x, w)"),
        ("float[2,4,8,8] x", "y = ConvTranspose<strides=[2,2], output_padding=[1,0]>(x, w)"),
        ("float[2,5] x", "y = Gemm(x, v, b)"),
        ("float[1,5] x", "y = Gemm(x, v)"),
        ("float[2,7,5] x", "y = MatMul(x, v)"),
    ],
)
def test_a_site_breaks_no_rule(signature: str, body: str) -> None:
    assert broken(last_node(signature, body)) is None


@pytest.mark.parametrize(
    ("signature", "body", "rule", "measured"),
    [
        (
            "float[1,3,8,8] x, float[4,3,3,3] k",
            "y = Conv(x, k)",
            "the weight, the second",
            "k is an input of the model",
        ),
        (
            "float[1,5] x",
            "k = Exp(x) t = Transpose(k) y = MatMul(x, t)",
            "is a constant",
            "t is computed by t (Transpose)",
        ),
        ("float[5,5] x", "y = Gemm(x, x)", "the weight, the second input, is a constant", "x is an input of the model"),
        ("float[1,3,8,8] x", "y = Conv(w, w)", "the first input is not a constant", "w is a constant"),
        ("float[7,5] x", "y = MatMul(v, b)", "the first input is not a constant", "v is a constant"),
        ("float[1,3,N,8] x", "y = Conv(x, w)", "every dimension of the input is known", "the shape is [1, 3, N, 8]"),
        ("float[0,5] x", "y = MatMul(x, v)", "and at least 1", "the shape is [0, 5]"),
        ("float[] x", "y = MatMul(x, v)", "every dimension", "its rank is unknown"),
        (
            "float[1,3,8,8] x, float[4] k",
            "y = Conv(x, w, k)",
            "the bias, the third input",
            "k is an input of the model",
        ),
        ("float[1,3,8,8] x", 'y = Conv<auto_pad="SAME_UPPER">(x, w)', "padding is explicit", "auto_pad is SAME_UPPER"),
        (
            "float[1,4,8,8] x",
            "y = ConvTranspose<output_shape=[10,10]>(x, w)",
            "the size of the output is given by padding",
            "output_shape is [10, 10]",
        ),
        ("float[1,1,3,3,3,3] x", "y = Conv(x, tesseract)", "there are 1, 2 or 3 spatial axes", "there are 4"),
        ("float[5,2] x", "y = Gemm<transA=1>(x, v)", "the first input is not transposed", "transA is 1"),
        ("float[2,5] x", "y = Gemm(x, v, c)", "the same for every row", "the bias has shape [2, 1]"),
        ("float[2,7,5] x", "y = MatMul(x, batch)", "the weight is a matrix", "it has shape [2, 5, 4]"),
        ("float[2,5] x", "y = MatMul(x, line)", "the weight is a matrix", "it has shape [5]"),
        ("float[5] x", "y = MatMul(x, v)", "the input has two dimensions or more", "it has shape [5]"),
    ],
)
def test_a_broken_rule_says_what_was_measured(signature: str, body: str, rule: str, measured: str) -> None:
    found = broken(last_node(signature, body))
    assert found is not None
    assert rule in found.rule
    assert found.measured == measured


@pytest.mark.parametrize("element", ["double", "float16"])
def test_other_precisions_are_no_sites(element: str) -> None:
    node = last_node(f"{element}[1,3,8,8] x", "y = Conv(x, w)", element)
    assert broken(node) == Broken("the weight is float32", f"it is {'double' if element == 'double' else 'float16'}")


def test_a_kernel_that_does_not_fit_is_measured() -> None:
    node = last_node("float[1,3,8,8] x", "y = Conv(x, w)")
    assert node.inputs[0] is not None
    node.inputs[0].shape = ir.Shape([1, 3, 2, 8])
    found = broken(node)
    assert found == Broken("the kernel fits into the padded input", "the output would have shape [0, 6]")


def test_padding_that_leaves_nothing_of_a_transposed_convolution_is_measured() -> None:
    node = last_node("float[1,4,2,8] x", "y = ConvTranspose<pads=[1,0,1,0]>(x, w)")
    assert broken(node) is None
    node.attributes["pads"] = ir.AttrInt64s("pads", [2, 0, 2, 0])
    assert broken(node) == Broken("padding leaves some of the output", "the output would have shape [0, 10]")


def test_every_rule_is_documented() -> None:
    assert all(rule.__doc__ and "\n" not in rule.__doc__ for rules in RULES.values() for rule in rules)
