"""``reusec check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


def test_every_node_has_a_row_and_the_summary_counts_them(invoke: Invoke, model: Path) -> None:
    done = invoke("check", model)
    assert done.status == 0
    for name in ("conv", "relu", "flatten", "fc1", "relu1", "fc2", "add2"):
        assert any(line.split()[:1] == [name] for line in done.stdout.splitlines()), name
    assert done.stdout.splitlines()[-1] == f"{model}: 7 nodes: 4 reuse, 3 dense"


def test_json_has_rule_and_measured_value(invoke: Invoke, model: Path) -> None:
    report = json.loads(invoke("check", model, "--json").stdout)
    assert report["summary"] == {"reuse": 4, "dense": 3, "host": 0, "rejected": 0}
    first = report["nodes"][0]
    assert (first["node"], first["op"], first["verdict"]) == ("conv", "Conv", "reuse")
    assert first["rule"] and "1x2x6x6" in first["measured"]
    assert len(report["model"]["sha256"]) == 64


def test_shape_fills_open_dimensions(invoke: Invoke, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "relu")],
        "open",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n"])],
    )
    path = tmp_path / "open.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    assert "x" in invoke("check", path).complaint
    assert invoke("check", path, "--shape", "x=1,5").status == 0


def test_a_shape_that_is_none_is_a_usage_error(invoke: Invoke, model: Path) -> None:
    for text in ("image", "image=", "image=1,a", "=1,2"):
        done = invoke("check", model, "--shape", text)
        assert done.status == 2, text
        assert "--shape" in done.stderr
