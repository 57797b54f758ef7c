"""The function bodies of ai.reuse: valid ONNX, and bit for bit the quantizer that numpy computes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import inf
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from reuse_compiler import operators
from reuse_compiler.errors import ModelError
from reuse_compiler.operators import Activation, ConvAttributes
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from reuse_compiler.state_layout import channels_first, channels_last

Arrays = dict[str, NDArray[Any]]
LEVELS = [
    ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
]
ARGUMENTS = ("x", "past_index", "past_linear", "W", "B")
RESULTS = ("y", "present_index", "present_linear")


def one_node(op: str, attributes: list[ir.Attr], feed: Arrays, y_shape: tuple[int, ...], opset: int = 18) -> bytes:
    """A model of one reuse node whose every input is a graph input, in the shapes of `feed`."""
    body = operators.function(op, opset)
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.NodeProto(op_type=op, domain=operators.DOMAIN, name="n", input=ARGUMENTS, output=RESULTS)],
            "g",
            [
                onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                for name, a in feed.items()
            ],
            [
                onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, y_shape),
                onnx.helper.make_tensor_value_info(
                    "present_index",
                    onnx.helper.np_dtype_to_tensor_dtype(feed["past_index"].dtype),
                    feed["past_index"].shape,
                ),
                onnx.helper.make_tensor_value_info("present_linear", onnx.TensorProto.FLOAT, feed["past_linear"].shape),
            ],
        ),
        opset_imports=[
            onnx.helper.make_opsetid("", opset),
            onnx.helper.make_opsetid(operators.DOMAIN, operators.VERSION),
        ],
        functions=[ir.to_proto(body)],
        ir_version=10,
    )
    proto.graph.node[0].attribute.extend(ir.to_proto(attribute) for attribute in attributes)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def run(model: bytes, feed: Arrays, level: Any = LEVELS[-1]) -> Arrays:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return dict(zip(RESULTS, session.run(RESULTS, feed), strict=True))


def run_reference(model: bytes, feed: Arrays) -> Arrays:
    with np.errstate(all="ignore"):
        return dict(zip(RESULTS, ReferenceEvaluator(model).run(list(RESULTS), feed), strict=True))


def gemm_feed(x: NDArray[np.float32], past: NDArray[Any], out_features: int = 2) -> Arrays:
    generator = np.random.default_rng(0)
    return {
        "x": x,
        "past_index": past,
        "past_linear": np.zeros((*x.shape[:-1], out_features), np.float32),
        "W": generator.standard_normal((x.shape[-1], out_features), np.float32),
        "B": np.zeros(out_features, np.float32),
    }


def conv_feed(rank: int, quantizer: LinearQuantizer, group: int = 1) -> tuple[Arrays, ConvAttributes]:
    """A CONV of 4 channels to 6, 6 wide, kernel 3, unequal pads, stride 2 and dilation 2 on the last axis; state is
    channels-last."""
    generator = np.random.default_rng(rank)
    sizes = (6,) * rank
    ones = (1,) * (rank - 1)
    conv = ConvAttributes((*ones, 2), (*ones, 2, *(0,) * (rank - 1), 1), (*ones, 2), group)
    out = (5,) * (rank - 1) + (3,)
    feed: Arrays = {
        "x": generator.standard_normal((1, 4, *sizes), np.float32),
        "past_index": generator.integers(0, quantizer.clusters, (1, *sizes, 4)).astype(quantizer.index_dtype),
        "past_linear": generator.standard_normal((1, *out, 6), np.float32),
        "W": generator.standard_normal((6, 4 // group, *(3,) * rank), np.float32),
        "B": np.zeros(6, np.float32),
    }
    return feed, conv


def conv_node(quantizer: LinearQuantizer, feed: Arrays, conv: ConvAttributes, opset: int = 18) -> bytes:
    """A ReuseConv of that `feed`."""
    y_shape = channels_first(feed["past_linear"]).shape
    return one_node("ReuseConv", operators.reuse_attributes(quantizer, conv=conv), feed, y_shape, opset)


SPECIAL = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1.2e-38, -1e-39, 3.4e38, -3.4e38, inf, -inf, np.nan, 1.0, -1.0, 2**23 + 1, -(2**24)],
    np.float32,
)
STEPS = st.one_of(
    st.floats(2**-12, 2**12, width=32),
    st.integers(-20, 20).map(lambda e: 2.0**e),
    st.sampled_from([1e-38, 1.2e-38, 1e-30, 1e30, 3e38]),
)


@st.composite
def quantizers(draw: st.DrawFn, channels: int) -> LinearQuantizer:
    clusters = draw(st.one_of(st.integers(2, 300), st.sampled_from([255, 256, 257, 4096, 65_535])))
    zero = draw(st.integers(0, clusters - 1))
    step = float(np.float32(draw(STEPS)))
    share = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])
    with np.errstate(over="ignore"):
        bands = np.float32(step) * np.array(draw(st.lists(share, min_size=channels, max_size=channels)), np.float32)
    bands = np.where(np.isfinite(bands), bands, np.float32(step))
    deadband = tuple(float(b) for b in bands) if draw(st.booleans()) else float(bands[0])
    return LinearQuantizer(step, zero, clusters, deadband)


@st.composite
def cases(draw: st.DrawFn) -> tuple[LinearQuantizer, NDArray[np.float32], NDArray[Any]]:
    """A quantizer of four channels; inputs at ties, near edges, random, and special; random past indices."""
    quantizer = draw(quantizers(4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step = np.float32(quantizer.step)
    with np.errstate(over="ignore", invalid="ignore"):
        ties = (generator.integers(-2, quantizer.clusters + 2, 64) - quantizer.zero + 0.5).astype(np.float32) * step
        close = np.concatenate([ties, np.nextafter(ties, np.float32(inf)), np.nextafter(ties, np.float32(-inf))])
        spread = generator.standard_normal(64).astype(np.float32) * step * np.float32(quantizer.clusters)
        past = generator.integers(0, quantizer.clusters, close.size + spread.size + SPECIAL.size + 1)
        values = np.concatenate([close, spread, SPECIAL, SPECIAL[:1]])
        centroids = (past - quantizer.zero).astype(np.float32) * step
        edge = np.float32(np.max(np.asarray(quantizer.deadband)))
        at_edge = centroids + np.where(generator.random(past.size) < 0.5, edge, -edge)
    x = np.where(generator.random(past.size) < 0.3, at_edge, values).astype(np.float32)
    return quantizer, x.reshape(-1, 4), past.astype(quantizer.index_dtype).reshape(-1, 4)


@cache
def index_model(dtype: str) -> onnx.ModelProto:
    """ReuseGemm of four features over any number of rows; its attributes are set per case."""
    feed = gemm_feed(np.zeros((68, 4), np.float32), np.zeros((68, 4), dtype))
    return onnx.load_model_from_string(
        one_node("ReuseGemm", operators.reuse_attributes(LinearQuantizer(1, 0, 2)), feed, (68, 2))
    )


def with_attributes(model: onnx.ModelProto, attributes: list[ir.Attr]) -> bytes:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.node[0].attribute[:]
    changed.graph.node[0].attribute.extend(ir.to_proto(attribute) for attribute in attributes)
    return bytes(changed.SerializeToString())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
@given(cases())
def test_every_runtime_computes_the_index_of_numpy(
    case: tuple[LinearQuantizer, NDArray[np.float32], NDArray[Any]],
) -> None:
    quantizer, x, past = case
    with np.errstate(all="ignore"):
        expected = quantizer.quantize(x, past, channel_axis=-1)
    assert x.shape == (68, 4)
    feed = gemm_feed(x, past)
    model = with_attributes(index_model(str(past.dtype)), operators.reuse_attributes(quantizer))
    for level in (LEVELS[0], LEVELS[-1]):
        np.testing.assert_array_equal(run(model, feed, level)["present_index"], expected)
    np.testing.assert_array_equal(run_reference(model, feed)["present_index"], expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("deadband", [0.0, 0.3, (0.0, 0.1, 0.4, 2.0)])
@pytest.mark.parametrize("clusters", [32, 1000])
def test_conv_of_any_rank_quantizes_along_its_channels(
    rank: int, deadband: float | tuple[float, ...], clusters: int
) -> None:
    quantizer = LinearQuantizer(0.1, clusters // 2, clusters, deadband)
    feed, conv = conv_feed(rank, quantizer)
    model = conv_node(quantizer, feed, conv)
    past = channels_first(feed["past_index"])
    expected = channels_last(quantizer.quantize(feed["x"], past, channel_axis=1))
    assert run(model, feed)["present_index"].dtype == quantizer.index_dtype
    np.testing.assert_array_equal(run(model, feed)["present_index"], expected)
    np.testing.assert_array_equal(run_reference(model, feed)["present_index"], expected)


LINEAR = LinearQuantizer(0.25, 16, 32)
TABLE = TableQuantizer((-1.5, -0.75, 0.0, 0.5, 1.25))
BANDS = (0.0, 0.125, 0.5, 2.0)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("quantizer", [LINEAR, replace(LINEAR, deadband=BANDS), TABLE, replace(TABLE, deadband=BANDS)])
def test_every_kind_of_conv_keeps_its_state_with_the_channels_last(
    quantizer: Quantizer, op: str, group: int, rank: int
) -> None:
    """Two images, against the quantizer in numpy and the dense operator on the changes; all sums are exact."""
    generator = np.random.default_rng(rank)
    padding = (0,) * (rank - 1) + (1,) if op == "ConvTranspose" else None
    conv = ConvAttributes((1,) * (rank - 1) + (2,), (1,) * rank + (0,) * rank, (1,) * rank, group, padding)
    x = generator.standard_normal((2, 4, *range(5, 5 + rank))).astype(np.float32)
    past = generator.integers(0, quantizer.clusters, x.shape).astype(np.uint8)
    shape = (4, 6 // group, *(2,) * rank) if op == "ConvTranspose" else (6, 4 // group, *(2,) * rank)
    weight = (generator.integers(-8, 9, shape) / 4).astype(np.float32)

    index = quantizer.quantize(x, past, channel_axis=1)
    correction = dense(op, quantizer.dequantize(index) - quantizer.dequantize(past), weight, conv)
    linear = (generator.integers(-64, 65, correction.shape) / 16).astype(np.float32)
    feed: Arrays = {"x": x, "past_index": channels_last(past), "past_linear": channels_last(linear), "W": weight}
    feed["B"] = np.zeros(6, np.float32)
    name = f"Reuse{op}Table" if isinstance(quantizer, TableQuantizer) else f"Reuse{op}"
    attributes = operators.reuse_attributes(quantizer, Activation(slope=0.25), conv)
    model = one_node(name, attributes, feed, linear.shape)
    runs = [run] if op == "ConvTranspose" and group > 1 else [run, run_reference]  # onnx.reference has no groups there
    for result in (runtime(model, feed) for runtime in runs):
        np.testing.assert_array_equal(result["present_index"], channels_last(index))
        np.testing.assert_array_equal(result["present_linear"], channels_last(linear + correction))
        np.testing.assert_array_equal(result["y"], np.maximum(linear + correction, (linear + correction) / 4))


def dense(op: str, x: NDArray[Any], weight: NDArray[Any], conv: ConvAttributes) -> NDArray[np.float32]:
    """`op` itself, in onnxruntime."""
    padding: dict[str, Any] = {} if conv.output_padding is None else {"output_padding": conv.output_padding}
    node = onnx.helper.make_node(
        op,
        ["x", "W"],
        ["y"],
        strides=conv.strides,
        pads=conv.pads,
        dilations=conv.dilations,
        group=conv.group,
        **padding,
    )
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "W", "y")]
    graph = onnx.helper.make_graph([node], "g", values[:2], values[2:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [y] = session.run(None, {"x": x, "W": weight})
    return np.asarray(y)


@pytest.mark.parametrize("op", ["ReuseConv", "ReuseConvTable"])
def test_shapes_of_a_conv_are_inferred_through_its_body(op: str) -> None:
    quantizer = TABLE if op.endswith("Table") else LINEAR
    feed, conv = conv_feed(2, LINEAR)
    y_shape = channels_first(feed["past_linear"]).shape
    proto = onnx.load_model_from_string(one_node(op, operators.reuse_attributes(quantizer, conv=conv), feed, y_shape))
    expected = {value.name: value.type for value in proto.graph.output}
    for value in proto.graph.output:
        value.ClearField("type")
    inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    assert {value.name: value.type for value in inferred.graph.output} == expected


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("level", LEVELS)
def test_conv_corrects_the_linear_output_by_the_changes(level: Any, group: int) -> None:
    quantizer = LinearQuantizer(0.25, 16, 32)
    feed, conv = conv_feed(2, quantizer, group)
    feed["W"] = np.round(feed["W"] * 4) / 4
    feed["past_linear"] = np.round(feed["past_linear"] * 4) / 4
    model = conv_node(quantizer, feed, conv)
    past = channels_first(feed["past_index"])
    change = quantizer.dequantize(quantizer.quantize(feed["x"], past)) - quantizer.dequantize(past)
    expected = channels_first(feed["past_linear"]) + convolve(change, feed["W"], conv)
    for result in (run(model, feed, level), run_reference(model, feed)):
        np.testing.assert_array_equal(result["present_linear"], channels_last(expected))
        np.testing.assert_array_equal(result["y"], expected)


def convolve(x: NDArray[Any], weight: NDArray[Any], conv: ConvAttributes) -> NDArray[np.float64]:
    """A 2D CONV written out: one term per kernel position."""
    top, left, bottom, right = conv.pads
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    spans = [(k - 1) * d for k, d in zip(weight.shape[2:], conv.dilations, strict=True)]
    sizes = [(n - s - 1) // t + 1 for n, s, t in zip(padded.shape[2:], spans, conv.strides, strict=True)]
    result = np.zeros((x.shape[0], weight.shape[0], *sizes))
    groups = zip(
        np.split(padded, conv.group, 1), np.split(weight, conv.group, 0), np.split(result, conv.group, 1), strict=True
    )
    for part, kernel, out in groups:
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                rows = slice(i * conv.dilations[0], None, conv.strides[0])
                columns = slice(j * conv.dilations[1], None, conv.strides[1])
                tap = part[:, :, rows, columns][:, :, : sizes[0], : sizes[1]]
                out += np.einsum("nchw,oc->nohw", tap, kernel[:, :, i, j])
    return result


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 3), (2, 1, 4, 3)])
@pytest.mark.parametrize("level", LEVELS)
def test_gemm_takes_inputs_of_any_rank(shape: tuple[int, ...], level: Any) -> None:
    quantizer = LinearQuantizer(0.5, 8, 16)
    generator = np.random.default_rng(0)
    x = generator.standard_normal(shape).astype(np.float32)
    feed = gemm_feed(x, generator.integers(0, 16, shape).astype(np.uint8), 5)
    feed["W"] = np.round(feed["W"] * 8) / 8
    model = one_node("ReuseGemm", operators.reuse_attributes(quantizer), feed, (*shape[:-1], 5))
    present = quantizer.quantize(x, feed["past_index"])
    change = quantizer.dequantize(present) - quantizer.dequantize(feed["past_index"])
    result = run(model, feed, level)
    np.testing.assert_array_equal(result["present_linear"], change @ feed["W"])


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation(), [-8.0, -0.5, 0.0, 2.0, 8.0]),
        (Activation(slope=0.0), [0.0, 0.0, 0.0, 2.0, 8.0]),
        (Activation(slope=0.25), [-2.0, -0.125, 0.0, 2.0, 8.0]),
        (Activation(slope=0.0, maximum=6.0), [0.0, 0.0, 0.0, 2.0, 6.0]),
    ],
)
def test_the_activation_is_applied_to_y_and_not_to_the_state(activation: Activation, expected: list[float]) -> None:
    linear = np.array([[-8.0, -0.5, 0.0, 2.0, 8.0]], np.float32)
    feed = gemm_feed(np.zeros((1, 3), np.float32), np.full((1, 3), 8, np.uint8), 5)
    feed["past_linear"] = linear
    attributes = operators.reuse_attributes(LinearQuantizer(0.5, 8, 16), activation)
    model = one_node("ReuseGemm", attributes, feed, (1, 5))
    for result in (run(model, feed), run_reference(model, feed)):
        np.testing.assert_array_equal(result["y"], [expected])
        np.testing.assert_array_equal(result["present_linear"], linear)


@pytest.mark.parametrize("opset", range(18, onnx.defs.onnx_opset_version() + 1))
def test_the_bodies_are_valid_at_the_opset_of_the_model(opset: int) -> None:
    quantizer = LinearQuantizer(0.5, 8, 16)
    feed, conv = conv_feed(2, quantizer)
    conv_node(quantizer, feed, conv, opset)
    flat = gemm_feed(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8))
    one_node("ReuseGemm", operators.reuse_attributes(quantizer), flat, (1, 2), opset)


def test_an_old_opset_and_an_unknown_operator_are_rejected() -> None:
    with pytest.raises(ModelError, match="opset 17 is too old"):
        operators.function("ReuseGemm", 17)
    with pytest.raises(ModelError, match="ReuseLSTM: no such operator"):
        operators.function("ReuseLSTM", 18)


def reuse_node(
    op: str, attributes: list[ir.Attr], index: tuple[int, ...], linear: tuple[int, ...], bias: int
) -> ir.Node:
    """A node with its state in those shapes."""
    state = [ir.Value(name=name, shape=ir.Shape(shape)) for name, shape in (("pi", index), ("pl", linear))]
    x, weight = ir.Value(name="x"), ir.Value(name="W")
    tensor = ir.Value(name="B", const_value=ir.tensor(np.arange(bias, dtype=np.float32)))
    return ir.Node(operators.DOMAIN, op, [x, *state, weight, tensor], attributes, name="n", num_outputs=3)


@settings(max_examples=50)
@given(quantizers(4), st.floats(0, 1, width=32), st.sampled_from([1.0, 6.0, inf]))
def test_what_is_written_into_a_node_is_read_from_it(quantizer: LinearQuantizer, slope: float, maximum: float) -> None:
    conv = ConvAttributes((1, 2), (0, 1, 2, 3), (2, 1), 2)
    activation = Activation(slope, maximum)
    node = reuse_node("ReuseConv", operators.reuse_attributes(quantizer, activation, conv), (1,), (1,), 1)
    node = ir.serde.deserialize_node(ir.serde.serialize_node(node))
    assert operators.is_reuse(node)
    assert operators.read_quantizer(node) == quantizer
    assert operators.read_activation(node) == activation
    assert operators.read_conv(node) == conv


def test_a_sequence_starts_with_the_zero_index_and_the_bias() -> None:
    quantizer = LinearQuantizer(0.5, 300, 400)
    conv = ConvAttributes((1, 1), (0, 0, 0, 0), (1, 1), 1)
    node = reuse_node("ReuseConv", operators.reuse_attributes(quantizer, None, conv), (1, 5, 5, 2), (1, 4, 4, 3), 3)
    index, linear = operators.initial_index(node), operators.initial_linear(node)
    assert index.dtype == np.uint16 and index.shape == (1, 5, 5, 2) and (index == 300).all()
    np.testing.assert_array_equal(linear, np.broadcast_to(np.arange(3.0), (1, 4, 4, 3)))
    node = reuse_node("ReuseGemm", operators.reuse_attributes(quantizer), (2, 5), (2, 3), 3)
    np.testing.assert_array_equal(operators.initial_linear(node), [[0, 1, 2], [0, 1, 2]])
