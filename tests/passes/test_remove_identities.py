from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.passes.remove_identities import RemoveIdentities

Evaluate = Callable[..., dict[str, np.ndarray]]

# body, outputs, operators that stay
CASES = {
    "identity": ("a = Relu(x) b = Identity(a) y = Neg(b)", "y", ["Relu", "Neg"]),
    "identities in a row": ("a = Identity(x) b = Identity(a) y = Neg(b)", "y", ["Neg"]),
    "dropout": ("a = Dropout(x) y = Neg(a)", "y", ["Neg"]),
    "dropout outside training": (
        "r = Constant<value_float=0.5>() f = Constant<value = bool {0}>() a = Dropout(x, r, f) y = Neg(a)",
        "y",
        ["Constant", "Constant", "Dropout", "Neg"],
    ),
    "dropout whose mask is used": (
        "a, m = Dropout(x) n = Cast<to=1>(m) y = Mul(a, n)",
        "y",
        ["Dropout", "Cast", "Mul"],
    ),
    "cast to the same type": ("a = Cast<to=1>(x) y = Neg(a)", "y", ["Neg"]),
    "cast to another type": ("a = Cast<to=11>(x) b = Neg(a) y = Cast<to=1>(b)", "y", ["Cast", "Neg", "Cast"]),
    "flatten of a matrix": ("a = Flatten(x) y = Neg(a)", "y", ["Neg"]),
    "flatten that reshapes": ("a = Flatten<axis=0>(x) y = Neg(a)", "y", ["Flatten", "Neg"]),
    "identity before an output": ("a = Relu(x) y = Identity(a)", "y", ["Relu"]),
    "identity of an output": ("y = Relu(x) z = Identity(y)", "y, z", ["Relu", "Identity"]),
    "two outputs of one tensor": ("a = Relu(x) y = Identity(a) z = Identity(a)", "y, z", ["Relu", "Identity"]),
    "an input handed on": ("y = Identity(x)", "y", ["Identity"]),
    "an output read further on": ("a = Relu(x) y = Identity(a) z = Neg(y)", "y, z", ["Relu", "Neg"]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_right_nodes_go_and_values_and_output_names_stay(name: str, evaluate: Evaluate) -> None:
    body, outputs, left = CASES[name]
    results = ", ".join(f"float[] {output}" for output in outputs.split(", "))
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[2,3] x) => ({results}) {{ {body} }}'
    proto = parser.parse_model(text)
    model = ir.from_proto(proto)
    InferShapes()(model)
    changed = RemoveIdentities()(model).modified
    assert [node.op_type for node in model.graph] == left
    assert changed == (len(left) < len(proto.graph.node))
    assert [value.name for value in model.graph.outputs] == outputs.split(", ")
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)}
    before, after = evaluate(proto, feeds), evaluate(ir.to_proto(model), feeds)
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_dropout_whose_training_flag_is_an_initializer_goes_only_if_it_is_false() -> None:
    for training, left in ((False, ["Neg"]), (True, ["Dropout", "Neg"])):
        text = """<ir_version: 8, opset_import: ["" : 18]> g (float[2,3] x) => (float[2,3] y)
            <float r = {0.5}> { a = Dropout(x, r, t) y = Neg(a) }"""
        proto = parser.parse_model(text)
        proto.graph.initializer.append(numpy_helper.from_array(np.array(training), "t"))
        model = ir.from_proto(proto)
        RemoveIdentities()(model)
        assert [node.op_type for node in model.graph] == left


def test_the_output_of_a_body_is_left_alone() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (bool c, float[2] x) => (float[2] y) {
        a = Relu(x)
        y = If(c) <then_branch = t () => (float[2] p) { p = Identity(a) },
                   else_branch = e () => (float[2] q) { q = Neg(a) }>
    }"""
    model = ir.from_proto(parser.parse_model(text))
    assert not RemoveIdentities()(model).modified
