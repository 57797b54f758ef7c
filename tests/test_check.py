from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.check import NodeVerdict, check
from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import load


def verdicts(
    folder: Path,
    signature: str,
    body: str,
    weights: dict[str, NDArray[Any]] | None = None,
    opsets: str = '"" : 18',
    element: str = "float",
) -> dict[str, NodeVerdict]:
    text = f"<ir_version: 8, opset_import: [{opsets}]> g ({signature}) => ({element}[] y) {{ {body} }}"
    proto = parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    found = check(load(path))
    assert [verdict.node for verdict in found] == list(dict.fromkeys(verdict.node for verdict in found))
    return {verdict.node: verdict for verdict in found}


ONES = np.ones((4, 4), np.float32)


def test_every_node_gets_a_verdict(tmp_path: Path) -> None:
    body = "a = MatMul(x, w) b = Add(a, c) d = Relu(b) e = MatMul(d, k) y = Softmax(e)"
    weights = {"w": ONES, "c": ONES[0]}
    found = verdicts(tmp_path, "float[1,4] x, float[4,4] k", body, weights)
    assert {node: verdict.verdict for node, verdict in found.items()} == {
        "a": "reuse",
        "b": "reuse",
        "d": "dense",
        "e": "dense",
        "y": "dense",
    }
    assert found["a"].measured == "1x4 input, 16 MACs"
    assert found["b"].measured == "site a"
    assert found["e"].op == "MatMul"
    assert "k" in found["e"].measured


def test_a_layer_that_breaks_a_rule_of_reuse_alone_is_dense(tmp_path: Path) -> None:
    found = verdicts(tmp_path, "float[4,4] x, float[4,4] k", "y = MatMul(x, k)")
    text = "the weight, the second input, is a constant"
    assert found["y"] == NodeVerdict("y", "MatMul", "dense", text, "k is an input of the model")


def test_a_layer_that_breaks_a_rule_of_the_accelerator_too_is_on_the_host(tmp_path: Path) -> None:
    found = verdicts(tmp_path, "float[1,4,8] x, float[2,4,3] k", "y = Conv(x, k)")
    assert found["y"].verdict == "host"
    assert found["y"].rule == "weight and bias are constants"
    assert found["y"].measured == "k is computed at run time"


def test_an_operator_of_another_domain_that_onnxruntime_has_is_on_the_host(tmp_path: Path) -> None:
    found = verdicts(
        tmp_path,
        "float[1,4] x",
        "a = com.microsoft.Gelu(x) y = Relu(a)",
        opsets='"" : 18, "com.microsoft" : 1',
    )
    assert (found["a"].op, found["a"].verdict) == ("com.microsoft.Gelu", "host")


def test_a_node_for_which_onnxruntime_has_no_kernel_is_rejected(tmp_path: Path) -> None:
    # onnxruntime has no double LpPool on the CPU.
    body = "a = Relu(x) y = LpPool<kernel_shape=[2]>(a)"
    found = verdicts(tmp_path, "double[1,1,8] x", body, element="double")
    assert (found["a"].verdict, found["y"].verdict) == ("host", "rejected")
    assert found["y"].rule == "onnxruntime has a kernel for the operator"
    assert "NOT_IMPLEMENTED" in found["y"].measured


def test_a_body_with_such_a_node_is_rejected_whole(tmp_path: Path) -> None:
    body = """m = ReduceMax<keepdims=0>(x) t = Cast<to=9>(m)
        y = If(t) <then_branch = p () => (double[] q) { q = LpPool<kernel_shape=[1]>(x) },
                   else_branch = r () => (double[] s) { s = Relu(x) }>"""
    found = verdicts(tmp_path, "double[1,1,8] x", body, element="double")
    assert {node: verdict.verdict for node, verdict in found.items()} == {"m": "host", "t": "dense", "y": "rejected"}


def test_a_refusal_without_a_single_cause_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reuse_compiler.check.refusal", lambda proto: "no" if len(proto.graph.node) > 1 else None)
    with pytest.raises(ModelError, match=r"model\.onnx: onnxruntime does not take the model: no"):
        verdicts(tmp_path, "float[1,4] x", "a = Relu(x) y = Neg(a)")
