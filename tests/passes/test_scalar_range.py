from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import parser

from reuse_compiler.passes.scalar_range import ScalarRange


@pytest.mark.parametrize(("limit", "modified"), [("int64[1] b = {4}", True), ("int64 b = {4}", False)])
def test_constants_that_range_counts_with_have_no_axes(
    limit: str, modified: bool, evaluate: Callable[..., dict[str, NDArray[Any]]]
) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 18]> g (int64 a) => (int64[n] y, int64[m] z)
    <{limit}, int64 one = {{1}}> {{ y = Range (a, b, one) z = Add (b, one) }}"""
    model = ir.from_proto(parser.parse_model(text))
    rank = len(model.graph.initializers["b"].shape or ())
    assert ScalarRange()(model).modified == modified
    assert len(model.graph.initializers["b"].shape or ()) == rank  # its other reader sees what it saw
    np.testing.assert_array_equal(evaluate(ir.to_proto(model), {"a": np.array(1)})["y"], [1, 2, 3])


def test_what_is_computed_stays() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (int64[1] a, int64 b) => (int64[n] y)
    <int64 one = {1}> { y = Range (a, b, one) }"""
    assert not ScalarRange()(ir.from_proto(parser.parse_model(text))).modified
