"""The page as a file: whole, self-contained, and safe with any name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from reuse_compiler import report_page
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.document import ModelRef
from reuse_compiler.errors import ReuseError
from reuse_compiler.report_page import Contents, gather, page, require_report
from reuse_compiler.report_page.contents import drawn
from reuse_compiler.report_page.page import SCRIPTS

STATIC = Path(report_page.__file__).parent / "static"


@pytest.fixture
def contents(compiled: CompiledDirectory) -> Contents:
    return gather(compiled, require_report(compiled))


def data_of(text: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="contents">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    loaded: dict[str, object] = json.loads(found[1])
    return loaded


def test_the_page_asks_for_nothing(contents: Contents) -> None:
    text = page(contents)
    assert "default-src 'none'" in text
    addresses = set(re.findall(r"https?://[^\"' )]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "a namespace, which nobody fetches"
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", text)


def test_every_static_part_is_in_it(contents: Contents) -> None:
    text = page(contents)
    assert {path.stem for path in STATIC.glob("*.js")} == set(SCRIPTS)
    for path in (*STATIC.glob("*.js"), *STATIC.glob("*.css")):
        assert path.read_text() in text, path.name
    assert "<!--" not in text


def test_the_data_come_back(contents: Contents) -> None:
    data = data_of(page(contents))
    assert set(data) == set(Contents.__dataclass_fields__)
    assert data["report"] == json.loads(json.dumps(contents.report))


def test_no_name_breaks_out_of_the_data(contents: Contents) -> None:
    name = "</script><script>alert(1)</script><!--\u2028"
    text = page(replace(contents, report={**contents.report, "model": {"path": f"/m/{name}.onnx", "sha256": "0"}}))
    assert "<script>alert" not in text
    assert data_of(text)["report"]["model"]["path"] == f"/m/{name}.onnx"  # type: ignore[index]


def test_numbers_that_json_lacks_are_null(contents: Contents) -> None:
    text = page(replace(contents, roofline={**contents.roofline, "frequency_hz": float("inf")}))
    assert data_of(text)["roofline"]["frequency_hz"] is None  # type: ignore[index]


def test_boxes_know_their_layers(contents: Contents) -> None:
    names = [layer["name"] for layer in contents.report["layers"]]
    for graph in (contents.graphs["before"], contents.graphs["after"]):
        for box in graph["boxes"]:
            assert all(names[number] == box["name"] for number in box["layers"])
    assert {names[number] for box in contents.graphs["after"]["boxes"] for number in box["layers"]} == set(names)


def test_the_report_of_another_model_is_refused(compiled: CompiledDirectory) -> None:
    other = require_report(compiled).model_copy(update={"model": ModelRef(path="other.onnx", sha256="0")})
    with pytest.raises(ReuseError, match="give the report of this folder"):
        gather(compiled, other)


def test_the_report_of_another_plan_is_refused(compiled: CompiledDirectory) -> None:
    found = require_report(compiled)
    layers = [layer.model_copy(update={"step": layer.step and 2 * layer.step}) for layer in found.layers]
    with pytest.raises(ReuseError, match="give a report of a run of this folder"):
        gather(compiled, found.model_copy(update={"layers": layers}))


def test_layers_belong_to_the_node_of_their_name_or_of_its_beginning() -> None:
    nodes = [
        onnx.helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name) for i, name in enumerate(("lstm", "lstm.h", "c"))
    ]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("t0", "t3")]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "net", ends[:1], ends[1:]))
    layers = {"lstm.reverse.x": 0, "lstm.h": 1, "c": 2, "gone": 3, "lstm": 4}
    boxes = drawn(ir.from_proto(model), layers)["boxes"]
    owned = {box["name"]: box["layers"] for box in boxes if box["kind"] == "node"}
    assert owned == {"lstm": [0, 4], "lstm.h": [1], "c": [2]}
