from __future__ import annotations

from pathlib import Path

from onnx import parser

from reuse_compiler.runtime_judge import refusal

TEXT = '<ir_version: 8, opset_import: ["" : 18, "own" : 1]> g (float[2] x) => (float[2] y) {{ y = {op}(x) }}'


def test_what_onnxruntime_takes_is_not_refused(tmp_path: Path) -> None:
    proto = parser.parse_model(TEXT.format(op="Relu"))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    assert refusal(proto) is None
    assert refusal(tmp_path / "m.onnx") is None


def test_a_refusal_is_one_line_that_names_the_operator(tmp_path: Path) -> None:
    reason = refusal(parser.parse_model(TEXT.format(op="own.Unheard")))
    assert reason is not None
    assert "Unheard" in reason and "\n" not in reason
    assert refusal(tmp_path / "missing.onnx") is not None
