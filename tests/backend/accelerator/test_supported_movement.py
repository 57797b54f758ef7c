"""Which nodes that move elements the accelerator executes: each rule by a node that breaks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.movement import DATA_INPUTS, MOST_CONSTANT_BYTES
from reuse_compiler.backend.accelerator.movement.planning import MOST_COPIES, MOST_ENTRIES, MOST_ROW_BYTES
from reuse_compiler.backend.accelerator.supported import ALIASES, RULES, verdict
from reuse_compiler.backend.accelerator.supported.movement import numbered, regular
from reuse_compiler.passes.infer_shapes import InferShapes


def judge(signature: str, body: str, **constants: Any) -> tuple[bool, str, str]:
    """The verdict on the last node."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g {signature} {{ {body} }}')
    for name, value in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    model = ir.from_proto(proto)
    InferShapes()(model)
    return verdict(model.graph[-1])


SHUFFLED = np.random.default_rng(0).permutation(1 << 19)


@pytest.mark.parametrize(
    ("signature", "body", "constants"),
    [
        ("(bool[2,3] x) => (bool[3,2] y)", "y = Transpose (x)", {}),
        ("(int64[2,3] x) => (int64[6] y)", "y = Flatten <axis=0> (x)", {}),
        ("(float[2,3] x) => (float[2,5] y)", "y = Concat <axis=1> (c, x)", {"c": np.ones((2, 2), np.float32)}),
        ("(float[4,3] x) => (float[2,3] y)", "y = Gather (x, i)", {"i": [1, -1]}),
        ("(float[600,999] x) => (float[600,500] y)", "y = Gather <axis=1> (x, i)", {"i": SHUFFLED[:500] % 999}),
        ("(float[9,7000] x) => (float[90,7000] y)", "y = Gather (x, i)", {"i": SHUFFLED[:90] % 9}),
    ],
)
def test_it_moves(signature: str, body: str, constants: dict[str, Any]) -> None:
    assert judge(signature, body, **constants) == (True, "has an instruction", "")


@pytest.mark.parametrize(
    ("signature", "body", "constants", "rule", "measured"),
    [
        ("(string[2,3] x) => (string[3,2] y)", "y = Transpose (x)", {}, "elements are numbers", "x is STRING"),
        ("(float[N,3] x) => (float[3,N] y)", "y = Transpose (x)", {}, "the shapes of what is moved", "x has shape [N,3]"),
        ("(float[2,3] x, int64[1] s) => (float[M] y)", "y = Reshape (x, s)", {}, "the shapes of what is moved", "y has shape"),
        ("(float[2,3] x) => (float[2,3] y, bool[2,3] m)", "y, m = Dropout (x)", {}, "only the first output is used", "m is used"),
        ("(float[4,3] x, int64[2] i) => (float[2,3] y)", "y = Gather (x, i)", {}, "shapes, indices", "i is computed"),
        ("(int64[2] i) => (float[2,3] y)", "y = Gather (c, i)", {"c": np.ones((4, 3), np.float32)}, "not all operands", "all are constants"),
        ("(float[4,3] x) => (float[4,3] y)", 'y = ScatterND <reduction="add"> (x, i, u)', {"i": [[1]], "u": np.ones((1, 3), np.float32)}, "scattered elements replace", "it is add"),
        ("(float[2,3] x, bool t) => (float[2,3] y)", "y = Dropout (x, , t)", {}, "it is not in training mode", "t may be true"),
        ("(float[2,3] x) => (float[2,600003] y)", "y = Concat <axis=1> (x, c)", {"c": np.ones((2, 600000), np.float32)}, "the operands have less than", "constants take 4,800,000 bytes"),
        ("(float[524288] x) => (float[524288] y)", "y = Gather (x, i)", {"i": SHUFFLED}, "an output is at most", "y takes more than 1,024 boxes, or 524,288 entries"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("y") else "",
)  # fmt: skip
def test_it_leaves_to_the_host(signature: str, body: str, constants: dict[str, Any], rule: str, measured: str) -> None:
    mine, broken, value = judge(signature, body, **constants)
    assert not mine
    assert broken.startswith(rule) and value.startswith(measured)


def test_the_text_of_a_rule_has_the_numbers_that_it_measures_by() -> None:
    text = f"{regular.__doc__} {numbered.__doc__}".replace("\n", " ")
    for number in (
        f"{MOST_COPIES:,}",
        f"{MOST_ENTRIES:,}",
        f"{MOST_ROW_BYTES >> 10} KiB",
        f"{MOST_CONSTANT_BYTES >> 20} MiB",
    ):
        assert number in text


def test_every_operator_that_moves_has_rules_of_one_line() -> None:
    for name in (*DATA_INPUTS, *ALIASES):
        assert all(rule.__doc__ for rule in RULES[name])
