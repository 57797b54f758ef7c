from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from reuse_compiler.errors import ModelError
from reuse_compiler.onnx_session import open_session

Build = Callable[[onnx.ModelProto, Path], str | bytes | onnx.ModelProto | ir.Model]

GENERATOR = np.random.default_rng(0)
WEIGHTS = {
    "k": GENERATOR.standard_normal((8, 4, 3, 3)).astype(np.float32),
    "b": GENERATOR.standard_normal(8).astype(np.float32),
    "w": GENERATOR.standard_normal((8, 400)).astype(np.float32),
}


def model() -> onnx.ModelProto:
    body = "a = Conv(x, k, b) r = Relu(a) p = GlobalAveragePool(r) f = Flatten(p) y = MatMul(f, w)"
    proto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g (float[1,4,6,6] x) => (float[] y) {{ {body} }}'
    )
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in WEIGHTS.items())
    return proto


def as_path(proto: onnx.ModelProto, folder: Path) -> str:
    onnx.save(proto, folder / "m.onnx")
    return str(folder / "m.onnx")


@pytest.mark.parametrize(
    "build",
    [
        as_path,
        lambda proto, _: proto.SerializeToString(),
        lambda proto, _: proto,
        lambda proto, _: ir.from_proto(proto),
    ],
)
def test_every_kind_of_source_computes_the_same(build: Build, tmp_path: Path) -> None:
    session = open_session(build(model(), tmp_path), 1, "model")
    gc.collect()  # the session holds what it reads
    x = GENERATOR.standard_normal((1, 4, 6, 6)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3), axis=(1, 2))
    conv = np.einsum("cijkl,ockl->oij", windows, WEIGHTS["k"]) + WEIGHTS["b"][:, None, None]
    expected = np.maximum(conv, 0).mean(axis=(1, 2)) @ WEIGHTS["w"]
    np.testing.assert_allclose(session.run(None, {"x": x})[0], [expected], rtol=1e-4, atol=1e-4)


def test_the_weights_of_a_model_are_not_serialized(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counting(model: ir.Model) -> onnx.ModelProto:
        proto = to_proto(model)
        sizes.append(proto.ByteSize())
        return proto

    to_proto = ir.to_proto
    monkeypatch.setattr(ir, "to_proto", counting)
    open_session(ir.from_proto(model()), 1, "model")
    assert sizes and max(sizes) < WEIGHTS["w"].nbytes


def test_what_onnxruntime_does_not_take_is_an_error_with_the_name() -> None:
    broken = model()
    broken.graph.node[1].op_type = "Unheard"
    with pytest.raises(ModelError, match=r"^m\.onnx: onnxruntime does not take it: "):
        open_session(ir.from_proto(broken), 1, "m.onnx")
