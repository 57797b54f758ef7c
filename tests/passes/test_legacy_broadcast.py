from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import parser

from reuse_compiler.passes.convert_version import ConvertVersion
from reuse_compiler.passes.legacy_broadcast import LegacyBroadcast
from reuse_compiler.passes.name_nodes import NameNodes

Array = NDArray[Any]
Evaluate = Callable[..., dict[str, Array]]


def build(op: str, second: list[int], attributes: str = "", opset: int = 6) -> ir.Model:
    text = f"""<ir_version: 3, opset_import: ["" : {opset}]> g (float[2,3,4,5] x, float{second} b) => (float[] y)
        {{ y = {op} {attributes}(x, b) }}"""
    model = ir.from_proto(parser.parse_model(text))
    NameNodes()(model)
    return model


@pytest.mark.parametrize("opset", [1, 6])
@pytest.mark.parametrize(
    ("op", "second", "attributes", "aligned"),
    [
        ("Add", [3], "<broadcast=1, axis=1>", (3, 1, 1)),
        ("Mul", [3, 4], "<broadcast=1, axis=1>", (3, 4, 1)),
        ("Sub", [2], "<broadcast=1, axis=0>", (2, 1, 1, 1)),
        ("Div", [4], "<broadcast=1, axis=-2>", (4, 1)),
        ("Sub", [4, 5], "<broadcast=1, axis=2>", (4, 5)),
        ("Mul", [5], "<broadcast=1>", (5,)),
        ("PRelu", [3], "", (3, 1, 1)),
        ("PRelu", [1], "", (1,)),
    ],
)
def test_the_second_operand_lies_where_the_old_rule_put_it(
    op: str, second: list[int], attributes: str, aligned: tuple[int, ...], opset: int, evaluate: Evaluate
) -> None:
    model = build(op, second, attributes, opset)
    LegacyBroadcast()(model)
    assert not LegacyBroadcast()(model).modified or op == "PRelu"
    ConvertVersion()(model)
    generator = np.random.default_rng(1)
    x, b = generator.standard_normal((2, 3, 4, 5)).astype(np.float32), generator.random(second).astype(np.float32) + 1
    y = evaluate(ir.to_proto(model), {"x": x, "b": b})["y"]
    factor = b.reshape(aligned)
    expected: dict[str, Array] = {
        "Add": x + factor,
        "Sub": x - factor,
        "Mul": x * factor,
        "Div": x / factor,
        "PRelu": np.where(x > 0, x, x * factor),
    }
    np.testing.assert_allclose(y, expected[op], rtol=1e-6)


def test_later_opsets_stay() -> None:
    assert not LegacyBroadcast()(build("PRelu", [3, 1, 1], opset=7)).modified


def test_an_operand_of_unknown_rank_is_an_error() -> None:
    model = build("Add", [3], "<broadcast=1, axis=1>")
    model.graph.inputs[1].shape = None
    with pytest.raises(ValueError, match=r"node y \(Add\): the rank of an operand is unknown"):
        LegacyBroadcast()(model)
