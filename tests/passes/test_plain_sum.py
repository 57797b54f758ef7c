from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import parser

from reuse_compiler.passes.plain_sum import PlainSum


@pytest.mark.parametrize(
    ("arguments", "operator"), [("a", "Identity"), ("a, b", "Add"), ("b, a", "Add"), ("a, b, a", "Sum")]
)
def test_a_sum_of_one_or_two_is_written_plainly(
    arguments: str, operator: str, evaluate: Callable[..., dict[str, NDArray[Any]]]
) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[2,3] a, float[3] b) => (float[] y) {{ y = Sum({arguments}) }}'
    proto = parser.parse_model(text)
    proto.graph.node[0].name = "total"
    model = ir.from_proto(proto)
    assert PlainSum()(model).modified == (operator != "Sum")
    assert [(node.name, node.op_type) for node in model.graph] == [("total", operator)]
    generator = np.random.default_rng(0)
    feeds = {"a": generator.standard_normal((2, 3)).astype(np.float32), "b": np.ones(3, np.float32)}
    assert np.array_equal(evaluate(ir.to_proto(model), feeds)["y"], evaluate(proto, feeds)["y"])
