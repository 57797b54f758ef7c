from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.passes.inline_if import InlineIf
from reuse_compiler.passes.remove_identities import RemoveIdentities

Evaluate = Callable[..., dict[str, NDArray[Any]]]

# A body of a graph over x [2] and the initializers no, yes (bool) and w [2]; the operators that are left.
CASES = {
    "the branch that is taken": (
        (
            "y = If(yes) <then_branch = t () => (float[2] p) { p = Exp(x) }, else_branch = e () => (float[2] "
            "q) { q = Neg(x) }>"
        ),
        ["Exp"],
    ),
    "the other one": (
        (
            "y = If(no) <then_branch = t () => (float[2] p) { p = Exp(x) }, else_branch = e () => (float[2] "
            "q) { q = Neg(x) }>"
        ),
        ["Neg"],
    ),
    "initializers of a branch": (
        (
            "y = If(yes) <then_branch = t () => (float[2] p) <float[2] w2 = {1, 2}> { p = Add(x, w2) }, "
            "else_branch = e () => (float[2] q) { q = Neg(x) }>"
        ),
        ["Add"],
    ),
    "one inside another": (
        (
            "y = If(yes) <then_branch = t () => (float[2] p) { a = Exp(x) p = If(no) <then_branch = u () => "
            "(float[2] r) { r = Neg(a) }, else_branch = f () => (float[2] s) { s = Abs(a) }> }, else_branch = "
            "e () => (float[2] q) { q = Neg(x) }>"
        ),
        ["Exp", "Abs"],
    ),
    "the same names in two": (
        (
            "a = If(yes) <then_branch = t () => (float[2] p) { h = Exp(x) p = Neg(h) }, else_branch = e () => "
            "(float[2] q) { q = Neg(x) }> b = If(yes) <then_branch = u () => (float[2] p) { h = Abs(a) p = "
            "Neg(h) }, else_branch = f () => (float[2] q) { q = Neg(x) }> y = Add(a, b)"
        ),
        ["Exp", "Neg", "Abs", "Neg", "Add"],
    ),
    "a name that an If which stays has inside": (
        (
            "m = ReduceMax<keepdims=0>(x) c = Cast<to=9>(m) a = If(c) <then_branch = t () => (float[2] p) { h "
            "= Exp(x) p = Neg(h) }, else_branch = e () => (float[2] q) { q = Neg(x) }> b = If(yes) "
            "<then_branch = u () => (float[2] p) { h = Abs(x) p = Neg(h) }, else_branch = f () => (float[2] "
            "q) { q = Neg(x) }> y = Add(a, b)"
        ),
        ["ReduceMax", "Cast", "If", "Abs", "Neg", "Add"],
    ),
    "outer values handed on": (
        (
            "a = Exp(x) b, z = If(yes) <then_branch = t () => (float[2] p, float[2] o) { p = Identity(a) o = "
            "Identity(a) }, else_branch = e () => (float[2] q, float[2] r) { q = Neg(x) r = Neg(x) }> y = "
            "Add(b, z)"
        ),
        ["Exp", "Add"],
    ),
    "an initializer handed on to an output": (
        (
            "y = If(yes) <then_branch = t () => (float[2] p) { p = Identity(w) }, else_branch = e () => "
            "(float[2] q) { q = Neg(x) }>"
        ),
        ["Identity"],
    ),
    "a condition that is computed": (
        (
            "m = ReduceMax<keepdims=0>(x) c = Cast<to=9>(m) y = If(c) <then_branch = t () => (float[2] p) { p "
            "= Exp(x) }, else_branch = e () => (float[2] q) { q = Neg(x) }>"
        ),
        ["ReduceMax", "Cast", "If"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_known_branch_stands_in_the_place_of_its_if(name: str, evaluate: Evaluate) -> None:
    body, left = CASES[name]
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) {{ {body} }}')
    values = {"yes": np.array(True), "no": np.array([False]), "w": np.array([3, 4], np.float32)}
    proto.graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in values.items())
    model = ir.from_proto(proto)
    assert InlineIf()(model).modified == ("computed" not in name)
    RemoveIdentities()(model)
    assert [node.op_type for node in model.graph] == left
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    feeds = {"x": np.array([-1, 2], np.float32)}
    np.testing.assert_array_equal(evaluate(after, feeds)["y"], evaluate(proto, feeds)["y"])


def test_what_only_the_other_branch_read_is_unused() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) <bool yes = {1}> {
        a = Exp (x)
        y = If (yes) <then_branch = t () => (float[2] p) { p = Abs (x) },
                      else_branch = e () => (float[2] q) {
            q = If (yes) <then_branch = u () => (float[2] r) { r = Neg (a) },
                          else_branch = v () => (float[2] s) { s = Neg (a) }>
        }>
    }"""
    model = ir.from_proto(parser.parse_model(text))
    assert InlineIf()(model).modified
    assert not model.graph[0].outputs[0].uses()
