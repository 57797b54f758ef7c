"""The Kaldi network: its size and layers are the paper's, and the file in the repository is the builder's network."""

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
from reuse_compiler.check import check
from reuse_compiler.errors import ModelError
from reuse_compiler.models import kaldi
from reuse_compiler.models.kaldi.network import GROUP, MACS, PARAMETERS, build, initial_weights, weight_shapes
from reuse_compiler.sites import find_sites

LAYERS = ["fc1", "fc2", "fc3", "fc4", "fc5", "fc6"]


@pytest.fixture(scope="module")
def built() -> onnx.ModelProto:
    return ir.to_proto(build())


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load(kaldi.path())


def reference(weights: dict[str, NDArray[np.float32]], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores by numpy, in float64, of weights rounded to float16."""
    for name in LAYERS:
        x = x @ weights[f"{name}.weight"].astype(np.float16).astype(np.float64)
        x = x + weights[f"{name}.bias"].astype(np.float16)
        if name not in ("fc1", "fc6"):
            x = np.sqrt(np.square(x.reshape(1, -1, GROUP)).sum(axis=2))
    return x


def test_it_has_the_papers_parameters(shipped: onnx.ModelProto) -> None:
    tensors = {i.name: i for i in shipped.graph.initializer if i.data_type == onnx.TensorProto.FLOAT16}
    assert sum(math.prod(i.dims) for i in tensors.values()) == 4_654_242 == PARAMETERS
    assert {name: tuple(i.dims) for name, i in tensors.items()} == weight_shapes()
    others = [i for i in shipped.graph.initializer if i.name not in tensors]
    assert {i.data_type for i in others} == {onnx.TensorProto.INT64}, "only the sizes of groups and an axis"


def test_layers_have_the_papers_sizes() -> None:
    assert [shape for name, shape in weight_shapes().items() if name.endswith("weight")] == [
        (360, 360),
        (360, 2000),
        (400, 2000),
        (400, 2000),
        (400, 2000),
        (400, 3482),
    ]
    assert sum(math.prod(shape) for name, shape in weight_shapes().items() if name.endswith("weight")) == MACS


def test_it_is_valid_onnx_with_the_agreed_face(built: onnx.ModelProto) -> None:
    onnx.checker.check_model(built, full_check=True)
    assert [i.name for i in built.graph.input] == ["features"]
    assert [o.name for o in built.graph.output] == ["scores"]


def test_it_computes_fc_layers_and_p_norms(built: onnx.ModelProto) -> None:
    x = np.random.default_rng(1).standard_normal((1, 360), np.float32)
    (scores,) = ort.InferenceSession(built.SerializeToString()).run(None, {"features": x})
    assert scores.shape == (1, 3482) and scores.dtype == np.float32
    assert np.allclose(scores, reference(initial_weights(), x.astype(np.float64)), atol=1e-4)


def test_the_compiler_sees_six_sites_with_float32_weights_and_nothing_on_the_host() -> None:
    model = reuse_compiler.load(kaldi.path())
    verdicts = check(model)
    assert [verdict.node for verdict in verdicts if verdict.verdict == "reuse"] == LAYERS
    assert {verdict.verdict for verdict in verdicts} == {"reuse", "dense"}
    initializers = model.ir.graph.initializers
    assert {initializers[site.weight].dtype for site in find_sites(model)} == {ir.DataType.FLOAT}


def test_the_shipped_file_is_the_builders_network(shipped: onnx.ModelProto) -> None:
    weights = {name: numpy_helper.to_array(i) for i in shipped.graph.initializer if (name := i.name) in weight_shapes()}
    again = ir.to_proto(build(weights))
    assert again.graph.SerializeToString(deterministic=True) == shipped.graph.SerializeToString(deterministic=True)
    assert kaldi.path().stat().st_size <= 9_400_000


def test_the_shipped_weights_are_trained(shipped: onnx.ModelProto) -> None:
    tensors = [numpy_helper.to_array(i) for i in shipped.graph.initializer if i.name in weight_shapes()]
    assert all(np.isfinite(tensor).all() and tensor.any() for tensor in tensors)


def test_a_missing_file_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kaldi, "files", lambda name: tmp_path)
    with pytest.raises(
        ModelError, match=r"clone the repository, or train: python -m reuse_compiler\.models\.kaldi\.train"
    ):
        kaldi.path()


def test_initial_weights_follow_the_seed() -> None:
    first, again, other = initial_weights(1), initial_weights(1), initial_weights(2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["fc1.weight"], other["fc1.weight"])


def test_weights_that_do_not_fit_are_refused() -> None:
    weights = initial_weights()
    weights["fc2.weight"] = weights["fc2.weight"].T
    with pytest.raises(ModelError, match=r"fc2\.weight: shape is \(2000, 360\): give \(360, 2000\)"):
        build(weights)
    del weights["fc2.weight"]
    with pytest.raises(ModelError, match=r"fc2\.weight: missing"):
        build(weights)


def test_the_package_does_not_import_torch() -> None:
    code = "import sys, reuse_compiler.models.kaldi as k; k.build(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
