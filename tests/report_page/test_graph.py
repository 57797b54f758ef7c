"""Boxes and edges of a model."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.onnx_file import read_model
from reuse_compiler.report_page.graph import Graph, read_graph


def parsed(text: str) -> Graph:
    return read_graph(ir.from_proto(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]>\n{text}')))


def named(graph: Graph) -> list[tuple[str, str]]:
    return [(graph.boxes[source].name, graph.boxes[target].name) for source, target in graph.edges]


def test_inputs_nodes_and_outputs_are_boxes() -> None:
    graph = parsed("net (float[1, 4] x) => (float[1, 4] y) { [a] h = Relu (x) [b] y = Add (h, x) }")
    assert [(box.kind, box.name, box.op) for box in graph.boxes] == [
        ("input", "x", "float [1, 4]"),
        ("node", "a", "Relu"),
        ("node", "b", "Add"),
        ("output", "y", "float [1, 4]"),
    ]
    assert named(graph) == [("x", "a"), ("a", "b"), ("x", "b"), ("b", "y")]


def test_constants_are_no_boxes() -> None:
    graph = parsed(
        "net (float[2] x) => (float[2] y) { [k] c = Constant <value_floats = [1.0, 2.0]> () [b] y = Add (x, c) }"
    )
    assert [box.name for box in graph.boxes] == ["x", "b", "y"]


def test_a_body_reads_what_is_outside() -> None:
    text = """net (bool c, float[2] x) => (float[2] y) {
        [h] v = Relu (x)
        [i] y = If (c) <then_branch = t () => (float[2] a) { a = Neg (v) }, else_branch = e () => (float[2] b) { b = Exp (v) }>
    }"""
    assert ("h", "i") in named(parsed(text))


def test_reuse_nodes_show_their_sites_and_not_their_state(compiled: CompiledDirectory) -> None:
    graph = read_graph(read_model(compiled.reuse_model)[0])
    assert [box.name for box in graph.boxes if box.kind != "node"] == ["x", "y"]
    reusing = {box.name: box for box in graph.boxes if box.sites}
    assert set(reusing) == {"a", "c", "g", "y"}
    assert ("fused activation", "Relu") in reusing["a"].attributes
    assert reusing["a"].state_bytes == 8 * 8 * 2 + 8 * 8 * 6 * 4
    assert not [
        text for box in reusing.values() for text in (*box.reads, *box.writes) if "past" in text or "present" in text
    ]
