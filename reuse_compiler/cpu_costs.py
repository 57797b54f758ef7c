"""What a layer costs on a CPU, in onnxruntime's own operator and in the native reuse kernel, by a model of a few terms.

A frame of the reuse kernel quantizes every input, moves its axes where a CONV has several channels, adds a product for each
changed input and output that takes it, and writes every output::

    call + quantize * inputs + move * (inputs + outputs) + write * outputs
         + min(sparse, dense)
    sparse = pixels * (pixel + segment * segments) + changed * (list * inputs + vectors * taps * (product + vector * width))
    dense  = spread * inputs + vectors * taps * dense_vector * width

That is of changes all over. Where they lie side by side, few pixels take one: `pixels`, and all that the dense way counts, are
then taken times :data:`SIDE_BY_SIDE` times the share that changed.

onnxruntime's takes ``call + multiply-accumulates * (conv, depthwise, fc or gemm)``. The terms that the package comes with are
those of one core with AVX-512; :mod:`reuse_compiler.cpu_calibration` measures those of this machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from reuse_compiler.document import Strict
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.sites import Site

__all__ = [
    "LEAST_CHANGED",
    "CpuCosts",
    "LayerWork",
    "break_even",
    "conv_work",
    "fc_work",
    "reuse_ns",
    "site_work",
    "stock_ns",
]

_LANES = 16

SIDE_BY_SIDE = 2.0
"""Output pixels that take a change over inputs that changed, both as shares, where these lie side by side."""

LEAST_CHANGED = 0.05
"""Fewer changed inputs than this are not counted on."""


class CpuCosts(Strict):
    """Nanoseconds; see the module for what they are multiplied by.

    Measured on an x86-64 server core with AVX-512, layers of 1 to 256 channels, medians. A tensor of more than
    `cached` elements moves at `move_far`.
    """

    call: float = 900.0
    quantize: float = 0.2
    move: float = 0.08
    move_far: float = 0.25
    cached: int = 150_000
    write: float = 0.12
    pixel: float = 14.0
    segment: float = 4.0
    list: float = 0.3
    product: float = 0.12
    vector: float = 0.3
    spread: float = 0.2
    dense_vector: float = 0.16
    row: float = 0.035
    stock_call: float = 700.0
    stock_conv: float = 0.0095
    stock_depthwise: float = 0.05
    stock_fc: float = 0.035
    stock_gemm: float = 0.0095


def site_work(site: Site) -> LayerWork:
    """Of a site; of a recurrent layer, of one operand."""
    if site.geometry is None:
        return fc_work(site.rows, site.in_features, site.out_features)
    return conv_work(site.geometry, site.rows)


@dataclass(frozen=True)
class LayerWork:
    """What the terms are multiplied by, of one layer and frame.

    Parameters
    ----------
    kind : {"fc", "conv", "depthwise"}
        A recurrent layer counts as an FC of as many rows as it has steps.
    macs, inputs, outputs : int
    rows : int
        Of an FC: rows of x.
    pixels : int
        Of a CONV: output pixels, of all groups.
    segments : int
        Of a CONV: runs of inputs, side by side, that an output pixel reads.
    width : float
        Vectors of 16 outputs of a group.
    channels : int
        Of the input.
    """

    kind: Literal["fc", "conv", "depthwise"]
    macs: int
    inputs: int
    outputs: int
    rows: int = 1
    pixels: int = 0
    segments: int = 1
    width: float = 1.0
    channels: int = 1


def fc_work(rows: int, inputs: int, outputs: int) -> LayerWork:
    """Of an FC with `rows` rows of x, or of a recurrent operand with as many steps."""
    return LayerWork("fc", rows * inputs * outputs, rows * inputs, rows * outputs, rows)


def conv_work(geometry: ConvGeometry, batch: int) -> LayerWork:
    """Of a CONV."""
    pixels = batch * math.prod(geometry.out_shape)
    taps, group = math.prod(geometry.kernel), geometry.group
    per_group = geometry.out_channels // group
    depthwise = group > 1 and group == geometry.in_channels == geometry.out_channels
    across = 1 if geometry.dilations[-1] == 1 else geometry.kernel[-1]
    return LayerWork(
        kind="depthwise" if depthwise else "conv",
        macs=pixels * taps * geometry.in_channels // group * geometry.out_channels,
        inputs=batch * math.prod(geometry.in_shape) * geometry.in_channels,
        outputs=pixels * geometry.out_channels,
        pixels=pixels * (1 if depthwise else group),
        segments=math.prod(geometry.kernel[:-1]) * across,
        width=math.ceil((geometry.out_channels if depthwise else per_group) / _LANES),
        channels=geometry.in_channels,
    )


def stock_ns(work: LayerWork, costs: CpuCosts) -> float:
    """Nanoseconds of a frame in onnxruntime's operator, on one core."""
    each = {"conv": costs.stock_conv, "depthwise": costs.stock_depthwise}.get(
        work.kind, costs.stock_fc if work.rows < 4 else costs.stock_gemm
    )
    return costs.stock_call + each * work.macs


def reuse_ns(work: LayerWork, changed: float, costs: CpuCosts, *, side_by_side: bool = False) -> float:
    """Nanoseconds of a frame in the reuse kernel, on one core, where a share `changed` of the inputs changed, all over or
    `side_by_side`."""
    each = costs.call + costs.quantize * work.inputs + costs.write * work.outputs
    if work.kind == "fc":
        return each + changed * costs.row * work.macs
    move = costs.move if work.inputs + work.outputs <= costs.cached else costs.move_far
    each += move * ((work.inputs if work.channels > 1 else 0) + work.outputs)
    # Products of an input and a vector of outputs, the last one of a group filled or not.
    products = work.macs / max(work.outputs, 1) * (work.outputs if work.kind == "depthwise" else work.pixels)
    near = min(1.0, SIDE_BY_SIDE * changed) if side_by_side else 1.0
    vectors = 1 / _LANES if work.kind == "depthwise" else work.width
    dense = near * (costs.spread * work.inputs + products * costs.dense_vector * vectors)
    if work.kind == "depthwise":
        return each + (dense if changed else 0.0)
    sparse = near * work.pixels * (costs.pixel + costs.segment * work.segments) if changed else 0.0
    sparse += changed * (costs.list * work.inputs + products * (costs.product + costs.vector * work.width))
    return each + min(sparse, dense)


def break_even(work: LayerWork, costs: CpuCosts) -> float | None:
    """The share of unchanged inputs above which reuse pays; None where it never does."""
    stock = stock_ns(work, costs)
    low, high = 0.0, 1.0  # changed
    if reuse_ns(work, LEAST_CHANGED, costs) >= stock:
        return None
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if reuse_ns(work, middle, costs) < stock else (low, middle)
    return 1 - low
