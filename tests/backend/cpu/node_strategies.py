"""Hypothesis: shapes, quantizers and activations of one reuse node."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from reuse_compiler.operators import Activation, ConvAttributes
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from tests.backend.cpu.node_cases import NodeCase

ACTIVATIONS = [Activation(), Activation(0.0), Activation(0.25), Activation(0.0, 6.0), Activation(1.0, 0.5)]
# Around the vectors of every instruction set, and the blocks of them that the kernels take.
WIDTHS = st.one_of(
    st.integers(1, 20), st.sampled_from([24, 31, 32, 33, 47, 48, 63, 64, 65, 80, 96, 112, 127, 128, 129, 130])
)
SHARES = st.lists(st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.6, 1.0]), min_size=1, max_size=4)
_MOST_PRODUCTS = 2_000_000


@st.composite
def quantizers(draw: st.DrawFn, channels: int, exact: bool) -> Quantizer:
    """Of every kind; with `exact`, dyadic and of few clusters."""
    step = draw(st.sampled_from([2.0**-4, 0.5])) if exact else draw(st.floats(2.0**-7, 3.0, width=32))
    band = st.sampled_from([0.0, 0.25, 0.5, 0.75, 2.0]).map(lambda share: float(np.float32(share * step)))
    deadband = draw(st.one_of(st.just(0.0), band, st.lists(band, min_size=channels, max_size=channels).map(tuple)))
    if draw(st.integers(0, 3)) == 0:
        numbers = draw(st.sets(st.integers(-100, 100), min_size=1, max_size=40)) | {0, 101}
        return TableQuantizer(tuple(float(np.float32(number * step)) for number in sorted(numbers)), deadband)
    most = st.integers(2, 300) if exact else st.sampled_from([2, 16, 255, 256, 257, 1000, 65_535])
    clusters = draw(most)
    zero = draw(st.sampled_from([0, clusters // 2, clusters - 1]))
    return LinearQuantizer(step, zero, clusters, deadband)


@st.composite
def fc_cases(draw: st.DrawFn, exact: bool) -> NodeCase:
    """ReuseGemm of any size."""
    rows = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    inputs = draw(st.one_of(WIDTHS, st.sampled_from([255, 256, 257, 300, 700])))
    return NodeCase(
        (*rows, inputs),
        (inputs, draw(WIDTHS)),
        draw(quantizers(inputs, exact)),
        draw(st.sampled_from(ACTIVATIONS)),
        shares=draw(SHARES),
        exact=exact,
        seed=draw(st.integers(0, 999)),
    )


@st.composite
def conv_cases(draw: st.DrawFn, exact: bool) -> NodeCase:
    """ReuseConv of one to three spatial axes, of any group; with few channels where there are many products."""
    rank = draw(st.integers(1, 3))
    kernel, strides, dilations = (
        tuple(draw(st.lists(st.integers(1, most), min_size=rank, max_size=rank))) for most in (5, 3, 3)
    )
    pads = tuple(draw(st.lists(st.integers(0, 4), min_size=2 * rank, max_size=2 * rank)))
    sizes = []
    for axis in range(rank):
        least = max(1, dilations[axis] * (kernel[axis] - 1) + 1 - pads[axis] - pads[rank + axis])
        sizes.append(draw(st.integers(least, max(least, {1: 40, 2: 14, 3: 6}[rank]))))
    kind = draw(st.sampled_from(["whole", "whole", "groups", "depthwise", "multiplied"]))
    group = 1 if kind == "whole" else draw(st.sampled_from([2, 3, 4]) if kind == "groups" else WIDTHS)
    inputs, outputs = (1, 1) if kind == "depthwise" else (draw(WIDTHS), draw(WIDTHS))
    if kind == "multiplied":
        inputs, outputs = 1, 1 + outputs % 3
    batch = draw(st.integers(1, 2))
    while batch * np.prod(sizes) * np.prod(kernel) * group * inputs * outputs > _MOST_PRODUCTS and inputs * outputs > 1:
        inputs, outputs = (inputs + 1) // 2, (outputs + 1) // 2
    channels = group * inputs
    return NodeCase(
        (batch, channels, *sizes),
        (group * outputs, inputs, *kernel),
        draw(quantizers(channels, exact)),
        draw(st.sampled_from(ACTIVATIONS)),
        ConvAttributes(strides, pads, dilations, group),
        draw(SHARES),
        exact,
        draw(st.integers(0, 999)),
    )
