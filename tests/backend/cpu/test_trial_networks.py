"""Trials of whole networks with native kernels and with function bodies: every bit is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.frontend import Model, load
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial, TrialFrame
from tests.backend.cpu.native_run import Arrays
from tests.backend.cpu.node_cases import assert_same_bits, kernels_under_test
from tests.recurrent.cells import Cell, build, feeds

LIBRARY = kernels_under_test()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")


@dataclass(frozen=True)
class Network:
    """A model in ONNX's text, and the shapes of its weights."""

    text: str
    weights: Mapping[str, tuple[int, ...]]

    def load(self, folder: Path) -> Model:
        proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {self.text}')
        generator = np.random.default_rng(5)
        for name, shape in self.weights.items():
            weight = generator.standard_normal(shape).astype(np.float32) / 3
            proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
        return load_proto(proto, folder)


def load_proto(proto: onnx.ModelProto, folder: Path) -> Model:
    onnx.save(proto, folder / "model.onnx")
    return load(folder / "model.onnx")


NETWORKS = {
    "fc": Network(
        """net (float[2, 3, 37] x) => (float[2, 3, 5] y, float[2, 3, 19] c) {
            a = MatMul (x, W1) b = Relu (a) c = MatMul (b, W2) d = Tanh (c) y = MatMul (d, W3)
        }""",
        {"W1": (37, 21), "W2": (21, 19), "W3": (19, 5)},
    ),
    # What a quantizer reads is read by others too, and given out.
    "conv": Network(
        """net (float[2, 3, 9, 11] x) => (float[2, 4, 9, 11] y, float[2, 8, 9, 11] b) {
            a = Conv <pads = [1, 1, 1, 1]> (x, W1) b = Relu (a) c = Conv <pads = [1, 1, 1, 1], group = 2> (b, W2)
            d = Conv (b, W3) e = Add (c, d) f = Add (e, b) y = Conv (f, W4)
        }""",
        {"W1": (8, 3, 3, 3), "W2": (8, 4, 3, 3), "W3": (8, 8, 1, 1), "W4": (4, 8, 1, 1)},
    ),
    "conv1": Network(
        "net (float[1, 4, 50] x) => (float[1, 3, 23] y) { a = Conv <strides = [2]> (x, W1) y = Conv (a, W2) }",
        {"W1": (17, 4, 3), "W2": (3, 17, 2)},
    ),
    "conv3": Network(
        "net (float[1, 2, 4, 5, 6] x) => (float[1, 4] y) { a = Conv (x, W1) b = Flatten (a) y = Gemm (b, W2) }",
        {"W1": (3, 2, 2, 2, 2), "W2": (180, 4)},
    ),
}
CELLS = {
    "lstm": Cell("LSTM", 5, 2, 33, 19, "bidirectional"),
    "lstm-ends": Cell("LSTM", 5, 3, 21, 16, "forward", peephole=True, lengths=(5, 1, 4), initial=True),
    "gru": Cell("GRU", 5, 3, 20, 9, "reverse", 1.5, lengths=(2, 5, 1), initial=True),
    "gru-reset-last": Cell("GRU", 4, 1, 17, 40, "bidirectional", linear_before_reset=1),
    "rnn": Cell("RNN", 5, 2, 33, 19, "forward", scale=0.2),
}


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Model, Trial, Trial]]:
    """Each network with its trials, with kernels and without."""
    made = {}
    for name in (*NETWORKS, *CELLS):
        folder = tmp_path_factory.mktemp(name)
        model = NETWORKS[name].load(folder) if name in NETWORKS else load_proto(build(CELLS[name], 1), folder)
        made[name] = (model, Trial(model, kernels=LIBRARY), Trial(model, kernels=None))
    return made


def frames_for(model: Model, name: str, generator: np.random.Generator) -> list[Frame]:
    """Every input is close to that of the frame before; a sequence begins in the middle."""
    frames: list[Frame] = []
    x: Arrays = {}
    for number in range(6):
        if name in CELLS:
            fresh = feeds(onnx.load(model.path), generator)
        else:
            fresh = {spec.name: generator.standard_normal(spec.shape).astype(np.float32) for spec in model.inputs}
        x = {
            key: np.where(generator.random(array.shape) < 0.4, array, x.get(key, array)) for key, array in fresh.items()
        }
        frames.append(Frame(x, number in {0, 4}))
    return frames


@st.composite
def quantizers(draw: st.DrawFn, model: Model) -> dict[str, LinearQuantizer]:
    """Of some tensors: at a ratio of 2 a quantizer has no deadband; one deadband, or one a channel."""
    made = {}
    for site in find_sites(model):
        ratio, width = draw(st.sampled_from([0.5, 1.0, 1.7, 2.0])), draw(st.sampled_from([0.05, 0.3, 1.0]))
        step = float(np.float32(width * ratio))
        channels = site.frame_shape[site.channel_axis]
        band = st.sampled_from([float(np.float32(share * width)) for share in (0.5, 1.0, 1.5)])
        each = st.lists(band, min_size=channels, max_size=channels).map(tuple)
        deadband = 0.0 if ratio == 2.0 else draw(band | each)
        half = draw(st.integers(2, 300))
        zero = draw(st.sampled_from([0, half, 2 * half]))
        if draw(st.integers(0, 4)):
            made[site.input] = LinearQuantizer(step, zero, 2 * half + 1, deadband)
    return made


def arrays_of(frame: TrialFrame) -> Arrays:
    squares = {f"squares {number}": array for number, array in enumerate(frame.squares or ())}
    held = {f"held {name}": array.copy() for name, array in frame.held.items()}
    return {**frame.outputs, **held, **squares, "changed": frame.changed}


@pytest.mark.parametrize("name", [*NETWORKS, *CELLS])
@settings(max_examples=12, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_trials_of_networks(
    trials: dict[str, tuple[Model, Trial, Trial]], name: str, data: st.DataObject, seed: int
) -> None:
    model, native, portable = trials[name]
    chosen = data.draw(quantizers(model))
    frames = frames_for(model, name, np.random.default_rng(seed))
    given = [{key: array.copy() for key, array in frame.inputs.items()} for frame in frames]
    for found, expected in zip(
        native.run(chosen, frames, {}, squares=True), portable.run(chosen, frames, {}, squares=True), strict=True
    ):
        assert_same_bits(arrays_of(found), arrays_of(expected))
    for frame, before in zip(frames, given, strict=True):
        assert_same_bits(frame.inputs, before)
