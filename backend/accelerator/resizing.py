"""Resizing by interpolation: of every axis that changes, the rows and weights that a row of the result is a sum of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.shapes import constant, shape_of

__all__ = ["ResizedAxis", "resized_axes", "tap_weights"]

Array = NDArray[Any]


@dataclass(frozen=True)
class ResizedAxis:
    """How one axis is resized: from `size` to `result` elements with this scale, and the region of interest, both ends
    relative to the axis."""

    size: int
    result: int
    scale: float
    begin: float = 0.0
    end: float = 1.0

    def positions(self, mode: str) -> Array:
        """Where the elements of the output lie in the input, by `coordinate_transformation_mode`: float64 [result].

        The formulas are those of the ONNX operator Resize; with corners aligned onnxruntime counts whole elements of the
        output, and so does this.
        """
        at = np.arange(self.result, dtype=np.float64)
        match mode:
            case "asymmetric":
                return at / self.scale
            case "align_corners":
                return at * (self.size - 1) / max(self.result - 1, 1)
            case "pytorch_half_pixel":
                return (at + 0.5) / self.scale - 0.5 if self.result > 1 else np.zeros(self.result)
            case "half_pixel_symmetric":
                adjusted = self.result / (self.scale * self.size)
                return self.size / 2 * (1 - adjusted) + (at + 0.5) / self.scale - 0.5
            case "tf_crop_and_resize":
                last = self.size - 1
                if self.result == 1:
                    return np.full(1, 0.5 * (self.begin + self.end) * last)
                return self.begin * last + at * (self.end - self.begin) * last / (self.result - 1)
        return (at + 0.5) / self.scale - 0.5


def resized_axes(node: ir.Node) -> list[ResizedAxis | None]:
    """How a Resize changes each axis of its first operand; None where it leaves it as it is.

    As in onnxruntime, a result of the operand's shape is the operand, whatever the scales and the region of interest,
    and an axis that keeps its size stays as it is where the scale is 1 or `antialias` is set.
    """
    value = node.inputs[0]
    shape, out = shape_of(value) if value is not None else None, shape_of(node.outputs[0])
    assert shape is not None
    assert out is not None
    rank = len(shape)
    named = [axis % rank for axis in node.attributes.get_ints("axes", None) or range(rank)]
    roi, scales, sizes = (constant(node.inputs[at]) if len(node.inputs) > at else None for at in range(1, 4))
    cropped = node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    factors = {axis: out[axis] / shape[axis] for axis in named}
    if scales is not None and scales.size:
        factors = {axis: float(scale) for axis, scale in zip(named, scales, strict=True)}
    elif sizes is not None and node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        within = [int(size) / shape[axis] for axis, size in zip(named, sizes, strict=True)]
        larger = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "not_smaller"
        factors = dict.fromkeys(named, max(within) if larger else min(within))
    found: list[ResizedAxis | None] = [None] * rank
    if out == shape:
        return found
    smooth = node.attributes.get_int("antialias", 0) == 1
    for position, axis in enumerate(named):
        part = (0.0, 1.0)
        if cropped and roi is not None and roi.size:
            part = (float(roi[position]), float(roi[position + len(named)]))
        if out[axis] != shape[axis] or (factors[axis] != 1 and not smooth):
            found[axis] = ResizedAxis(shape[axis], out[axis], factors[axis], *part)
    return found


def _kernel(distance: Array, cubic: float | None) -> Array:
    """The weight of an element at a distance: of linear interpolation, or of cubic with that coefficient.

    Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    d = np.abs(distance)
    if cubic is None:
        linear: Array = np.maximum(1 - d, 0)
        return linear
    near = ((cubic + 2) * d - (cubic + 3)) * d * d + 1
    far = ((cubic * d - 5 * cubic) * d + 8 * cubic) * d - 4 * cubic
    weight: Array = np.where(d <= 1, near, np.where(d < 2, far, 0))
    return weight


def tap_weights(node: ir.Node, axis: ResizedAxis) -> tuple[Array, Array]:
    """Table (int32) and weights (float32) of one axis: [result, taps]."""
    attributes = node.attributes
    cubic = None
    if attributes.get_string("mode", "nearest") == "cubic":
        cubic = attributes.get_float("cubic_coeff_a", -0.75) or 0.0
    positions = axis.positions(attributes.get_string("coordinate_transformation_mode", "half_pixel") or "half_pixel")
    stretch = min(axis.scale, 1.0) if attributes.get_int("antialias", 0) else 1.0
    reach = (1 if cubic is None else 2) / stretch
    first = np.floor(positions - reach).astype(np.int64) + 1
    taps = first[:, None] + np.arange(math.ceil(2 * reach))
    weights = _kernel((positions[:, None] - taps) * stretch, cubic)
    outside = (taps < 0) | (taps >= axis.size)
    excluded = attributes.get_int("exclude_outside", 0) == 1
    if excluded:
        weights = np.where(outside, 0, weights)
    if stretch < 1 or excluded:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(taps, 0, axis.size - 1).astype(np.int32), weights.astype(np.float32)
