"""Which recurrent layers the accelerator executes itself: each rule by a layer that breaks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.supported import verdict
from reuse_compiler.backend.accelerator.supported.recurrent import RULES
from reuse_compiler.passes.infer_shapes import InferShapes

WEIGHTS = {"W": (1, 12, 3), "R": (1, 12, 4), "B": (1, 24)}
SIGNATURE = "(float[5,2,3] X) => (float[5,1,2,4] Y)"


def judge(signature: str, body: str, **constants: Any) -> tuple[bool, str, str]:
    """The verdict on a GRU of 4 cells."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g {signature} {{ {body} }}')
    for name, value in constants.items():
        array = value if isinstance(value, np.ndarray) else np.ones(value, np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model = ir.from_proto(proto)
    InferShapes()(model)
    return verdict(model.graph[-1])


def lengths(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("Y = GRU <hidden_size=4> (X, W, R)", {}),
        ("Y = GRU <hidden_size=4, direction='reverse', activations=['relu','AFFINE']> (X, W, R, B)", {}),
        ("Y = GRU <hidden_size=4> (X, W, R, B, L)", {"L": lengths(5, 1)}),
    ],
)
def test_it_executes(body: str, constants: dict[str, Any]) -> None:
    found = judge(SIGNATURE, body.replace("'", '"'), **WEIGHTS, **constants)
    assert found == (True, "has an instruction", "")


CASES: list[tuple[str, str, dict[str, Any], str, str]] = [
    (
        "(float[T,2,3] X) => (float[T,1,2,4] Y)",
        "Y = GRU <hidden_size=4> (X, W, R)",
        WEIGHTS,
        "every shape is known when the model is compiled",
        "X has shape",
    ),
    (
        "(double[5,2,3] X) => (double[5,1,2,4] Y)",
        "Y = GRU <hidden_size=4> (X, W, R)",
        {name: np.ones(shape) for name, shape in WEIGHTS.items()},
        "input, weights and states are float32",
        "X is DOUBLE",
    ),
    (
        "(float[0,2,3] X) => (float[0,1,2,4] Y)",
        "Y = GRU <hidden_size=4> (X, W, R)",
        WEIGHTS,
        "input and state have elements",
        "X has shape [0,2,3]",
    ),
    (
        "(float[1] Z) => (float[5,1,2,4] Y)",
        "Y = GRU <hidden_size=4> (X, W, R)",
        {**WEIGHTS, "X": (5, 2, 3)},
        "the first input is not a constant",
        "X is a constant",
    ),
    (
        "(float[5,2,3] X, float[1,12,4] R) => (float[5,1,2,4] Y)",
        "Y = GRU <hidden_size=4> (X, W, R)",
        {"W": (1, 12, 3)},
        "weights, biases and peepholes are constants",
        "R is computed at run time",
    ),
    (
        "(float[5,2,3] X) => (float[5,2,2,4] Y)",
        "Y = GRU <hidden_size=4, direction='bidirectional'> (X, W, R)",
        {"W": (2, 12, 3), "R": (2, 12, 4)},
        "the layer has one direction; those of a bidirectional layer are taken apart where its weights are constants",
        "the direction is bidirectional",
    ),
    (
        "(float[2,5,3] X) => (float[2,5,1,4] Y)",
        "Y = GRU <hidden_size=4, layout=1> (X, W, R)",
        WEIGHTS,
        "the layout is 0, time before batch",
        "the layout is 1",
    ),
    (
        "(float[5,2,3] X, int32[2] L) => (float[5,1,2,4] Y)",
        "Y = GRU <hidden_size=4> (X, W, R, B, L)",
        WEIGHTS,
        "sequence lengths are constants, or absent",
        "L is computed at run time",
    ),
    (
        SIGNATURE,
        "Y = GRU <hidden_size=4> (X, W, R, B, L)",
        {**WEIGHTS, "L": lengths(5, 0)},
        "every row has a sequence of at least one step, and none goes beyond the time axis",
        "a length is 0, of 5 steps",
    ),
    (
        SIGNATURE,
        "Y = GRU <hidden_size=4, activations=['Sigmoid', 'Swoosh']> (X, W, R)",
        WEIGHTS,
        "the activations are those of ONNX's recurrent operators",
        "Swoosh is among them",
    ),
]


@pytest.mark.parametrize(("signature", "body", "constants", "rule", "measured"), CASES)
def test_it_leaves_to_the_host(signature: str, body: str, constants: dict[str, Any], rule: str, measured: str) -> None:
    found = judge(signature, body.replace("'", '"'), **constants)
    assert found[:2] == (False, rule)
    assert found[2].startswith(measured)


def test_every_rule_has_a_case() -> None:
    assert {rule.__doc__ for rule in RULES["GRU"]} == {case[3] for case in CASES}
