"""What the accelerator executes itself: each rule by a node that breaks it, and the value measured there."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.lowering.readers import READERS
from reuse_compiler.backend.accelerator.supported import DEFINED, RULES, verdict
from reuse_compiler.passes.infer_shapes import InferShapes


def judge(signature: str, body: str, **constants: Any) -> tuple[bool, str, str]:
    """The verdict on the last node."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18, "other": 1]> g {signature} {{ {body} }}')
    for name, shape in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, np.float32), name))
    model = ir.from_proto(proto)
    InferShapes()(model)
    return verdict(model.graph[-1])


@pytest.mark.parametrize(
    ("signature", "body", "constants"),
    [
        ("(float[1,2,8] x) => (float[1,3,6] y)", "y = Conv (x, w)", {"w": (3, 2, 3)}),
        (
            "(float[1,2,8,8] x) => (float[1,3,8,8] y)",
            "y = Conv <pads=[2,2,0,0]> (x, w, b)",
            {"w": (3, 2, 3, 3), "b": (3,)},
        ),
        ("(float[7,4] x) => (float[7,2] y)", "y = Gemm (x, w, b)", {"w": (4, 2), "b": (1, 2)}),
        ("(float[7,4] x) => (float[7,2] y)", "y = Gemm (x, w, b)", {"w": (4, 2), "b": ()}),
        ("(float[2,7,4] x) => (float[2,7,2] y)", "y = MatMul (x, w)", {"w": (4, 2)}),
        ("(float[1,2,8] x) => (float[1,2,7] y)", "y = MaxPool <kernel_shape=[2]> (x)", {}),
        ("(float[1,2,8] x) => (float[1,2,1] y)", "y = GlobalMaxPool (x)", {}),
        ("(float[1,1,512,129] x) => (float[1,1,1,1] y)", "y = GlobalAveragePool (x)", {}),
        ("(float[2,3] x) => (float[2,3] y)", "y = Hardmax (x)", {}),
        ("(float[1,2] x, float[1,3] z) => (float[1,5] y)", "y = Concat <axis=1> (x, z)", {}),
        ("(float[2,3] x) => (float[2,3] y)", "y = Add (x, c)", {"c": (2, 1)}),
        ("(float[2,3] x) => (float[2,3] y)", "y = Max (c, x)", {"c": ()}),
        ("(float[2,3] x) => (float[2,3] y)", "y = Erf (x)", {}),
        ("(int64[2,3] x) => (int64[6] y)", "y = Flatten <axis=0> (x)", {}),
        ("(float[4,7] x) => (float[7,2] y)", "y = Gemm <transA=1> (x, w)", {"w": (4, 2)}),
        ("(float[3,4] x) => (float[3,3] y)", "y = Gemm (x, w, b)", {"w": (4, 3), "b": (3, 1)}),
        ("(float[3,4] x) => (float[3,3] y)", "y = Gemm (x, w, b)", {"w": (4, 3), "b": (3, 3)}),
        ("(float[2,3,4] x) => (float[2,3,5] y)", "y = MatMul (x, w)", {"w": (2, 4, 5)}),
        ("(float[3,4] x) => (float[3] y)", "y = MatMul (x, w)", {"w": (4,)}),
        (
            "(float[1,2,8] x) => (float[1,2,5] y)",
            "y = AveragePool <kernel_shape=[2], ceil_mode=1, count_include_pad=1, strides=[2], pads=[1,1]> (x)",
            {},
        ),
        ("(float[1,2] x) => (float[1,4] y)", "y = Concat <axis=1> (x, c)", {"c": (1, 2)}),
        ("(float[2,3] x) => (float[6] y)", "y = Flatten <axis=0> (x)", {}),
    ],
)
def test_it_has_an_instruction_for(signature: str, body: str, constants: dict[str, tuple[int, ...]]) -> None:
    assert judge(signature, body, **constants) == (True, "has an instruction", "")


@pytest.mark.parametrize(
    ("signature", "body", "constants", "rule", "measured"),
    [
        ("(float[3,3] x) => (float[] y)", "y = Det (x)", {}, "no instruction for the operator", "Det"),
        ("(float[2,3] x) => (float[2,3] y)", "y = other.Relu (x)", {}, "no instruction for the operator", "Relu"),
        ("(float[N,3] x) => (float[N,3] y)", "y = Relu (x)", {}, "every shape is known when", "x has shape [N,3]"),
        (
            *("(float[1,1,600,600] x) => (float[1,1,97,97] y)", "y = MaxPool <kernel_shape=[8,8], dilations=[72,72]> (x)"),
            *({}, "the window of one output", "it spans 505 x 505"),
        ),
        ("(float[0,3] x) => (float[0,3] y)", "y = Relu (x)", {}, "no tensor is empty", "x has shape [0,3]"),
        ("(float[1,2,8] x, float[3,2,1] w) => (float[1,3,8] y)", "y = Conv (x, w)", {}, "weight and bias are constants", "w is computed"),
        ("(float[3] b, float[1,2,8] x) => (float[1,3,8] y)", "y = Conv (x, w, b)", {"w": (3, 2, 1)}, "weight and bias are", "b is computed"),
        ("(float[1,2,8] x) => (float[1,3,8] y)", "y = Conv (c, w)", {"w": (3, 2, 1), "c": (1, 2, 8)}, "the first input is not", "c is a constant"),
        ("(float[1,2,8] x) => (float[1,3,8] y)", "y = ConvTranspose <output_shape=[8]> (x, w)", {"w": (2, 3, 1)}, "the size of the output is given", "output_shape is [8]"),
        ("(float[1,1,2,2,2,2] x) => (float[1,1,2,2,2,2] y)", "y = Conv (x, w)", {"w": (1, 1, 1, 1, 1, 1)}, "there are 1, 2 or 3", "there are 4"),
        ("(float[1,2,8] x) => (float[1,3,8] y)", 'y = Conv <auto_pad="SAME_UPPER"> (x, w)', {"w": (3, 2, 1)}, "padding is explicit", "auto_pad is SAME_UPPER"),
        ("(float[1,2,8] x) => (float[1,2,9] y)", "y = MaxPool <kernel_shape=[2], pads=[2,0]> (x)", {}, "padding at the start of an axis", "axis 0 has padding 2 and window 2"),
        ("(float[1,2,8] x) => (float[1,2,7] y, int64[1,2,7] i)", "y, i = MaxPool <kernel_shape=[2]> (x)", {}, "only the first output is used", "i is used"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("y") else "",
)  # fmt: skip
def test_it_leaves_to_the_host(
    signature: str, body: str, constants: dict[str, tuple[int, ...]], rule: str, measured: str
) -> None:
    mine, broken, value = judge(signature, body, **constants)
    assert not mine
    assert broken.startswith(rule) and value.startswith(measured)


def test_every_operator_that_can_be_read_has_rules() -> None:
    assert set(RULES) == {*DEFINED, *(operator for operator in READERS if not operator.startswith("Reuse"))}
    for rules in RULES.values():
        assert all(rule.__doc__ and "\n" not in rule.__doc__ for rule in rules)
