from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.passes.split_batch_norm import SplitBatchNorm

Evaluate = Callable[..., dict[str, NDArray[Any]]]


def build(shape: list[int], body: str, element: str = "float", variance: float = 1.0) -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({element}{shape} x) => ({element}[] y) {{ {body} }}'
    proto = parser.parse_model(text)
    generator = np.random.default_rng(5)
    for name in "sbmv":
        values = generator.uniform(0.5, 2, 3) * (variance if name == "v" else 1)
        dtype = np.float32 if element == "float" else np.float64
        proto.graph.initializer.append(numpy_helper.from_array(values.astype(dtype), name))
    return proto


@pytest.mark.parametrize("shape", [[2, 3], [2, 3, 4], [1, 3, 4, 5], [1, 3, 2, 2, 2]])
def test_the_values_stay(shape: list[int], evaluate: Evaluate) -> None:
    proto = build(shape, "r = Relu(x) y = BatchNormalization<epsilon=0.01>(r, s, b, m, v)")
    proto.graph.node[1].name = "norm"
    model = ir.from_proto(proto)
    InferShapes()(model)
    assert SplitBatchNorm()(model).modified
    assert [(node.op_type, node.name) for node in model.graph][1:] == [("Mul", "y_scaled"), ("Add", "norm")]
    assert [value.name for value in model.graph.outputs] == ["y"]
    feeds = {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    after, before = evaluate(ir.to_proto(model), feeds)["y"], evaluate(proto, feeds)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "proto",
    [
        build([2, 3, 4], "y, n, o = BatchNormalization<training_mode=1>(x, s, b, m, v)"),
        build([2, 3, 4], "y = BatchNormalization(x, s, b, m, v)", "double"),
        build([2, 3, 4], "y = BatchNormalization(x, s, b, m, v)", variance=-1.0),
        build([2, 3, 4], "n = Neg(m) y = BatchNormalization(x, s, b, n, v)"),
    ],
    ids=["training", "double", "not finite", "computed"],
)
def test_where_it_cannot_be_split_it_stays(proto: onnx.ModelProto) -> None:
    model = ir.from_proto(proto)
    InferShapes()(model)
    assert not SplitBatchNorm()(model).modified
