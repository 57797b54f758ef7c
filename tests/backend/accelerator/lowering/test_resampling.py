"""Interpolation and pooling against onnxruntime, on accelerators so small that tensors are staged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.backend.accelerator.lowering.one_node import compare

Array = NDArray[Any]

# A handful of roundings of 2**-24 in the weights and sums of each axis, onnxruntime's own among them.
ROUNDING = 2e-6
MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["linear", "cubic"])
@pytest.mark.parametrize("buffer", [640, 1 << 20])
def test_interpolation(kind: str, mode: str, buffer: int) -> None:
    attributes: dict[str, Any] = {"mode": kind, "coordinate_transformation_mode": mode}
    operands = [normal(1, 2, 5, 6), None, np.array([1, 1, 2.5, 0.6], np.float32)]
    compare("Resize", operands, buffer=buffer, tolerance=ROUNDING, **attributes)
    sizes = [*operands[:2], None, np.array([1, 2, 3, 13])]
    compare("Resize", sizes, buffer=buffer, tolerance=ROUNDING, **attributes)


@pytest.mark.parametrize(
    ("operands", "attributes"),
    [
        ([normal(1, 1, 8, 9), None, None, np.array([4, 20])], {"mode": "linear", "axes": [2, 3]}),
        ([normal(1, 1, 8, 9), None, None, np.array([4, 20])], {"mode": "linear", "axes": [3, 2]}),
        ([normal(1, 1, 8, 9), None, np.array([1, 1, 0.5, 0.7], np.float32)], {"mode": "linear", "antialias": 1}),
        ([normal(1, 1, 8, 9), None, np.array([1, 1, 0.5, 0.7], np.float32)], {"mode": "cubic", "antialias": 1}),
        ([normal(1, 1, 8, 9), None, np.array([1, 1, 0.7, 2], np.float32)], {"mode": "cubic", "exclude_outside": 1}),
        ([normal(1, 1, 8, 9), None, np.array([1, 1, 2, 2], np.float32)], {"mode": "cubic", "cubic_coeff_a": -0.5}),
        (
            [normal(1, 1, 8, 9), None, None, np.array([12, 12])],
            {"mode": "linear", "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
        ),
        (
            [normal(1, 1, 8, 9), None, None, np.array([12, 12])],
            {"mode": "cubic", "axes": [2, 3], "keep_aspect_ratio_policy": "not_smaller"},
        ),
        (
            [normal(1, 1, 8, 9), np.array([0, 0, 0.2, 0.1, 1, 1, 0.8, 0.7], np.float32), None, np.array([1, 1, 5, 6])],
            {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"},
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_options_of_interpolation(operands: list[Array | None], attributes: dict[str, Any]) -> None:
    for buffer in (640, 1 << 20):
        compare("Resize", operands, buffer=buffer, tolerance=ROUNDING, **attributes)


@pytest.mark.parametrize("scales", [(1.1, 1.12), (1.1, 2.0), (1.0, 2.0)])
@pytest.mark.parametrize("mode", ["half_pixel", "tf_crop_and_resize"])
@pytest.mark.parametrize("kind", ["linear", "cubic"])
@pytest.mark.parametrize("antialias", [0, 1])
def test_axes_that_keep_their_size(antialias: int, kind: str, mode: str, scales: tuple[float, float]) -> None:
    """By a scale too small for one more element, or in a region of interest: onnxruntime leaves some of them alone."""
    region = np.array([0, 0, 0.2, 0.1, 1, 1, 0.8, 0.7], np.float32)
    attributes: dict[str, Any] = {"mode": kind, "coordinate_transformation_mode": mode, "antialias": antialias}
    x = normal(1, 1, 6, 7)
    given = [x, region, np.array([1, 1, *scales], np.float32)]
    compare("Resize", given, tolerance=ROUNDING, **attributes)
    sizes = np.array([1, 1, *(int(size * scale) for size, scale in zip((6, 7), scales, strict=True))])
    compare("Resize", [x, region, None, sizes], tolerance=ROUNDING, **attributes)


@settings(max_examples=50)
@given(
    data=st.data(),
    op=st.sampled_from(["MaxPool", "AveragePool", "LpPool"]),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    extents=st.lists(st.integers(3, 8), min_size=1, max_size=3),
    buffer=st.sampled_from([384, 1024, 1 << 20]),
)
def test_pools(data: st.DataObject, op: str, channels: tuple[int, int], extents: list[int], buffer: int) -> None:
    """Of batches, with padding counted or not where windows reach beyond it."""
    kernel = [data.draw(st.integers(1, 3)) for _ in extents]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [data.draw(st.integers(1, 3)) for _ in extents],
        "dilations": [data.draw(st.integers(1, 2)) for _ in extents],
        "pads": [data.draw(st.integers(0, size - 1)) for _ in range(2) for size in kernel],
        "ceil_mode": data.draw(st.integers(0, 1)),
    }
    if op == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    if op == "LpPool":
        attributes["p"] = data.draw(st.integers(1, 3))
    pads, count = attributes["pads"], len(extents)
    for axis, size in enumerate(extents):
        reach = (kernel[axis] - 1) * attributes["dilations"][axis] + 1
        left = size + pads[axis] + pads[axis + count] - reach
        # onnx and onnxruntime agree on the shape where a last window that is cut off begins before the padding behind
        over = -left % attributes["strides"][axis]
        if left < 0 or (attributes["ceil_mode"] and over + pads[axis + count] >= reach):
            return
    tolerance = 0.0 if op == "MaxPool" else ROUNDING
    compare(op, [normal(*channels, *extents)], buffer=buffer, tolerance=tolerance, **attributes)
