"""Channels are wide where much changes and little is read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from reuse_compiler.profiling import profile
from reuse_compiler.search.channels import channel_shapes
from reuse_compiler.streams import Frame, open_stream
from reuse_compiler.trial import Trial
from tests.small_search import Parts, read_model

Shapes = dict[str, tuple[float, ...]]

CONV = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 4, 6, 5] x) => (float[1, 3, 4, 3] y) {
    y = Conv (x, W)
}"""
GROUPED = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 4, 6, 5] x) => (float[1, 6, 4, 3] y) {
    y = Conv <group = 2> (x, W)
}"""
TRANSPOSED = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 4, 6, 5] x) => (float[1, 3, 8, 7] y) {
    y = ConvTranspose (x, W)
}"""
GEMM = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 4] x) => (float[1, 3] y) {
    y = Gemm (x, W)
}"""
GEMM_TRANSPOSED = GEMM.replace("Gemm (", "Gemm <transB = 1> (")
GRU = """
<ir_version: 8, opset_import: ["": 18]>
net (float[2, 1, 4] x) => (float[2, 1, 1, 3] y) {
    y, last = GRU <hidden_size = 3> (x, W, R)
}"""
TWO_AXES = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 4, 6, 4] x) => (float[1, 3, 4, 2] y, float[1, 4, 6, 3] z) {
    y = Conv (x, W)
    z = MatMul (x, M)
}"""
NETWORKS: dict[str, tuple[str, dict[str, tuple[int, ...]], int, int]] = {
    "conv": (CONV, {"W": (3, 4, 3, 3)}, 1, 1),
    "transposed": (TRANSPOSED, {"W": (4, 3, 3, 3)}, 1, 0),
    "gemm": (GEMM, {"W": (4, 3)}, -1, 0),
    "gemm, transposed": (GEMM_TRANSPOSED, {"W": (3, 4)}, -1, 1),
    "gru": (GRU, {"W": (1, 9, 4), "R": (1, 9, 3)}, -1, 2),
}
"""With the axes of x and of W that channels lie along."""


def found(
    text: str,
    weights: dict[str, NDArray[np.float32]],
    *,
    moving: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    axis: int = 1,
    starts: bool = False,
) -> Shapes:
    """Of a stream whose channels along `axis` wander by as much as `moving` says."""
    model = read_model(text, weights)
    shape = model.inputs[0].shape
    along = [1] * len(shape)
    along[axis] = len(moving)
    steps = np.random.default_rng(1).choice([-0.1, 0.1], (30, *shape)) * np.reshape(moving, along)
    frames = [Frame({"x": x}, starts or not number) for number, x in enumerate(steps.cumsum(0).astype(np.float32))]
    stream = open_stream([frame.inputs for frame in frames], model.inputs)
    seen = profile(model, stream, threads=1)
    ranges = {name: tensor.value_range for name, tensor in seen.tensors.items() if any(tensor.value_range)}
    shapes = channel_shapes(model, Trial(model), frames, ranges, {})
    return {
        tensor.removesuffix("[t]"): shape for tensor, shape in shapes.items()
    }  # of the operands of a recurrent layer


def ones(**shapes: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def test_geometric_means_are_1_and_none_is_far_from_it(parts: Parts) -> None:
    assert parts.shapes.keys() == parts.calibration.ranges.keys()
    for tensor, channels in (("x", 2), ("b", 4), ("e", 256)):
        assert len(parts.shapes[tensor]) == channels
    for shape in parts.shapes.values():
        assert np.log(shape).mean() == pytest.approx(0, abs=1e-6)
        assert max(shape) <= 8.001 and min(shape) >= 1 / 8.001


@pytest.mark.parametrize("network", NETWORKS)
def test_where_much_changes_a_channel_is_wide(network: str) -> None:
    text, shapes, axis, _ = NETWORKS[network]
    shape = found(text, ones(**shapes), moving=(4.0, 1.0, 1.0, 0.25), axis=axis)["x"]
    assert shape[0] > 1.5 * max(shape[1:3]) and min(shape[1:3]) > 1.5 * shape[3]
    assert shape[1] == pytest.approx(shape[2], rel=0.2)


@pytest.mark.parametrize("network", NETWORKS)
def test_where_weights_are_large_a_channel_is_narrow(network: str) -> None:
    """By the root of what they weigh."""
    text, shapes, axis, weighed = NETWORKS[network]
    weights = ones(**shapes)
    along = [1] * weights["W"].ndim
    along[weighed] = 4
    weights["W"] *= np.reshape([16, 1, 1, 1 / 16], along).astype(np.float32)
    shape = found(text, weights, axis=axis)["x"]
    assert shape == pytest.approx((1 / 4, 1, 1, 4), rel=0.2)


def test_weights_of_groups_are_of_their_own_channels() -> None:
    weights = ones(W=(6, 2, 3, 3))
    weights["W"][:3, 1] = 16  # the second channel of the first group
    shape = found(GROUPED, weights)["x"]
    assert found(GROUPED, ones(W=(6, 2, 3, 3)))["x"] == pytest.approx((1,) * 4, rel=0.2)
    assert shape[1] < 0.4 * min(shape[0], shape[2], shape[3])


def test_none_is_beyond_8_however_far_it_is_from_the_others() -> None:
    """One that is cut off moves the mean of all, which moves all again."""
    text = GEMM.replace("float[1, 4]", "float[1, 16]")
    for outlier in (1e-6, 1e6):
        shape = found(text, ones(W=(16, 3)), moving=(outlier, *[1.0] * 15), axis=-1)["x"]
        assert np.log(shape).mean() == pytest.approx(0, abs=1e-6)
        assert max(shape) <= 8.001 and min(shape) >= 1 / 8.001
        apart = max(shape[0] / shape[1], shape[1] / shape[0])
        assert apart > 8 and all(one == pytest.approx(two, rel=0.3) for one, two in pairwise(shape[1:]))


def test_tensors_that_sites_read_along_two_axes_have_none() -> None:
    """Even where both have as many channels."""
    weights = ones(W=(3, 4, 3, 3), M=(4, 3))
    assert found(TWO_AXES, weights) == {}


def test_nothing_is_known_where_nothing_changes_or_every_frame_is_a_start() -> None:
    weights = ones(W=(4, 3))
    assert found(GEMM, weights, axis=-1).keys() == {"x"}
    assert found(GEMM, weights, axis=-1, starts=True) == {}
    assert found(GEMM, weights, axis=-1, moving=(0.0,) * 4) == {}
    weights["W"][...] = 0
    assert found(GEMM, weights, axis=-1) == {}
