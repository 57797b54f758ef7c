from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from reuse_compiler.passes.convert_version import ConvertVersion

Evaluate = Callable[..., dict[str, np.ndarray]]

MODELS = {
    "softmax of the flattened rest": (11, "y = Softmax(x)"),
    "dropout with an attribute": (10, "a = Dropout<ratio=0.5>(x) y = Relu(a)"),
    "upsampling": (9, 'y = Upsample<mode="nearest">(x, scales)'),
    "squeeze with attributes": (11, "a = Squeeze<axes=[0]>(x) y = Unsqueeze<axes=[0]>(a)"),
    "batch normalization": (8, "y = BatchNormalization(x, s, b, m, v)"),
    "a large weight": (7, "y = Mul(x, big)"),
}


def build(opset: int, body: str) -> onnx.ModelProto:
    text = f'<ir_version: 4, opset_import: ["" : {opset}]> g (float[1,3,20,20] x) => (float[] y) {{ {body} }}'
    proto = parser.parse_model(text)
    generator = np.random.default_rng(1)
    weights = {name: generator.uniform(0.5, 2, 3).astype(np.float32) for name in "sbmv"}
    weights["scales"] = np.array([1, 1, 2, 2], np.float32)
    weights["big"] = generator.standard_normal((1, 3, 20, 20)).astype(np.float32)
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in weights.items() if name in used)
    return proto


@pytest.mark.parametrize("name", MODELS)
def test_values_and_names_stay(name: str, evaluate: Evaluate) -> None:
    opset, body = MODELS[name]
    proto = build(opset, body)
    feeds = {"x": np.random.default_rng(2).standard_normal((1, 3, 20, 20)).astype(np.float32)}
    before = evaluate(proto, feeds)
    model = ir.from_proto(proto)
    assert ConvertVersion(18)(model).modified
    after = ir.to_proto(model)
    assert {entry.domain: entry.version for entry in after.opset_import} == {"": 18}
    assert {t.name for t in proto.graph.initializer} <= {t.name for t in after.graph.initializer}
    assert [value.name for value in after.graph.input] == ["x"]
    onnx.checker.check_model(after)
    np.testing.assert_allclose(evaluate(after, feeds)["y"], before["y"], rtol=1e-6, atol=1e-6)


def test_a_later_opset_stays() -> None:
    model = ir.from_proto(build(21, "y = Relu(x)"))
    model.ir_version = 10
    assert not ConvertVersion(18)(model).modified
    assert model.graph.opset_imports == {"": 21}


def test_the_ir_version_rises_to_what_the_opset_needs() -> None:
    model = ir.from_proto(build(7, "y = Relu(x)"))
    ConvertVersion(18)(model)
    assert model.ir_version == 8


def test_a_model_of_other_domains_alone_gets_the_default_opset() -> None:
    text = (
        '<ir_version: 8, opset_import: ["ai.onnx.ml" : 3]> g (float[1,3] x) => (float[] y) { y = ai.onnx.ml.Scaler(x) }'
    )
    model = ir.from_proto(parser.parse_model(text))
    ConvertVersion(18)(model)
    assert model.graph.opset_imports == {"ai.onnx.ml": 3, "": 18}


def test_bodies_are_converted_too(evaluate: Evaluate) -> None:
    text = """<ir_version: 7, opset_import: ["" : 11]> g (bool c, float[2,3,4] x) => (float[] y) {
        y = If(c) <then_branch = t () => (float[2,3,4] a) { a = Softmax(x) },
                   else_branch = e () => (float[2,3,4] b) { d = Dropout<ratio=0.5>(x) b = Relu(d) }>
    }"""
    proto = parser.parse_model(text)
    model = ir.from_proto(proto)
    ConvertVersion(18)(model)
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    for condition in (True, False):
        feeds = {"c": np.array(condition), "x": x}
        np.testing.assert_allclose(evaluate(ir.to_proto(model), feeds)["y"], evaluate(proto, feeds)["y"], rtol=1e-6)


def test_local_functions_must_be_inlined_first() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]> g (float[1] x) => (float[1] y) { y = own.twice(x) }
        <opset_import: ["" : 17], domain: "own"> twice (a) => (b) { b = Add(a, a) }"""
    with pytest.raises(ir.passes.PreconditionError):
        ConvertVersion(18)(ir.from_proto(parser.parse_model(text)))


@pytest.mark.parametrize(
    ("opset", "body"), [(8, "y = BatchNormalization<spatial=0>(x, x, x, x, x)"), (10, "y = TopK(x, x)")]
)
def test_what_cannot_be_converted_is_an_error(opset: int, body: str) -> None:
    with pytest.raises(ValueError, match=f"no way from opset {opset} to 18: "):
        ConvertVersion(18)(ir.from_proto(build(opset, body)))


def test_an_input_whose_shape_the_converter_changes_is_an_error() -> None:
    # Scan had a batch axis up to opset 8; the converter of onnx 1.23 takes it off the graph's input.
    text = """<ir_version: 4, opset_import: ["" : 8]> g (float[1,2] initial, float[1,3,2] x) => (float[1,2] y, float[1,3,2] z) {
        y, z = Scan<num_scan_inputs=1, body = b (float[2] s, float[2] n) => (float[2] o, float[2] p)
            { o = Add(s, n) p = Identity(o) }>("", initial, x) }"""
    with pytest.raises(ValueError, match="the converter of onnx changes an input's shape"):
        ConvertVersion(18)(ir.from_proto(parser.parse_model(text)))


def test_an_operator_without_a_step_is_named() -> None:
    text = '<ir_version: 3, opset_import: ["" : 1]> g (float[2,6] x) => (float[] y) { y = Pad<paddings=[1,1,0,0]>(x) }'
    model = ir.from_proto(parser.parse_model(text))
    model.graph[0].name = "border"
    with pytest.raises(ValueError, match=r"^no way from opset 1 to 18: node border \(Pad\): the converter .* opset 1:"):
        ConvertVersion()(model)


@pytest.mark.parametrize(
    ("axis", "accepted"), [("", False), ("<axis=0>", False), ("<axis=2>", True), ("<axis=-1>", True)]
)
def test_a_hardmax_over_several_axes_is_refused(axis: str, accepted: bool) -> None:
    text = f'<ir_version: 7, opset_import: ["" : 12]> g (float[2,3,4] x) => (float[] y) {{ y = Hardmax {axis}(x) }}'
    model = ir.from_proto(parser.parse_model(text))
    if accepted:
        assert ConvertVersion()(model).modified
    else:
        with pytest.raises(ValueError, match=r"\(Hardmax\): its axis [01] is not the last one"):
            ConvertVersion()(model)
