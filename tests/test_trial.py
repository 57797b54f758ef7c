"""A trial gives what the reuse model of the same quantizers gives: outputs, and how many indices change."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler import frontend
from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.reference import Reference
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial

# Two readers of one tensor, a per-channel deadband, a state that is fed back, a label.
NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x, float[1, 3] h) => (float[1, 3] hn, int64[1] label) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], group = 2> (b, W2)
    d = Conv (b, W3)
    e = Add (c, d)
    f = Flatten (e)
    g = Concat <axis = 1> (f, h)
    i = Gemm (g, W4, B4)
    hn = Clip (i, low, high)
    label = ArgMax <axis = 1, keepdims = 0> (hn)
}"""
SHAPES = {"W1": (4, 2, 3, 3), "B1": (4,), "W2": (4, 2, 3, 3), "W3": (4, 4, 1, 1), "W4": (123, 3), "B4": (3,)}
RECURRENT = """
<ir_version: 8, opset_import: ["": 18]>
net (float[4, 2, 3] x, float[1, 2, 5] h) => (float[4, 1, 2, 5] y, float[1, 2, 5] hn, float[4, 1, 2, 5] z) {
    y, hn = GRU <hidden_size = 5, linear_before_reset = 0> (x, W, R, , , h)
    z, zn = LSTM <hidden_size = 5, direction = "reverse"> (x, W2, R2)
}"""
RECURRENT_SHAPES = {"W": (1, 15, 3), "R": (1, 15, 5), "W2": (1, 20, 3), "R2": (1, 20, 5)}


def load(text: str, shapes: Mapping[str, tuple[int, ...]]) -> Model:
    """With dyadic weights, so that sums are exact and no index parts by rounding."""
    generator = np.random.default_rng(3)
    proto = onnx.parser.parse_model(text)
    arrays = {name: generator.integers(-4, 5, shape) / 8 for name, shape in shapes.items()}
    for name, array in {**arrays, "low": np.array(-4.0), "high": np.array(4.0)}.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


def plan_for(model: Model, quantizers: Mapping[str, LinearQuantizer], state: Mapping[str, str]) -> Plan:
    sites = [
        SitePlan(
            node=site.node,
            input=site.input,
            op=site.op,
            mode="reuse" if site.input in quantizers else "dense",
            quantizer=QuantizerSpec.of(quantizers[site.input]) if site.input in quantizers else None,
        )
        for site in find_sites(model)
    ]
    return Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites, state=dict(state))


@pytest.fixture(scope="module")
def plain() -> tuple[Model, Trial]:
    model = load(NETWORK, SHAPES)
    return model, Trial(model)


@pytest.fixture(scope="module")
def recurrent() -> tuple[Model, Trial]:
    model = load(RECURRENT, RECURRENT_SHAPES)
    return model, Trial(model)


def slow_frames(shape: tuple[int, ...], starts: set[int], seed: int, frames: int = 12) -> list[Frame]:
    generator = np.random.default_rng(seed)
    x = np.zeros(shape, np.float32)
    made = []
    for number in range(frames):
        fresh = generator.random(shape) < generator.choice([0.0, 0.2, 0.7])
        x = np.where(fresh, generator.integers(-16, 17, shape) / 16, x).astype(np.float32)
        made.append(Frame({"x": x}, number == 0 or number in starts))
    return made


def agree(
    model: Model,
    trial: Trial,
    quantizers: Mapping[str, LinearQuantizer],
    frames: list[Frame],
    state: Mapping[str, str],
    tolerance: float,
) -> int:
    """Hold a trial against a session, frame by frame; how many elements changed in all."""
    session = Session(rewrite(model, plan_for(model, quantizers, state)), threads=1)
    total = 0
    for frame, tried in zip(frames, trial.run(quantizers, frames, state), strict=True):
        if frame.start:
            session.reset()
        outputs = session.run(frame.inputs)
        for name, value in outputs.items():
            np.testing.assert_allclose(tried.outputs[name], value, rtol=0, atol=tolerance)
        changes = session.changes
        for slot, changed in zip(trial.slots, tried.changed, strict=True):
            for site in slot.sites:
                assert changed == changes.get(site.node, slot.elements)
        total += int(tried.changed.sum())
    return total


QUANTIZERS = st.builds(
    lambda step, half, memory: LinearQuantizer(step, half, 2 * half + 1, memory * step),
    st.sampled_from([0.125, 0.25, 0.5]),
    st.integers(2, 400),
    st.sampled_from([0.0, 0.5, 1.0, 2.5]),
)


@settings(max_examples=15, deadline=None)
@given(
    data=st.data(),
    chosen=st.sets(st.sampled_from(["x", "b", "g"]), min_size=1),
    starts=st.sets(st.integers(1, 11), max_size=2),
    seed=st.integers(0, 99),
)
def test_it_agrees_with_the_reuse_model(
    plain: tuple[Model, Trial], data: st.DataObject, chosen: set[str], starts: set[int], seed: int
) -> None:
    quantizers = {tensor: data.draw(QUANTIZERS) for tensor in sorted(chosen)}
    agree(*plain, quantizers, slow_frames((1, 2, 6, 5), starts, seed), {"h": "hn"}, 0.0)


def test_deadbands_may_differ_by_channel(plain: tuple[Model, Trial]) -> None:
    quantizers = {
        "b": LinearQuantizer(0.125, 100, 500, (0.0, 0.25, 0.5, 4.0)),
        "g": LinearQuantizer(0.125, 400, 801, tuple(np.arange(123) / 64)),
    }
    assert agree(*plain, quantizers, slow_frames((1, 2, 6, 5), set(), 1), {"h": "hn"}, 0.0)


@pytest.mark.parametrize("memory", [0.0, 0.75])
def test_steps_of_recurrent_layers(recurrent: tuple[Model, Trial], memory: float) -> None:
    """The step is so coarse that no operand of these frames lies at an edge to within rounding."""
    model, trial = recurrent
    quantizers = {site.input: LinearQuantizer(0.21, 50, 101, memory * 0.21) for site in find_sites(model)}
    assert agree(model, trial, quantizers, slow_frames((4, 2, 3), {5}, 2), {"h": "hn"}, 2e-6)


def test_without_quantizers_it_is_the_model(plain: tuple[Model, Trial], recurrent: tuple[Model, Trial]) -> None:
    for (model, trial), shape in ((plain, (1, 2, 6, 5)), (recurrent, (4, 2, 3))):
        frames = slow_frames(shape, {4}, 0)
        reference = Reference(model, {"h": "hn"}, threads=1)
        for frame, tried in zip(frames, trial.run({}, frames, {"h": "hn"}), strict=True):
            for name, value in reference.run(frame).items():
                np.testing.assert_allclose(tried.outputs[name], value, rtol=0, atol=1e-6)
            assert list(tried.changed) == [slot.elements for slot in trial.slots]


def test_it_refuses_a_model_with_text() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 18]>
    net (float[1, 2] x, string[2] s) => (float[1, 2] y, string[2] t) {
        y = Gemm (x, W)
        t = Identity (s)
    }"""
    model = load(text, {"W": (2, 2)})
    with pytest.raises(ModelError, match="an input or output is no array of numbers"):
        Trial(model)
