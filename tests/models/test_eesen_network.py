"""The EESEN network: its size is the paper's, its arithmetic that of LSTM cells, and the file is the builder's network."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import reuse_compiler
from reuse_compiler.errors import ModelError
from reuse_compiler.models import eesen
from reuse_compiler.models.eesen.network import (
    CELLS,
    LAYERS,
    MACS_A_STEP,
    PARAMETERS,
    build,
    initial_weights,
    weight_shapes,
)
from reuse_compiler.sites import find_sites

Float = NDArray[np.float32]


@pytest.fixture(scope="module")
def weights() -> dict[str, Float]:
    return initial_weights(1)


@pytest.fixture(scope="module")
def built(weights: dict[str, Float]) -> onnx.ModelProto:
    return ir.to_proto(build(weights))


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load(eesen.path())


def run(model: onnx.ModelProto, features: Float) -> Float:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"features": features})
    return np.asarray(scores)


def sigmoid(x: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def cells(x: Float, weight: Float, recurrence: Float, bias: Float) -> Float:
    """The hidden states [steps, 320] of inputs [steps, n], step by step; gates in the order i, o, f, c."""
    hidden, cell = np.zeros(CELLS, np.float32), np.zeros(CELLS, np.float32)
    states = []
    for step in x:
        i, o, f, c = np.split(weight @ step + recurrence @ hidden + bias, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        hidden = sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def by_hand(features: Float, weights: dict[str, Float]) -> Float:
    kept = {name: array.astype(np.float16).astype(np.float32) for name, array in weights.items()}
    x = features[:, 0]
    for name in LAYERS:
        parts = [kept[f"{name}.{part}"] for part in ("weight", "recurrence", "bias")]
        forward = cells(x, *(part[0] for part in parts))
        reverse = cells(x[::-1], *(part[1] for part in parts))[::-1]
        x = np.concatenate([forward, reverse], axis=1)
    return np.asarray(x @ kept["fc.weight"] + kept["fc.bias"])


def test_it_has_the_papers_parameters(shipped: onnx.ModelProto) -> None:
    arrays = {i.name: numpy_helper.to_array(i) for i in shipped.graph.initializer if i.name in weight_shapes()}
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    second = [arrays[f"{name}.bias"][:, 4 * CELLS :] for name in LAYERS]
    assert not any(bias.any() for bias in second)
    assert sum(a.size for a in arrays.values()) - sum(b.size for b in second) == 11_001_650 == PARAMETERS
    assert sum(math.prod(shape) for shape in weight_shapes().values()) == PARAMETERS


def test_macs_are_those_of_the_weight_matrices() -> None:
    assert sum(math.prod(shape) for name, shape in weight_shapes().items() if not name.endswith("bias")) == MACS_A_STEP


def test_it_is_valid_onnx_with_the_agreed_face(built: onnx.ModelProto) -> None:
    onnx.checker.check_model(built, full_check=True)
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in [*built.graph.input, *built.graph.output]
    }
    assert shapes == {"features": [300, 1, 120], "scores": [300, 50]}
    assert [node.name for node in built.graph.node if node.op_type in ("LSTM", "Gemm")] == [*LAYERS, "fc"]


def test_it_computes_what_lstm_cells_compute(weights: dict[str, Float]) -> None:
    features = np.random.default_rng(0).standard_normal((6, 1, 120)).astype(np.float32)
    scores = run(ir.to_proto(build(weights, steps=6)), features)
    np.testing.assert_allclose(scores, by_hand(features, weights), atol=2e-5)


def test_all_layers_are_sites_of_reuse(shipped: onnx.ModelProto) -> None:
    model = reuse_compiler.load(eesen.path())
    directions = [f"{name}.{direction}" for name in LAYERS for direction in ("forward", "reverse")]
    assert [site.node for site in find_sites(model)] == [
        *(f"{layer}.{part}" for layer in directions for part in ("x", "h")),
        "fc",
    ]
    assert "Cast" not in {node.op_type for node in model.ir.graph}


def test_the_shipped_file_is_the_builders_network(shipped: onnx.ModelProto) -> None:
    arrays = {i.name: numpy_helper.to_array(i) for i in shipped.graph.initializer}
    kept = {name: arrays[name].astype(np.float32) for name in weight_shapes()}
    for name in LAYERS:
        kept[f"{name}.bias"] = kept[f"{name}.bias"][:, : 4 * CELLS]
    again = ir.to_proto(build(kept))
    assert again.graph.SerializeToString(deterministic=True) == shipped.graph.SerializeToString(deterministic=True)
    assert eesen.path().stat().st_size <= 23_000_000


def test_the_shipped_weights_are_finite(shipped: onnx.ModelProto) -> None:
    assert all(np.isfinite(numpy_helper.to_array(tensor)).all() for tensor in shipped.graph.initializer)


def test_initial_weights_follow_the_seed(weights: dict[str, Float]) -> None:
    again, other = initial_weights(1), initial_weights(2)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)
    assert not np.array_equal(weights["lstm1.weight"], other["lstm1.weight"])


def test_a_weight_of_another_shape_is_refused(weights: dict[str, Float]) -> None:
    with pytest.raises(ModelError, match=r"fc\.weight: shape is \(50, 640\): give \(640, 50\)"):
        build({**weights, "fc.weight": weights["fc.weight"].T})


def test_a_missing_weight_is_named(weights: dict[str, Float]) -> None:
    with pytest.raises(ModelError, match=r"lstm3\.bias: missing"):
        build({name: array for name, array in weights.items() if name != "lstm3.bias"})


def test_a_missing_file_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(eesen, "files", lambda _: tmp_path)
    with pytest.raises(ModelError, match=r"eesen\.onnx: missing.*python -m reuse_compiler\.models\.eesen\.train"):
        eesen.path()


def test_the_package_does_not_import_torch() -> None:
    code = "import sys, reuse_compiler.models.eesen; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
