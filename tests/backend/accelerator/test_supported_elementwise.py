"""Which element-wise nodes the accelerator executes: each rule by a node that breaks it, and the value measured there."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.supported import verdict


def judge(signature: str, node: str, **constants: Any) -> tuple[bool, str, str]:
    """The verdict on one node."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> g {signature} {{ {node} }}')
    for name, array in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    return verdict(ir.from_proto(proto).graph[0])


@pytest.mark.parametrize(
    ("signature", "node"),
    [
        ("(float[2,3] x) => (float[2,3] y)", "y = LeakyRelu <alpha=1.5> (x)"),
        ("(float[2,3] x) => (float[2,3] y)", 'y = Gelu <approximate="tanh"> (x)'),
        ("(float16[2,3] x) => (float16[2,3] y)", "y = Mish (x)"),
        ("(float[2,3] x, float low, float high) => (float[2,3] y)", "y = Clip (x, low, high)"),
        ("(float[2,3] x) => (float[2,3] y)", "y = Sum (x, x, x, x)"),
        ("(float[2,1,3,1,5] x, float[1,3,1,4,1] z) => (float[2,3,3,4,5] y)", "y = Add (x, z)"),
        ("(int64[2,3] x) => (int64[2,3] y)", "y = Div (x, x)"),
        ("(int8[2,3] x) => (int8[2,3] y)", "y = Neg (x)"),
        ("(uint16[2,3] x) => (bool[2,3] y)", "y = LessOrEqual (x, x)"),
        ("(bool[2,3] x) => (bool[2,3] y)", "y = Equal (x, x)"),
        ("(bool[2,3] x) => (bool[2,3] y)", "y = Xor (x, x)"),
        ("(bool[2,1] c, int32[3] x) => (int32[2,3] y)", "y = Where (c, x, x)"),
        ("(float[2,3] x, int64[3] z) => (float[2,3] y)", "y = Pow (x, z)"),
        ("(double[2,3] x) => (bool[2,3] y)", "y = Cast <to=9> (x)"),
        ("(float[2,3] x, int8[0] like) => (int8[2,3] y)", "y = CastLike (x, like)"),
    ],
)
def test_it_has_an_instruction_for(signature: str, node: str) -> None:
    assert judge(signature, node) == (True, "has an instruction", "")


@pytest.mark.parametrize(
    ("signature", "node", "rule", "measured"),
    [
        ("(double[2] x) => (double[2] y)", "y = Tanh (x)", "every operand is float32, or float16", "x is DOUBLE"),
        ("(double[2] x) => (double[2] y)", "y = Relu (x)", "every operand is float32, or float16 and converted, or holds", "x is DOUBLE"),
        ("(double[2] x) => (bool[2] y)", "y = Equal (x, x)", "every operand is float32, or float16 and converted, or bool", "x is DOUBLE"),
        ("(bfloat16[2] x) => (float[2] y)", "y = Cast <to=1> (x)", "the data are floats of 16", "x is BFLOAT16"),
        ("(float[2] x) => (string[2] y)", "y = Cast <to=8> (x)", "the data are floats of 16", "y is STRING"),
        ("(float[N] x, float[2] z) => (float[N] y)", "y = CastLike (x, z)", "the shape of the data is known", "x has shape [N]"),
        ("(int32[2] x, float[2] z) => (int32[2] y)", "y = Pow (x, z)", "the base is float32", "base is INT32, exponent FLOAT"),
        ("(float[2] x, double[2] z) => (float[2] y)", "y = Pow (x, z)", "the base is float32", "z is DOUBLE"),
        ("(float[2] x) => (float[2] y)", "y = Add (c, c)", "at least one operand is not a constant", "all are constants"),
        ("(float[0] x) => (float[0] y)", "y = Abs (x)", "no tensor is empty", "x has shape [0]"),
        ("(float[2] x, float s) => (uint8[2] y)", "y = QuantizeLinear (x, s)", "scale and zero point are constants", "s is computed"),
        ("(int32[2] x) => (uint8[2] y)", "y = QuantizeLinear (x, c)", "the data are float32 or float16", "x is INT32"),
        ("(int32[2] x) => (float[2] y)", "y = DequantizeLinear (x, one, z)", "the data are whole numbers", "the zero point is 7"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("y") else "",
)  # fmt: skip
def test_it_leaves_to_the_host(signature: str, node: str, rule: str, measured: str) -> None:
    constants = {"c": np.ones(2, np.float32), "one": np.float32(1), "z": np.int32(7)}
    mine, broken, value = judge(signature, node, **constants)
    assert not mine
    assert broken.startswith(rule) and value.startswith(measured)
