"""Sessions: exact where the sums are exact, and in charge of their own state."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.errors import ModelError, ReuseError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.session import Session
from reuse_compiler.session_state import SessionState
from reuse_compiler.sites import find_sites
from reuse_compiler.state_layout import channels_last
from reuse_compiler.streams import Frame

Arrays = Mapping[str, NDArray[Any]]
Quantizers = Mapping[str, LinearQuantizer]

# A shared tensor (b), a residual sum (e), both kinds of bias, and a site on a graph input.
NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x) => (float[1, 3] y, float[1, 4, 6, 5] r) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], group = 2> (b, W2)
    d = Conv (b, W3, B3)
    e = Add (c, d)
    r = Relu (e)
    f = Flatten (r)
    g = MatMul (f, W4)
    h = Add (g, B4)
    i = LeakyRelu <alpha = 0.25> (h)
    y = Gemm <transB = 1, alpha = 0.5> (i, W5, B5)
}"""
SHAPES = {"W1": (4, 2, 3, 3), "B1": (4,), "W2": (4, 2, 3, 3), "W3": (4, 4, 1, 1), "B3": (4,)}
SHAPES |= {"W4": (120, 5), "B4": (5,), "W5": (3, 5), "B5": (3,)}
SITES = {"a": "x", "c": "b", "d": "b", "g": "f", "y": "i"}


def load(text: str, weights: Arrays) -> Model:
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


def plan_for(model: Model, quantizers: Quantizers, state: dict[str, str] | None = None) -> Plan:
    sites = [
        SitePlan(
            node=site.node,
            input=site.input,
            op=site.op,
            mode="reuse",
            quantizer=QuantizerSpec.of(quantizers[site.node]),
        )
        for site in find_sites(model)
    ]
    return Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites, state=state or {})


def dyadic(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return (generator.integers(-4, 5, shape) / 4).astype(np.float32)


@dataclass
class Reference:
    """The network in numpy and float64 on quantized inputs, computed whole for every frame."""

    weights: Arrays
    quantizers: Quantizers

    def __post_init__(self) -> None:
        self.past: dict[str, NDArray[Any]] = {}

    def site(self, node: str, x: NDArray[Any], axis: int) -> NDArray[np.float64]:
        quantizer = self.quantizers[node]
        past = self.past.get(node, np.full(x.shape, quantizer.zero, quantizer.index_dtype))
        self.past[node] = quantizer.quantize(x.astype(np.float32), past, axis)
        return quantizer.dequantize(self.past[node]).astype(np.float64)

    def run(self, x: NDArray[np.float32]) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """The outputs, and the linear outputs by site."""
        w = self.weights
        a = convolve(self.site("a", x, 1), w["W1"], 1) + w["B1"][:, None, None]
        b = np.maximum(a, 0)
        c = convolve(self.site("c", b, 1), w["W2"], 2)
        d = convolve(self.site("d", b, 1), w["W3"], 1) + w["B3"][:, None, None]
        r = np.maximum(c + d, 0)
        h = self.site("g", r.reshape(1, -1), -1) @ w["W4"] + w["B4"]
        i = np.where(h < 0, h * 0.25, h)
        y = 0.5 * (self.site("y", i, -1) @ w["W5"].T) + w["B5"]
        return {"y": y, "r": r}, {"a": a, "c": c, "d": d, "g": h, "y": y}


def convolve(x: NDArray[np.float64], weight: NDArray[np.float32], group: int) -> NDArray[np.float64]:
    """A 2D CONV of stride 1 that keeps the size."""
    reach = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], (2, 3))
    parts = zip(np.split(windows, group, 1), np.split(weight.astype(np.float64), group, 0), strict=True)
    return np.concatenate([np.einsum("nchwij,ocij->nohw", part, kernel) for part, kernel in parts], 1)


@st.composite
def dyadic_quantizers(draw: st.DrawFn) -> dict[str, LinearQuantizer]:
    """One per site and tensor, with steps that are powers of two and deadbands that are multiples of a quarter step."""
    channels = {"x": 2, "b": 4, "f": 120, "i": 5}
    by_tensor = {}
    for tensor, size in channels.items():
        clusters = draw(st.sampled_from([2, 15, 32, 300]))
        step = 2.0 ** draw(st.integers(-3, 1))
        bands = st.sampled_from([0.0, 0.25 * step, step, 2 * step])
        deadband = draw(st.one_of(bands, st.lists(bands, min_size=size, max_size=size).map(tuple)))
        by_tensor[tensor] = LinearQuantizer(step, draw(st.integers(0, clusters - 1)), clusters, deadband)
    return {node: by_tensor[tensor] for node, tensor in SITES.items()}


@st.composite
def streams(draw: st.DrawFn) -> list[Frame]:
    """Up to eight frames that share most elements with the frame before, of eighths; some are zero throughout."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = np.zeros((1, 2, 6, 5), np.float32)
    frames = []
    for number in range(draw(st.integers(1, 8))):
        share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
        fresh = (generator.integers(-40, 41, x.shape) / 8).astype(np.float32)
        x = np.where(generator.random(x.shape) < share, fresh, x * np.float32(draw(st.sampled_from([0, 1, 1, 1]))))
        frames.append(Frame({"x": x}, number == 0 or draw(st.sampled_from([False, False, True]))))
    return frames


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), dyadic_quantizers(), streams())
def test_where_sums_are_exact_a_session_is_the_network_on_quantized_inputs_bit_for_bit(
    seed: int, quantizers: dict[str, LinearQuantizer], frames: list[Frame]
) -> None:
    generator = np.random.default_rng(seed)
    weights = {name: dyadic(generator, shape) for name, shape in SHAPES.items()}
    model = load(NETWORK, weights)
    session = Session(rewrite(model, plan_for(model, quantizers)), threads=1)
    reference = Reference(weights, quantizers)
    for frame, outputs in zip(frames, session.run_stream(frames), strict=True):
        if frame.start:
            reference.past = {}
        expected, linear = reference.run(frame.inputs["x"])
        for node, index in session.indices.items():
            np.testing.assert_array_equal(index, reference.past[node])
        for node, values in session.linear.items():
            np.testing.assert_array_equal(values, linear[node])
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, expected[name])


SEEDED = np.random.default_rng(7)
WEIGHTS = {name: SEEDED.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
FRAMES = [SEEDED.standard_normal((1, 2, 6, 5)).astype(np.float32) for _ in range(6)]


@pytest.fixture(scope="module")
def reuse_model() -> ir.Model:
    model = load(NETWORK, WEIGHTS)
    return rewrite(model, plan_for(model, dict.fromkeys(SITES, LinearQuantizer(0.1, 100, 200, 0.15))))


@pytest.fixture
def session(reuse_model: ir.Model) -> Session:
    return Session(reuse_model, threads=1)


def run_all(session: Session, frames: list[NDArray[np.float32]]) -> list[dict[str, NDArray[Any]]]:
    return [session.run({"x": frame}) for frame in frames]


def assert_equal(one: list[dict[str, NDArray[Any]]], other: list[dict[str, NDArray[Any]]]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_the_interface_is_that_of_the_original(session: Session) -> None:
    assert [(spec.name, spec.shape) for spec in session.inputs] == [("x", (1, 2, 6, 5))]
    assert [(spec.name, spec.shape) for spec in session.outputs] == [("y", (1, 3)), ("r", (1, 4, 6, 5))]
    assert list(session.run({"x": FRAMES[0]})) == ["y", "r"]
    assert list(session.indices) == list(session.linear) == list(SITES)


def test_outputs_and_state_that_were_given_out_do_not_change_with_later_frames(session: Session) -> None:
    first = session.run({"x": FRAMES[0]})
    kept = {**first, **session.linear, **session.indices}
    copies = {name: value.copy() for name, value in kept.items()}
    run_all(session, FRAMES[1:])
    for name, value in kept.items():
        np.testing.assert_array_equal(value, copies[name])


def test_path_bytes_and_ir_give_the_same(session: Session, reuse_model: ir.Model, tmp_path: Path) -> None:
    path = tmp_path / "reuse.onnx"
    onnx.save(ir.to_proto(reuse_model), path)
    expected = run_all(session, FRAMES)
    for model in (path, str(path), path.read_bytes()):
        other = Session(model, threads=1)
        assert_equal(run_all(other, FRAMES), expected)
        other.restore(session.save())


def test_reset_begins_a_sequence(session: Session) -> None:
    first = run_all(session, FRAMES)
    session.reset()
    assert_equal(run_all(session, FRAMES), first)


def test_a_stream_is_reset_where_a_sequence_starts(session: Session) -> None:
    frames = [Frame({"x": x}, start) for x, start in zip(FRAMES, [True, False, False, True, False, False], strict=True)]
    outputs = list(session.run_stream(frames))
    session.reset()
    assert_equal(outputs[:3], run_all(session, FRAMES[:3]))
    session.reset()
    assert_equal(outputs[3:], run_all(session, FRAMES[3:]))


def test_a_restored_session_continues_as_the_saved_one(session: Session, reuse_model: ir.Model, tmp_path: Path) -> None:
    run_all(session, FRAMES[:3])
    session.save().to_file(tmp_path / "state.safetensors")
    expected = run_all(session, FRAMES[3:])
    other = Session(reuse_model, threads=1)
    run_all(other, FRAMES[4:])
    state = SessionState.from_file(tmp_path / "state.safetensors")
    for _ in range(2):
        other.restore(state)
        assert_equal(run_all(other, FRAMES[3:]), expected)


def test_state_is_saved_with_the_channels_of_conv_last_and_shown_as_the_model_has_them(session: Session) -> None:
    run_all(session, FRAMES[:3])
    indices, linear, saved = session.indices, session.linear, session.save().arrays
    assert {site: value.shape for site, value in indices.items()} == {
        "a": (1, 2, 6, 5),
        "c": (1, 4, 6, 5),
        "d": (1, 4, 6, 5),
        "g": (1, 120),
        "y": (1, 5),
    }
    for site in "acd":
        np.testing.assert_array_equal(saved[f"past_index_{site}"], channels_last(indices[site]))
        np.testing.assert_array_equal(saved[f"past_linear_{site}"], channels_last(linear[site]))
    for site in "gy":
        np.testing.assert_array_equal(saved[f"past_index_{site}"], indices[site])
        np.testing.assert_array_equal(saved[f"past_linear_{site}"], linear[site])
    assert all(value.flags.c_contiguous for value in (*indices.values(), *linear.values(), *saved.values()))


def test_forks_go_their_own_ways(session: Session) -> None:
    run_all(session, FRAMES[:2])
    twin = session.fork()
    state = twin.save()
    expected = run_all(session, FRAMES[2:])
    for name, value in twin.save().arrays.items():
        np.testing.assert_array_equal(value, state.arrays[name])
    assert_equal(run_all(twin, FRAMES[2:]), expected)
    run_all(twin, FRAMES[:1])
    session.restore(state)
    assert_equal(run_all(session, FRAMES[2:]), expected)


def test_refresh_changes_no_index_and_removes_errors_of_the_linear_outputs(session: Session) -> None:
    run_all(session, FRAMES)
    indices, linear, state = session.indices, session.linear, session.save()
    spoiled = {name: value + 1 if name.startswith("past_linear") else value for name, value in state.arrays.items()}
    session.restore(SessionState(state.model_sha256, spoiled))
    session.refresh()
    for node, index in session.indices.items():
        np.testing.assert_array_equal(index, indices[node])
    for node, values in session.linear.items():
        np.testing.assert_allclose(values, linear[node], atol=1e-5 * np.abs(linear[node]).max())


def test_state_of_another_model_names_both(session: Session) -> None:
    state = SessionState("0" * 64, session.save().arrays)
    with pytest.raises(ReuseError, match=f"{'0' * 64}.*{session.model_sha256}"):
        session.restore(state)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "no value for input x"),
        ({"x": FRAMES[0][..., :4]}, r"input x has shape \[1, 2, 6, 4\]"),
        ({"x": FRAMES[0].astype(np.int32)}, "input x is int32"),
        ({"x": FRAMES[0], "past_index_a": FRAMES[0]}, "has no input past_index_a"),
        ({"x": FRAMES[0] * np.float32(np.nan)}, "input x is nan"),
    ],
)
def test_a_frame_that_does_not_fit_leaves_the_state(session: Session, inputs: Arrays, message: str) -> None:
    run_all(session, FRAMES[:2])
    before = session.save()
    with pytest.raises(StreamError, match=message):
        session.run(inputs)
    for name, value in session.save().arrays.items():
        np.testing.assert_array_equal(value, before.arrays[name])


def test_a_list_is_no_array(session: Session) -> None:
    name = session.inputs[0].name
    with pytest.raises(StreamError, match=f"input {name} is a list: give a numpy array of float32"):
        session.run({**{spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs}, name: [[1.0]]})  # type: ignore[dict-item]


def test_what_is_no_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not an ONNX model"):
        Session(b"no model")
    with pytest.raises(ModelError, match="no such file"):
        Session(tmp_path / "nothing.onnx")


LOOP = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 3] x, float[1, 3] h) => (float[1, 3] next) {
    a = Gemm (x, W, B)
    b = MatMul (h, V)
    c = Add (a, b)
    next = Relu (c)
}"""


def test_outputs_are_fed_back_as_the_plan_says() -> None:
    generator = np.random.default_rng(0)
    weights = {"W": dyadic(generator, (3, 3)), "B": dyadic(generator, (3,)), "V": dyadic(generator, (3, 3))}
    model = load(LOOP, weights)
    quantizer = LinearQuantizer(0.25, 100, 200)
    reuse = rewrite(model, plan_for(model, {"a": quantizer, "b": quantizer}, {"h": "next"}))
    session = Session(reuse, threads=1)
    stream = [dyadic(generator, (1, 3)) for _ in range(5)]

    def centroid(x: NDArray[Any]) -> NDArray[np.float64]:
        return np.clip(np.rint(x / 0.25), -100, 99) * 0.25

    def expected(frames: list[NDArray[np.float32]], h: NDArray[Any]) -> list[NDArray[Any]]:
        states = []
        for x in frames:
            h = np.maximum(x @ weights["W"] + weights["B"] + centroid(h) @ weights["V"], 0)
            states.append(h)
        return states

    outputs = [output["next"] for output in session.run_stream(Frame({"x": x}, n == 0) for n, x in enumerate(stream))]
    np.testing.assert_array_equal(outputs, expected(stream, np.zeros((1, 3))))
    twin = session.fork()
    np.testing.assert_array_equal(twin.run({"x": stream[0]})["next"], expected(stream[:1], outputs[-1])[0])
    session.reset()
    np.testing.assert_array_equal(session.run({"x": stream[0]})["next"], outputs[0])
    with pytest.raises(StreamError, match="h is fed back"):
        session.run({"x": stream[0], "h": stream[0]})
    unfed = Session(reuse, threads=1, state={})
    assert unfed.run({"x": stream[0], "h": np.zeros((1, 3), np.float32)})["next"].shape == (1, 3)


def test_a_dark_frame_after_a_bright_one_is_exact_again() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]>
        net (float[1, 50] x) => (float[1, 20] y) { h = Gemm (x, W)  y = Relu (h) }"""
    generator = np.random.default_rng(0)
    model = load(text, {"W": generator.standard_normal((50, 20)).astype(np.float32)})
    session = Session(rewrite(model, plan_for(model, {"h": LinearQuantizer(0.013, 2000, 4001)})), threads=1)
    bright = [generator.standard_normal((1, 50)).astype(np.float32) for _ in range(20)]
    run_all(session, bright)
    assert np.abs(session.linear["h"]).max() > 1
    [dark] = run_all(session, [np.zeros((1, 50), np.float32)])
    np.testing.assert_array_equal(session.linear["h"], np.zeros((1, 20)))
    np.testing.assert_array_equal(dark["y"], np.zeros((1, 20)))
