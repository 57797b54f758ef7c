"""The AutoPilot network: its size and shapes are the paper's, and the file in the package is the builder's network."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper, shape_inference

from reuse_compiler.errors import ModelError
from reuse_compiler.models import autopilot
from reuse_compiler.models.autopilot.network import MACS, PARAMETERS, build, initial_weights, weight_shapes

NAMES = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3", "fc4", "fc5"]
# Bojarski et al. 2016, figure 4, with the paper's 1164-wide first FC layer
OUTPUTS = [
    (1, 24, 31, 98),
    (1, 36, 14, 47),
    (1, 48, 5, 22),
    (1, 64, 3, 20),
    (1, 64, 1, 18),
    (1, 1164),
    (1, 100),
    (1, 50),
    (1, 10),
    (1, 1),
]


@pytest.fixture(scope="module")
def built() -> onnx.ModelProto:
    return ir.to_proto(build())


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load(autopilot.path())


def inferred_shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    graph = shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    return {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
        for value in [*graph.value_info, *graph.output]
    }


def test_it_has_the_papers_parameters(shipped: onnx.ModelProto) -> None:
    assert sum(math.prod(i.dims) for i in shipped.graph.initializer) == 1_595_511 == PARAMETERS
    assert {i.name: tuple(i.dims) for i in shipped.graph.initializer} == weight_shapes()


def test_layers_have_the_papers_names_and_shapes(built: onnx.ModelProto) -> None:
    stripped = onnx.ModelProto()
    stripped.CopyFrom(built)
    del stripped.graph.value_info[:]
    shapes = inferred_shapes(stripped)
    layers = [node for node in built.graph.node if node.op_type in ("Conv", "Gemm")]
    assert [node.name for node in layers] == NAMES
    assert [shapes[node.output[0]] for node in layers] == OUTPUTS


def test_macs_are_outputs_times_weights_per_output(built: onnx.ModelProto) -> None:
    shapes = inferred_shapes(built)
    weights = {i.name: tuple(i.dims) for i in built.graph.initializer}
    macs = sum(
        math.prod(shapes[node.output[0]]) * math.prod(weights[node.input[1]][1:])
        if node.op_type == "Conv"
        else math.prod(weights[node.input[1]])
        for node in built.graph.node
        if node.op_type in ("Conv", "Gemm")
    )
    assert macs == MACS
    assert round(macs / 1e6, 1) == 28.2


def test_it_is_valid_onnx_with_the_agreed_face(built: onnx.ModelProto) -> None:
    onnx.checker.check_model(built, full_check=True)
    assert built.opset_import[0].version >= 18
    assert [i.name for i in built.graph.input] == ["image"]
    assert [o.name for o in built.graph.output] == ["steering"]


def test_every_layer_but_the_last_has_a_relu(built: onnx.ModelProto) -> None:
    producer = {node.output[0]: node.name for node in built.graph.node}
    followed = [producer[node.input[0]] for node in built.graph.node if node.op_type == "Relu"]
    assert followed == NAMES[:-1]


def test_the_output_is_twice_the_arc_tangent() -> None:
    weights = {name: np.zeros(shape, np.float32) for name, shape in weight_shapes().items()}
    weights["fc5.bias"][:] = 0.3
    session = ort.InferenceSession(ir.to_proto(build(weights)).SerializeToString(), providers=["CPUExecutionProvider"])
    (steering,) = session.run(None, {"image": np.ones((1, 3, 66, 200), np.float32)})
    assert steering.shape == (1, 1)
    assert steering[0, 0] == pytest.approx(2 * math.atan(0.3), rel=1e-6)


def test_the_shipped_file_is_the_builders_network(shipped: onnx.ModelProto) -> None:
    weights = {i.name: numpy_helper.to_array(i) for i in shipped.graph.initializer}
    again = ir.to_proto(build(weights))
    assert again.graph.SerializeToString(deterministic=True) == shipped.graph.SerializeToString(deterministic=True)
    assert autopilot.path().stat().st_size <= 7_000_000


def test_the_shipped_weights_are_trained(shipped: onnx.ModelProto) -> None:
    biases = [numpy_helper.to_array(i) for i in shipped.graph.initializer if i.name.endswith(".bias")]
    assert all(np.isfinite(bias).all() and bias.any() for bias in biases)


def test_initial_weights_follow_the_seed() -> None:
    first, again, other = initial_weights(1), initial_weights(1), initial_weights(2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["conv1.weight"], other["conv1.weight"])


def test_a_weight_of_another_shape_is_refused() -> None:
    weights = initial_weights()
    weights["fc2.weight"] = weights["fc2.weight"].T
    with pytest.raises(ModelError, match=r"fc2\.weight: shape is \(100, 1164\): give \(1164, 100\)"):
        build(weights)


def test_a_missing_weight_is_named() -> None:
    weights = initial_weights()
    del weights["conv3.bias"]
    with pytest.raises(ModelError, match=r"conv3\.bias: missing"):
        build(weights)


def test_the_package_does_not_import_torch() -> None:
    code = "import sys, reuse_compiler.models.autopilot as a; a.path(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
