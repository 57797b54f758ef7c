"""The graph that builders add to: how weights are stored, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import DTypeLike

from reuse_compiler.errors import ModelError
from reuse_compiler.models.network_graph import NetworkGraph, check_weights, float_value


def built(storage: DTypeLike) -> ir.Model:
    network = NetworkGraph("small", 20, storage)
    x = float_value("x", (1, 3))
    weight = network.weight("fc.weight", np.full((3, 2), 1 / 3, np.float32))
    return network.model(x, network.node("MatMul", "fc", [x, weight], (1, 2)), "y")


def test_float32_weights_feed_their_node() -> None:
    model = built(np.float32)
    assert [node.op_type for node in model.graph] == ["MatMul"]
    assert [value.name for value in model.graph.outputs] == ["y"]


def test_float16_weights_are_cast_before_use() -> None:
    model = built(np.float16)
    assert [node.op_type for node in model.graph] == ["Cast", "MatMul"]
    (weight,) = model.graph.initializers.values()
    assert weight.dtype == ir.DataType.FLOAT16 and weight.const_value is not None
    assert weight.const_value.numpy()[0, 0] == np.float16(1 / 3)


def test_weights_that_do_not_fit_are_refused() -> None:
    shapes = {"a": (2, 3), "b": (3,)}
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    check_weights(weights, shapes)
    with pytest.raises(ModelError, match="b: missing"):
        check_weights({"a": weights["a"]}, shapes)
    with pytest.raises(ModelError, match=r"a: shape is \(3,\): give \(2, 3\)"):
        check_weights({"a": weights["b"], "b": weights["b"]}, shapes)
