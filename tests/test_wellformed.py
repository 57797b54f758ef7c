from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import parser

from reuse_compiler.errors import ModelError
from reuse_compiler.wellformed import check_operators, check_opset, check_wiring

PATH = Path("model.onnx")


def model(body: str, opsets: str = '"" : 18', more: str = "", outputs: str = "float[2] y") -> onnx.ModelProto:
    text = f"<ir_version: 8, opset_import: [{opsets}]> g (bool c, float[2] x) => ({outputs}) {{ {body} }} {more}"
    return parser.parse_model(text)


BODIES = (
    "y = If(c) <then_branch = t () => (float[2] p) {{ {inner} }}, else_branch = e () => (float[2] q) {{ q = Neg(x) }}>"
)


@pytest.mark.parametrize(
    "proto",
    [
        model("a = Relu(x) y = Neg(a)"),
        model("y = ai.onnx.Relu(x)", '"ai.onnx" : 18'),
        model(BODIES.format(inner="p = Relu(x)")),
        model("a = Relu(x) " + BODIES.format(inner="b = Neg(a) p = Exp(b)")),
        model("y = com.microsoft.Gelu(x)", '"" : 18, "com.microsoft" : 1'),
        model(
            "y = own.twice(x)",
            '"" : 18, "own" : 1',
            '<domain: "own", opset_import: ["" : 18]> twice (a) => (b) { b = Add(a, a) }',
        ),
    ],
)
def test_a_sound_graph_passes_in_order(proto: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    check_operators(tmp_path / "model.onnx", proto)
    assert check_wiring(PATH, proto)


@pytest.mark.parametrize(
    "proto",
    [
        model("y = Neg(a) a = Relu(x)"),
        model(BODIES.format(inner="p = Relu(b) b = Neg(x)")),
        model(BODIES.format(inner="p = Relu(a)") + " a = Neg(x)"),
    ],
)
def test_a_graph_out_of_order_passes_and_is_told(proto: onnx.ModelProto) -> None:
    assert not check_wiring(PATH, proto)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (model("y = Unheard(x)"), r"model.onnx: node y \(Unheard\): no such operator in opset 18 of ai.onnx"),
        (
            model("y = Gelu(x)"),
            r"model.onnx: node y \(Gelu\): no such operator in opset 18 of ai.onnx: it came with 20: export",
        ),
        (model(BODIES.format(inner="p = Unheard(x)")), r"model.onnx: node p \(Unheard\): no such operator"),
        (
            model("y = ai.onnx.ml.Scaler(x)"),
            r"node y \(ai.onnx.ml.Scaler\): the model imports no opset of domain ai.onnx.ml",
        ),
        (
            model(
                "y = own.twice(x)",
                '"" : 18, "own" : 1',
                '<domain: "own", opset_import: ["" : 18]> twice (a) => (b) { b = Unheard(a, a) }',
            ),
            r"model.onnx: node b \(Unheard\): no such operator",
        ),
    ],
)
def test_an_unknown_operator_is_an_error(proto: onnx.ModelProto, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_operators(PATH, proto)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (model("y = Relu(x)", '"" : 0'), "^model.onnx: opset 0: export it with opset 1 or later$"),
        (
            model("y = Relu(x)", '"" : 999'),
            r"^model.onnx: opset 999: the installed onnx knows up to \d+, the model has 999: ",
        ),
        (
            model("a = Relu(x) y = Unheard(a)", '"ai.onnx" : 999'),
            r"^model.onnx: node y \(Unheard\): no such operator, and the installed onnx knows up to \d+, the model has 999: ",
        ),
    ],
)
def test_an_opset_out_of_range_is_an_error(proto: onnx.ModelProto, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_opset(PATH, proto, 1)


def test_an_opset_within_the_range_passes() -> None:
    check_opset(PATH, model("y = Relu(x)", '"own" : 999'), 1)
    check_opset(PATH, model("y = Relu(x)", '"" : 1'), 1)


def test_an_operator_of_another_domain_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    proto = model("y = own.Unheard(x)", '"" : 18, "own" : 1')
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"node y \(own.Unheard\): neither onnx nor onnxruntime knows the operator"):
        check_operators(tmp_path / "model.onnx", proto)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (model("y = Relu(a)"), r"model.onnx: node y \(Relu\): nothing produces its input a"),
        (model(BODIES.format(inner="p = Relu(z)")), r"model.onnx: node p \(Relu\): nothing produces its input z"),
        (model("a = Relu(x)"), "model.onnx: graph output y: no node produces it"),
        (model("y = Relu(x) y = Neg(x)"), r"model.onnx: node y \(Neg\): its output y is there already"),
        (model("x = Relu(c) y = Neg(x)"), r"model.onnx: node x \(Relu\): its output x is there already"),
        (model("y = Relu(y)"), r"model.onnx: node y \(Relu\): it depends on its own output$"),
        (model("a = Add(x, b) b = Relu(a) y = Neg(b)"), r"it depends on its own output through node [ab] "),
        (model("a = Relu(y) " + BODIES.format(inner="p = Neg(a)")), r"it depends on its own output through node [ay] "),
    ],
)
def test_a_broken_graph_is_an_error_that_names_the_node(proto: onnx.ModelProto, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_wiring(PATH, proto)
