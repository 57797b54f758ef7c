"""Multiply-accumulates of nodes that are no site."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from reuse_compiler import frontend
from reuse_compiler.macs import model_macs, node_macs
from reuse_compiler.sites import find_sites


def nodes(text: str, folder: Path) -> list[ir.Node]:
    path = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}'), path)
    return list(frontend.load(path).ir.graph)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g (float[2, 3, 4] a, float[2, 4, 5] b) => (float[2, 3, 5] y) { y = MatMul(a, b) }", 2 * 3 * 5 * 4),
        ("g (float[4, 3] a, float[4, 5] b) => (float[3, 5] y) { y = Gemm <transA=1> (a, b) }", 3 * 5 * 4),
        (
            "g (float[1, 4, 6, 6] x, float[8, 2, 3, 3] w) => (float[1, 8, 4, 4] y) { y = Conv <group=2> (x, w) }",
            8 * 4 * 4 * 2 * 9,
        ),
        (
            (
                "g (float[1, 4, 3, 3] x, float[4, 2, 2, 2] w) => (float[1, 2, 6, 6] y)"
                " { y = ConvTranspose <strides=[2, 2]> (x, w) }"
            ),
            4 * 9 * 2 * 4,
        ),
        (
            (
                "g (float[5, 1, 3] x, float[2, 16, 3] w, float[2, 16, 4] r) => (float[5, 2, 1, 4] y)"
                ' { y = LSTM <hidden_size=4, direction="bidirectional"> (x, w, r) }'
            ),
            5 * 2 * 16 * (3 + 4),
        ),
        ("g (float[2, 3] a, float[2, 3] b) => (float[2, 3] y) { y = Add(a, b) }", 0),
    ],
)
def test_products_of_a_node(text: str, expected: int, tmp_path: Path) -> None:
    (node,) = nodes(text, tmp_path)
    assert node_macs(node) == expected


def test_a_site_counts_without_its_padding(tmp_path: Path) -> None:
    text = """g (float[1, 1, 4] x) => (float[1, 2, 4] z) <float[2, 1, 3] w = {1, 1, 1, 1, 1, 1}> {
      y = Conv <pads=[1, 1]> (x, w)
      p = Transpose <perm=[0, 2, 1]> (y)
      z = MatMul(y, q)
      q = MatMul(p, y)
    }"""
    path = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}'), path)
    model = frontend.load(path)
    assert model_macs(model, find_sites(model)) == 2 * (4 * 3 - 2) + 4 * 4 * 2 + 2 * 4 * 4
