from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import parser

from reuse_compiler.passes.plain_cast import PlainCast


@pytest.mark.parametrize("like", ["int32", "float16", "bool"])
def test_a_cast_to_the_type_of_a_tensor_is_a_cast_to_that_type(
    like: str, evaluate: Callable[..., dict[str, NDArray[Any]]]
) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[3] x, {like}[2] other) => ({like}[3] y) {{ y = CastLike(x, other) }}'
    proto = parser.parse_model(text)
    proto.graph.node[0].name = "cast"
    model = ir.from_proto(proto)
    assert PlainCast()(model).modified
    [node] = model.graph
    assert (node.name, node.op_type, [value.name for value in node.inputs if value is not None]) == (
        "cast",
        "Cast",
        ["x"],
    )
    feeds = {"x": np.array([-1.5, 0, 2.5], np.float32)}
    other = {"other": np.zeros(2, "float16" if like == "float16" else like)}
    assert np.array_equal(evaluate(ir.to_proto(model), feeds | other)["y"], evaluate(proto, feeds | other)["y"])
    assert not PlainCast()(model).modified


def test_a_cast_to_a_type_that_is_not_known_stays() -> None:
    text = '<ir_version: 8, opset_import: ["" : 18, "other" : 1]> g (float[3] x) => (float[] y) { z = other.Some(x) y = CastLike(x, z) }'
    model = ir.from_proto(parser.parse_model(text))
    assert not PlainCast()(model).modified
