"""CONV nodes into ReuseConv: geometry written out, weights as they are."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest

from reuse_compiler.frontend import Model
from reuse_compiler.operators import read_conv
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan

Load = Callable[..., Model]
PlanFor = Callable[..., Plan]
Same = Callable[[Model, ir.Model], None]

CONV = """
net (float[1, 4, 10, 8] x) => (float[M, N, H, W] y) {
    y = Conv <group = 2, strides = [2, 1], dilations = [1, 2], PADDING> (x, W, B)
}"""


@pytest.mark.parametrize(
    ("padding", "pads"),
    [
        ("pads = [1, 0, 2, 3]", (1, 0, 2, 3)),
        ('auto_pad = "VALID"', (0, 0, 0, 0)),
        ('auto_pad = "SAME_UPPER"', (0, 2, 1, 2)),
        ('auto_pad = "SAME_LOWER"', (1, 2, 0, 2)),
    ],
)
def test_a_conv_keeps_its_geometry_with_pads_written_out(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same, padding: str, pads: tuple[int, ...]
) -> None:
    model = load(CONV.replace("PADDING", padding), W=(6, 2, 3, 3), B=(6,))
    reuse = rewrite(model, plan_for(model))
    [node] = reuse.graph
    assert read_conv(node).pads == pads
    assert read_conv(node).strides == (2, 1) and read_conv(node).dilations == (1, 2) and read_conv(node).group == 2
    assert_same_on_centroids(model, reuse)


@pytest.mark.parametrize("rank", [1, 3])
def test_conv_of_other_ranks_and_without_bias(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same, rank: int
) -> None:
    text = f"net (float[{', '.join(['1', '2', *['6'] * rank])}] x) => (float[{', '.join('ABCDE'[: rank + 2])}] y)"
    model = load(text + "{ y = Conv (x, W) }", W=(3, 2, *(3,) * rank))
    assert_same_on_centroids(model, rewrite(model, plan_for(model)))
