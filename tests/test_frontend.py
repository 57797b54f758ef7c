from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import OPSET, Model, TensorSpec, load
from reuse_compiler.models.seeded_weights import with_seeded_weights
from reuse_compiler.sites import find_sites

Array = NDArray[Any]
Evaluate = Callable[..., dict[str, Array]]
RandomFeeds = Callable[[onnx.ModelProto, int], dict[str, Array]]

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"

# Every light model loads; time allows the values of some to be compared.
SITES = {
    "bvlc_alexnet": 8,
    "densenet121": 121,
    "inception_v1": 58,
    "inception_v2": 70,
    "resnet50": 54,
    "shufflenet": 50,
    "squeezenet": 26,
    "vgg19": 19,
    "zfnet512": 8,
}
COMPARED = ("densenet121", "inception_v2", "shufflenet")


def build(
    signature: str, body: str, *, weights: dict[str, Array] | None = None, header: str = "", outputs: str = "y"
) -> onnx.ModelProto:
    header = header or 'ir_version: 8, opset_import: ["" : 18]'
    results = ", ".join(f"float[] {output}" for output in outputs.split(", "))
    proto = parser.parse_model(f"<{header}> g ({signature}) => ({results}) {{ {body} }}")
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    return proto


def stored(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def operators(model: Model) -> list[str]:
    return [node.op_type for node in model.ir.graph]


@pytest.mark.parametrize("name", SITES)
def test_the_light_models_load(name: str) -> None:
    path = LIGHT / f"light_{name}.onnx"
    model = load(path)
    assert len(find_sites(model)) == SITES[name]
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.inputs[0].shape == (1, 3, 224, 224)
    assert model.outputs[0].shape[:2] == (1, 1000)
    assert not {"ConstantOfShape", "Dropout", "Identity"} & set(operators(model))


@pytest.mark.parametrize("name", COMPARED)
def test_the_light_models_compute_what_they_did(
    name: str, tmp_path: Path, evaluate: Evaluate, random_feeds: RandomFeeds
) -> None:
    proto = with_seeded_weights(onnx.load(LIGHT / f"light_{name}.onnx"))
    model = load(stored(proto, tmp_path))
    assert "BatchNormalization" not in operators(model)
    feeds = random_feeds(proto, 1)
    before, after = evaluate(proto, feeds), evaluate(model.proto(), feeds)
    assert list(before) == list(after)
    for output, value in before.items():
        assert value.std() > 0
        np.testing.assert_allclose(after[output], value, rtol=0, atol=1e-4 * np.abs(value).max())


def test_a_tensor_that_keeps_its_name_keeps_its_value(tmp_path: Path, evaluate: Evaluate) -> None:
    weights = {
        "w": random(4, 3, 3, 3),
        "f": random(4, 5),
        **{n: random(4, seed=i) ** 2 + 0.1 for i, n in enumerate("sbmv")},
    }
    body = """a = Conv(x, w) n = BatchNormalization(a, s, b, m, v) d = Dropout(n) r = Relu(d) i = Identity(r)
        p = GlobalAveragePool(i) h = Shape(p) k = Constant<value_ints=[0]>() q = Gather(h, k)
        z = Constant<value_ints=[-1]>() t = Concat<axis=0>(q, z) l = Reshape(p, t) g = MatMul(l, f) y = Softmax(g)"""
    proto = build("float[N,3,8,8] x", body, weights=weights)
    model = load(stored(proto, tmp_path))
    assert operators(model) == ["Conv", "Relu", "GlobalAveragePool", "Reshape", "MatMul", "Softmax"]
    assert [node.name for node in model.ir.graph] == ["a", "r", "p", "l", "g", "y"]
    after = model.proto()
    kept = [value for node in after.graph.node for value in node.output]
    assert set(kept) <= {value for node in proto.graph.node for value in node.output}
    for graph in (proto.graph, after.graph):
        del graph.output[:]
        graph.output.extend(helper.make_empty_tensor_value_info(name) for name in kept)
    feeds = {"x": random(1, 3, 8, 8)}
    original, now = evaluate(proto, feeds), evaluate(after, feeds)
    for name in kept:
        np.testing.assert_allclose(now[name], original[name], rtol=1e-4, atol=1e-5)


def test_an_old_model_whose_weights_are_inputs_loads(tmp_path: Path, evaluate: Evaluate) -> None:
    weights = {"w": random(5, 4), "c": random(4)}
    header = 'ir_version: 3, opset_import: ["" : 7]'
    signature = "float[3,5] x, float[5,4] w, float[4] c"
    proto = build(signature, "a = MatMul(x, w) b = Add(a, c) y = Softmax(b)", weights=weights, header=header)
    model = load(stored(proto, tmp_path))
    assert [spec.name for spec in model.inputs] == ["x"]
    assert model.ir.graph.opset_imports[""] == OPSET
    feeds = {"x": random(3, 5)}
    np.testing.assert_allclose(evaluate(model.proto(), feeds)["y"], evaluate(proto, feeds)["y"], rtol=1e-5)


def test_inputs_and_outputs_keep_name_order_and_type(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[N,3] x, int64[2] unused, float16[N,3] h) =>
        (float[N,3] b, int64[] a, float16[] h2) { b = Relu(x) a = NonZero(x) h2 = Identity(h) }"""
    model = load(stored(parser.parse_model(text), tmp_path))
    assert model.inputs == (
        TensorSpec("x", (1, 3), np.dtype("float32")),
        TensorSpec("unused", (2,), np.dtype("int64")),
        TensorSpec("h", (1, 3), np.dtype("float16")),
    )
    assert model.outputs == (
        TensorSpec("b", (1, 3), np.dtype("float32")),
        TensorSpec("a", (2, -1), np.dtype("int64")),
        TensorSpec("h2", (1, 3), np.dtype("float16")),
    )


def test_shapes_are_taken_by_input_name(tmp_path: Path) -> None:
    path = stored(build("float[N,C,L] x", "y = Relu(x)"), tmp_path)
    assert load(path, shapes={"x": (2, 3, 5)}).outputs[0].shape == (2, 3, 5)
    with pytest.raises(ModelError, match=r"model.onnx: input x: dimension 1 \(C\) is open: give --shape x=1,C,L"):
        load(path)
    with pytest.raises(ModelError, match="the model has no such input"):
        load(path, shapes={"z": (1,)})


def test_a_shape_that_the_model_cannot_take_names_the_node(tmp_path: Path) -> None:
    path = stored(build("float[N,5] x", "y = MatMul(x, w)", weights={"w": random(5, 4)}), tmp_path)
    with pytest.raises(ModelError, match=r"model.onnx: node y \(MatMul\): "):
        load(path, shapes={"x": (1, 6)})


def test_local_functions_are_inlined(tmp_path: Path, evaluate: Evaluate) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "own" : 1]> g (float[1,5] x) => (float[1,4] y) { y = own.layer(x, w) }
        <domain: "own", opset_import: ["" : 18]> layer (a, b) => (c) { d = MatMul(a, b) c = Relu(d) }"""
    proto = parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(random(5, 4), "w"))
    model = load(stored(proto, tmp_path))
    assert operators(model) == ["MatMul", "Relu"]
    assert len(find_sites(model)) == 1
    feeds = {"x": random(1, 5)}
    np.testing.assert_allclose(evaluate(model.proto(), feeds)["y"], evaluate(proto, feeds)["y"], rtol=1e-6)


@pytest.mark.parametrize("element", ["float16", "double"])
def test_other_precisions_compute_in_float32(tmp_path: Path, element: str, evaluate: Evaluate) -> None:
    dtype = {"float16": np.float16, "double": np.float64}[element]
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({element}[1,5] x) => ({element}[1,4] y) {{ y = MatMul(x, w) }}'
    proto = parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(random(5, 4).astype(dtype), "w"))
    model = load(stored(proto, tmp_path))
    assert model.inputs[0].dtype == model.outputs[0].dtype == dtype
    assert [site.node for site in find_sites(model)] == ["y"]
    feeds = {"x": random(1, 5, seed=1).astype(dtype)}
    np.testing.assert_allclose(evaluate(model.proto(), feeds)["y"], evaluate(proto, feeds)["y"], rtol=1e-2)


def test_loading_what_was_loaded_changes_nothing(tmp_path: Path) -> None:
    first = load(LIGHT / "light_shufflenet.onnx")
    second = load(stored(first.proto(), tmp_path))
    assert [node.name for node in second.ir.graph] == [node.name for node in first.ir.graph]
    assert operators(second) == operators(first)
    assert find_sites(second) == find_sites(first)
    assert (second.inputs, second.outputs) == (first.inputs, first.outputs)


def test_a_reuse_model_is_not_compiled_again(tmp_path: Path) -> None:
    proto = build("float[1,3] x", "y = Relu(x)")
    helper.set_model_props(proto, {"reuse.format_version": "1"})
    with pytest.raises(ModelError, match="it is a reuse model already"):
        load(stored(proto, tmp_path))


def test_an_attribute_that_the_operator_lacks_names_the_node(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model.onnx: node y \(Relu\): Unrecognized attribute: colour"):
        load(stored(build("float[1,3] x", "y = Relu<colour=1>(x)"), tmp_path))


def test_a_model_without_a_way_to_the_opset_is_an_error(tmp_path: Path) -> None:
    header = 'ir_version: 4, opset_import: ["" : 8]'
    body = "y = BatchNormalization<spatial=0>(x, s, s, s, s)"
    proto = build("float[1,3] x", body, weights={"s": random(3)}, header=header)
    with pytest.raises(ModelError, match=r"model.onnx: no way from opset 8 to 18: "):
        load(stored(proto, tmp_path))


def test_a_later_opset_is_kept(tmp_path: Path) -> None:
    header = 'ir_version: 10, opset_import: ["" : 21]'
    model = load(stored(build("float[1,3] x", "y = Gelu(x)", header=header), tmp_path))
    assert model.ir.graph.opset_imports[""] == 21


def test_layers_of_every_form_become_sites_under_their_names(tmp_path: Path, evaluate: Evaluate) -> None:
    shapes = {
        "left": (6, 4),
        "batched": (3, 5, 7),
        "vector": (7,),
        "square": (3, 3),
        "rows": (6, 3),
        "w": (2, 2, 1),
        "r": (2, 2, 2),
    }
    weights: dict[str, Array] = {name: random(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}
    weights["last"] = np.array([2])
    body = """a = MatMul(left, x) b = MatMul(a, batched) c = MatMul(b, vector) d = Gemm<transA=1>(c, square, rows)
        t = Unsqueeze(c, last) e = RNN<hidden_size=2, direction="bidirectional">(t, w, r) y = Flatten(e)"""
    proto = build("float[3,4,5] x", body, weights=weights, outputs="y, d")
    model = load(stored(proto, tmp_path))
    kinds = {site.node: site.kind for site in find_sites(model)}
    assert {name: kinds.get(name) for name in "abcd"} == {"a": "fc", "b": "conv", "c": "fc", "d": "fc"}
    assert {"e.forward", "e.reverse"} <= {node.name for node in model.ir.graph}
    feeds = {"x": random(3, 4, 5, seed=10)}
    before, after = evaluate(proto, feeds), evaluate(model.proto(), feeds)
    for output, value in before.items():
        np.testing.assert_allclose(after[output], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("node", "weights", "shape", "message"),
    [
        ("y = Conv (x, W)", {"W": (4, 3, 1, 1)}, (1, 5, 4, 4), "its input x has 5 channels, its weight takes 3"),
        ("y = Conv <group = 2> (x, W)", {"W": (4, 2, 1, 1)}, (1, 3, 4, 4), "has 3 channels, its weight takes 4"),
        ("y = ConvTranspose (x, W)", {"W": (3, 4, 1, 1)}, (1, 5, 4, 4), "has 5 channels, its weight takes 3"),
        (
            "y = LSTM <hidden_size = 2> (x, W, R)",
            {"W": (1, 8, 3), "R": (1, 8, 2)},
            (4, 1, 5),
            "has 5 elements in a row",
        ),
    ],
)
def test_an_input_that_the_weights_do_not_take_names_the_node(
    tmp_path: Path, node: str, weights: dict[str, tuple[int, ...]], shape: tuple[int, ...], message: str
) -> None:
    rank = ", ".join("ABCD"[: len(shape)])
    proto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 18]> g (float[{rank}] x) => (float[{rank}] y) {{ [layer] {node} }}'
    )
    for name, size in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.ones(size, np.float32), name))
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    with pytest.raises(ModelError, match=rf"node layer.*: .*{message}.*or the shape given for an input"):
        load(path, shapes={"x": shape})
