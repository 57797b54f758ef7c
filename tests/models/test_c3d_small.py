"""The small C3D in the repository: its size, its form, and that it tells the actions."""

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
from onnx import numpy_helper

from reuse_compiler import load
from reuse_compiler.errors import ModelError
from reuse_compiler.models import c3d_small
from reuse_compiler.models.c3d.recording import prepare
from reuse_compiler.models.c3d.stage import film
from reuse_compiler.models.c3d_small.network import GEOMETRY, build, weight_shapes

CLIPS = 32
FLOOR = 0.85  # of them right; the model card says what was measured on more


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load(c3d_small.path())


def test_it_has_an_eighth_of_the_width(shipped: onnx.ModelProto) -> None:
    assert {tensor.name: tuple(tensor.dims) for tensor in shipped.graph.initializer} == weight_shapes()
    assert sum(math.prod(tensor.dims) for tensor in shipped.graph.initializer) == 1_228_656 == GEOMETRY.parameters
    assert GEOMETRY.macs == 716_103_680
    assert c3d_small.path().stat().st_size <= 2_500_000


def test_the_shipped_file_is_the_builders_network(shipped: onnx.ModelProto) -> None:
    weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in shipped.graph.initializer}
    again = ir.to_proto(build(weights))
    assert again.graph.SerializeToString(deterministic=True) == shipped.graph.SerializeToString(deterministic=True)
    onnx.checker.check_model(shipped, full_check=True)


def test_the_compiler_folds_the_casts() -> None:
    model = load(c3d_small.path())
    operators = {node.op_type for node in model.ir.graph}
    assert operators == {"Conv", "Relu", "MaxPool", "Flatten", "Gemm"}
    assert {value.dtype for value in model.ir.graph.initializers.values()} <= {ir.DataType.FLOAT, ir.DataType.INT64}


def test_it_tells_the_actions_of_recordings_it_has_not_seen() -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(c3d_small.path(), options, providers=["CPUExecutionProvider"])
    right = 0
    for number in range(CLIPS):
        action = number % len(c3d_small.ACTIONS)
        clip = prepare(film(action, c3d_small.EVALUATION_SEED + 100 + number, 16, 16))
        (scores,) = session.run(None, {"clip": clip})
        right += int(scores.argmax() == action)
    assert right / CLIPS >= FLOOR


def test_a_missing_file_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(c3d_small, "FILE", tmp_path / "c3d_small.onnx")
    with pytest.raises(ModelError, match=r"run python -m reuse_compiler\.models\.c3d_small\.train"):
        c3d_small.path()


def test_the_package_does_not_import_torch() -> None:
    code = "import sys, reuse_compiler.models.c3d_small as c; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
