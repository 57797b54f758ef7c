"""Binding the parameters of a conformance model."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from tests.conformance.binding import bound, data_inputs

HEAD = '<ir_version: 8, opset_import: ["": 18]> g '
FLOATS = np.ones((2, 2), np.float32)
NUMBERS = np.array([1, 1], np.int64)


def kept(text: str, inputs: dict[str, Any]) -> list[str]:
    """The inputs that stay, in the graph's order; the others must have become initializers."""
    model = onnx.parser.parse_model(HEAD + text)
    result, given = bound(model, inputs)
    names = [value.name for value in result.graph.input]
    assert names == list(given)
    assert {tensor.name for tensor in result.graph.initializer} == inputs.keys() - given.keys()
    assert [value.name for value in data_inputs(result)] == names
    return names


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("(float[2,2] x, float[2,2] w) => (float[2,2] y) { y = MatMul (x, w) }", ["x", "w"], ["x"]),
        ("(float[2,2] a, float[2,2] b) => (float[2,2] y) { y = Add (a, b) }", ["a", "b"], ["a", "b"]),
        ("(float[2,2] x, float[2,2] w) => (float[2,2] y) { z = Add (x, w) y = MatMul (z, w) }", ["x", "w"], ["x", "w"]),
        ("(float[2,2] x) => (float[2,2] y) { y = MatMul (x, x) }", ["x"], ["x"]),
        ("(float[2,2] w, float[2,2] x) => (float[2,2] y, float[2,2] w) { y = MatMul (x, w) }", ["w", "x"], ["w", "x"]),
    ],
    ids=["weight", "operands", "used twice", "both", "output"],
)
def test_only_what_is_a_parameter_everywhere_is_bound(text: str, inputs: list[str], expected: list[str]) -> None:
    assert kept(text, dict.fromkeys(inputs, FLOATS)) == expected


def test_shapes_are_bound_with_the_values_of_the_data_set() -> None:
    model = onnx.parser.parse_model(HEAD + "(float[1] x, int64[2] s) => (float[1,1] y) { y = Reshape (x, s) }")
    result, _ = bound(model, {"x": FLOATS[0, :1], "s": NUMBERS})
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(result.graph.initializer[0]), NUMBERS)
    assert len(model.graph.input) == 2


def test_a_use_inside_a_body_counts() -> None:
    text = """(bool c, float[2,2] x, float[2,2] w) => (float[2,2] y) {
        y = If (c) <then_branch = t () => (float[2,2] p) { p = MatMul (x, w) },
                    else_branch = e () => (float[2,2] q) { q = Add (x, w) }>
    }"""
    values = {"c": np.array(True), "x": FLOATS, "w": FLOATS}
    assert kept(text, values) == ["c", "x", "w"]
    assert kept(text.replace("Add", "MatMul"), values) == ["c", "x"]
