"""C3D: its size and shapes are the paper's, at any width it is valid ONNX, and seeded weights keep activations in size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import shape_inference

from reuse_compiler.errors import ModelError
from reuse_compiler.models import c3d
from reuse_compiler.models.c3d.network import C3D, Geometry, build, output_shapes, weight_shapes
from reuse_compiler.models.c3d.seeded import seeded_weights

NARROW = Geometry((2, 3, 4, 4, 5, 5, 6, 6), 20, 7)
LAYERS = [*(f"conv{number}" for number in range(1, 9)), "fc1", "fc2", "fc3"]


@pytest.fixture(scope="module")
def narrow() -> onnx.ModelProto:
    return ir.to_proto(build(NARROW, seeded_weights(NARROW)))


def test_it_has_the_papers_parameters() -> None:
    assert C3D.parameters == 78_409_573
    assert C3D.parameters == sum(math.prod(shape) for shape in weight_shapes(C3D).values())


def test_it_has_the_papers_macs() -> None:
    # by hand: outputs of a layer times weights of an output, padding included
    convs = [(64, 3, 16 * 112**2), (128, 64, 16 * 56**2), (256, 128, 8 * 28**2), (256, 256, 8 * 28**2)]
    convs += [(512, 256, 4 * 14**2), (512, 512, 4 * 14**2), (512, 512, 2 * 7**2), (512, 512, 2 * 7**2)]
    macs = sum(outputs * inputs * 27 * places for outputs, inputs, places in convs)
    macs += 8192 * 4096 + 4096 * 4096 + 4096 * 101
    assert C3D.macs == macs == 38_547_378_176
    assert round(macs / 1e9, 1) == 38.5


def test_layers_have_the_papers_shapes() -> None:
    # Tran et al. 2015, figure 3; the last pool gives 512 x 1 x 4 x 4
    shapes = output_shapes(C3D)
    assert shapes["conv1"] == (1, 64, 16, 112, 112)
    assert shapes["pool1"] == (1, 64, 16, 56, 56)
    assert shapes["pool2"] == (1, 128, 8, 28, 28)
    assert shapes["pool4"] == (1, 256, 4, 14, 14)
    assert shapes["pool6"] == (1, 512, 2, 7, 7)
    assert shapes["pool8"] == (1, 512, 1, 4, 4)
    assert [shapes[name] for name in ("flatten", "fc1", "fc2", "fc3")] == [(1, 8192), (1, 4096), (1, 4096), (1, 101)]


def test_any_width_is_valid_onnx_with_the_agreed_face(narrow: onnx.ModelProto) -> None:
    onnx.checker.check_model(narrow, full_check=True)
    assert [value.name for value in narrow.graph.input] == ["clip"]
    assert [value.name for value in narrow.graph.output] == ["scores"]
    assert [node.name for node in narrow.graph.node if node.op_type in ("Conv", "Gemm")] == LAYERS
    producer = {node.output[0]: node.name for node in narrow.graph.node}
    assert [producer[node.input[0]] for node in narrow.graph.node if node.op_type == "Relu"] == LAYERS[:-1]


def test_the_shapes_said_are_those_inferred(narrow: onnx.ModelProto) -> None:
    stripped = onnx.ModelProto()
    stripped.CopyFrom(narrow)
    del stripped.graph.value_info[:]
    graph = shape_inference.infer_shapes(stripped, strict_mode=True, data_prop=True).graph
    inferred = {value.name: _shape(value) for value in [*graph.value_info, *graph.output]}
    outputs = {node.name: inferred[node.output[0]] for node in stripped.graph.node}
    assert {name: outputs[name] for name in output_shapes(NARROW)} == output_shapes(NARROW)


def test_seeded_weights_keep_the_size_of_activations_and_pass_half(narrow: onnx.ModelProto) -> None:
    opened = onnx.ModelProto()
    opened.CopyFrom(narrow)
    convs = [node.output[0] for node in opened.graph.node if node.op_type == "Conv"]
    del opened.graph.output[:]
    opened.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in convs)
    session = ort.InferenceSession(opened.SerializeToString(), providers=["CPUExecutionProvider"])
    (frame,) = c3d.stream(1)
    for output in session.run(None, {"clip": frame["clip"]}):
        assert 0.3 < np.sqrt(np.square(output).mean()) < 3
        assert 0.3 < (output > 0).mean() < 0.7


def test_seeded_weights_follow_the_seed() -> None:
    first, again, other = (seeded_weights(NARROW, seed) for seed in (1, 1, 2))
    assert {name: weight.shape for name, weight in first.items()} == weight_shapes(NARROW)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["fc2.weight"], other["fc2.weight"])


def test_weights_stored_as_float16_compute_in_float32() -> None:
    weights = {name: weight.astype(np.float16).astype(np.float32) for name, weight in seeded_weights(NARROW).items()}
    plain, stored = (ir.to_proto(build(NARROW, weights, storage)) for storage in (np.float32, np.float16))
    assert {tensor.data_type for tensor in stored.graph.initializer} == {onnx.TensorProto.FLOAT16}
    (frame,) = c3d.stream(1)
    expected, scores = (
        ort.InferenceSession(proto.SerializeToString()).run(None, {"clip": frame["clip"]})[0]
        for proto in (plain, stored)
    )
    assert scores.shape == (1, 7) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_a_weight_of_another_shape_is_refused() -> None:
    weights: dict[str, Any] = {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(NARROW).items()}
    weights["fc3.weight"] = weights["fc3.weight"].T
    with pytest.raises(ModelError, match=r"fc3\.weight: shape is \(7, 20\): give \(20, 7\)"):
        build(NARROW, weights)
    del weights["conv3.bias"]
    with pytest.raises(ModelError, match=r"conv3\.bias: missing"):
        build(NARROW, weights)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
