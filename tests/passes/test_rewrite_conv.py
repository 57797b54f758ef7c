"""CONV nodes into ReuseConv and ReuseConvTranspose: geometry written out, weights as they are."""

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


@pytest.mark.parametrize(
    ("shape", "weight", "attributes"),
    [
        ("2, 4, 5", (4, 3, 4), "group = 2, strides = [3], pads = [1, 0], output_padding = [2]"),
        ("1, 4, 5, 3", (4, 6, 3, 2), "strides = [2, 1], pads = [1, 0, 2, 0], dilations = [1, 2]"),
        ("1, 2, 3, 2, 3", (2, 3, 2, 2, 1), "strides = [2, 2, 2], output_padding = [1, 0, 1]"),
    ],
)
def test_a_transposed_convolution_keeps_its_geometry(
    load: Load, plan_for: PlanFor, assert_same_on_centroids: Same, shape: str, weight: tuple[int, ...], attributes: str
) -> None:
    out = ", ".join("ABCDE"[: len(weight)])
    text = f"net (float[{shape}] x) => (float[{out}] y) {{ y = ConvTranspose <{attributes}> (x, W, B) }}"
    group = 2 if "group" in attributes else 1
    model = load(text, W=weight, B=(weight[1] * group,))
    reuse = rewrite(model, plan_for(model))
    [node] = reuse.graph
    assert node.op_type == "ReuseConvTranspose"
    conv = read_conv(node)
    assert conv.group == group and len(conv.output_padding or ()) == len(weight) - 2
    assert_same_on_centroids(model, reuse)


def test_images_of_a_batch_are_convolved_alike(load: Load, plan_for: PlanFor, assert_same_on_centroids: Same) -> None:
    model = load("net (float[3, 2, 5, 4] x) => (float[3, 4, 4, 3] y) { y = Conv (x, W, B) }", W=(4, 2, 2, 2), B=(4,))
    assert_same_on_centroids(model, rewrite(model, plan_for(model)))
