from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from reuse_compiler.onnx_file import read_model
from reuse_compiler.onnx_session import open_session
from reuse_compiler.onnx_writer import model_sha256, write_model
from reuse_compiler.passes import external_weights

WEIGHT = np.random.default_rng(0).standard_normal((600, 3)).astype(np.float32)


def model() -> ir.Model:
    proto = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[1,600] x) => (float[1,3] y) { y = MatMul(x, w) }'
    )
    proto.graph.initializer.append(numpy_helper.from_array(WEIGHT, "w"))
    return ir.from_proto(proto)


@pytest.mark.parametrize("limit", [1 << 20, 1000])
def test_what_is_written_is_read_again(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_weights, "MAX_PROTO_BYTES", limit)
    path = tmp_path / "model.onnx"
    write_model(model(), path)
    is_outside = limit < WEIGHT.nbytes
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", *(["model.onnx.data"] if is_outside else [])}
    assert (path.stat().st_size < WEIGHT.nbytes) == is_outside
    onnx.checker.check_model(path, full_check=True)
    read, digest = read_model(path)
    tensor = read.graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), WEIGHT)
    assert digest == model_sha256(model())
    x = np.ones((1, 600), np.float32)
    np.testing.assert_allclose(open_session(str(path), 1, "m").run(None, {"x": x})[0], x @ WEIGHT, rtol=1e-4)


def test_a_model_with_its_weights_inside_has_the_hash_of_its_bytes() -> None:
    assert model_sha256(model()) == hashlib.sha256(ir.to_proto(model()).SerializeToString()).hexdigest()
