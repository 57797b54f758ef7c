from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import parser

from reuse_compiler.passes.initializers import NewInitializers


def graph() -> ir.Graph:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (bool c, float[2] x) => (float[2] y) <float w = {1}> {
        y = If(c) <then_branch = t () => (float[2] p) { p = Neg(x) }, else_branch = e () => (float[2] q) { q = Mul(x, w) }>
    }"""
    return ir.from_proto(parser.parse_model(text)).graph


def test_a_name_that_an_input_a_tensor_an_initializer_or_a_body_has_gets_a_number() -> None:
    names = ["x", "y", "w", "q", "free"]
    new = NewInitializers(graph())
    assert [new.free_name(name) for name in names] == ["x_2", "y_2", "w_2", "q_2", "free"]
    assert [new.free_name(name) for name in names] == ["x_3", "y_3", "w_3", "q_3", "free_2"]


def test_the_initializer_holds_the_array() -> None:
    target = graph()
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    new = NewInitializers(target)
    first, second = new.add("w", array), new.add("w", array)
    assert (first.name, second.name) == ("w_2", "w_3")
    assert target.initializers["w_2"] is first
    assert first.const_value is not None
    assert np.array_equal(first.const_value.numpy(), array)
    assert first.shape == ir.Shape([3, 2]) and first.dtype == ir.DataType.FLOAT


def test_a_number_stays_a_tensor_without_axes() -> None:
    value = NewInitializers(graph()).add("n", np.array(2.5, np.float32))
    assert value.const_value is not None and value.const_value.numpy().shape == ()
