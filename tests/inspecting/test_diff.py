"""The patch between a model and its reuse model."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.frontend import Model
from reuse_compiler.inspecting import diff
from reuse_compiler.onnx_file import read_model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan


def _original(model: Model) -> ir.Model:
    return read_model(model.path)[0]


def test_what_was_fused_stands_beside_what_replaced_it(model: Model, plan: Plan, quoted: str) -> None:
    lines = diff(_original(model), rewrite(model, plan))
    assert [(line.sign, line.node) for line in lines] == [
        ("-", quoted),
        ("-", "clip"),
        ("+", quoted),
        ("-", "conv2"),
        ("+", "conv2"),
        (" ", "sum"),
        (" ", "flatten"),
        ("-", "fc"),
        ("-", "bias"),
        ("+", "fc"),
    ]


def test_a_line_says_what_matters(model: Model, plan: Plan) -> None:
    texts = {(line.sign, line.node): line.text for line in diff(_original(model), rewrite(model, plan))}
    assert texts["-", "conv2"] == "conv2: Conv(x, float[3,2,3,3], float[3]) kernel_shape=[3,3] pads=[1,1,1,1] -> b"
    assert texts["+", "conv2"] == (
        "conv2: ReuseConv(x, float[3,2,3,3], float[3]) clusters=300 step=0.25 zero=7 deadband=0.125 to 0.5 by channel"
        " pads=[1,1,1,1] state=256 bytes -> b"
    )
    assert texts["+", "fc"] == "fc: ReuseGemm(f, float[48,5], float[5]) clusters=16 step=0.5 zero=0 state=68 bytes -> y"


def test_a_model_does_not_differ_from_itself(model: Model) -> None:
    assert {line.sign for line in diff(_original(model), _original(model))} == {" "}


def test_every_node_of_both_is_there_once(model: Model, plan: Plan) -> None:
    before, after = _original(model), rewrite(model, plan)
    after.graph.append(ir.Node("", "Relu", [after.graph.outputs[0]], name="new at the end"))
    after.graph.insert_before(after.graph[0], ir.Node("", "Relu", [after.graph.inputs[0]], name="new at the start"))
    lines = diff(before, after)
    assert sorted(line.node for line in lines if line.sign in "- ") == sorted(str(node.name) for node in before.graph)
    assert sorted(line.node for line in lines if line.sign in "+ ") == sorted(str(node.name) for node in after.graph)
    assert lines[0].node == "new at the start"
    assert lines[-1].node == "new at the end"
