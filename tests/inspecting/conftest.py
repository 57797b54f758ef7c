"""A network with all that inspection has to show."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reuse_compiler.frontend import Model, load
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan

_QUOTED = 'say "conv\\1"'


def _weights(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape), name)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """x [1, 2, 4, 4] -> two convs that read it, one with a clip behind it -> add -> flatten -> matmul and bias."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], _QUOTED, kernel_shape=[1, 1]),
        helper.make_node("Clip", ["a", "low", "high"], ["a6"], "clip"),
        helper.make_node("Conv", ["x", "v", "c"], ["b"], "conv2", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["a6", "b"], ["s"], "sum"),
        helper.make_node("Flatten", ["s"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "m"], ["p"], "fc"),
        helper.make_node("Add", ["p", "d"], ["y"], "bias"),
    ]
    initializers = [
        _weights("w", 3, 2, 1, 1),
        numpy_helper.from_array(np.array(0, np.float32), "low"),
        numpy_helper.from_array(np.array(6, np.float32), "high"),
        _weights("v", 3, 2, 3, 3),
        _weights("c", 3),
        _weights("m", 48, 5),
        _weights("d", 5),
    ]
    graph = helper.make_graph(
        nodes,
        "both",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        initializers,
    )
    path = tmp_path_factory.mktemp("inspecting") / "both.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return load(path)


@pytest.fixture(scope="session")
def plan(model: Model) -> Plan:
    """Both convs with 300 clusters and a deadband for each channel, the matmul with 16."""
    shared = QuantizerSpec(step=0.25, zero=7, clusters=300, deadband=[0.125, 0.5])
    return Plan(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        sites=[
            SitePlan(node=_QUOTED, input="x", op="Conv", mode="reuse", quantizer=shared),
            SitePlan(node="conv2", input="x", op="Conv", mode="reuse", quantizer=shared),
            SitePlan(
                node="fc",
                input="f",
                op="MatMul",
                mode="reuse",
                quantizer=QuantizerSpec(step=0.5, zero=0, clusters=16),
            ),
        ],
    )


@pytest.fixture(scope="session")
def quoted() -> str:
    """The name of the first conv."""
    return _QUOTED
