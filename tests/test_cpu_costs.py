"""The costs that decide where reuse pays on a CPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.cpu_costs import CpuCosts, break_even, conv_work, fc_work, reuse_ns, stock_ns
from reuse_compiler.geometry import ConvGeometry

COSTS = CpuCosts()


def geometry(channels: int, outputs: int, size: int, kernel: int = 3, group: int = 1) -> ConvGeometry:
    pads = (kernel // 2, kernel // 2)
    square = (kernel, kernel)
    return ConvGeometry(channels, outputs, group, (size, size), square, (1, 1), (1, 1), pads, pads)


def test_the_work_of_a_conv_is_its_own() -> None:
    work = conv_work(geometry(64, 40, 20), 2)
    assert (work.kind, work.macs) == ("conv", 2 * 20 * 20 * 9 * 64 * 40)
    assert (work.inputs, work.outputs, work.pixels) == (2 * 400 * 64, 2 * 400 * 40, 800)
    assert (work.segments, work.width) == (3, 3)


def test_depthwise_layers_and_those_of_few_channels_never_pay() -> None:
    assert break_even(conv_work(geometry(64, 64, 40, group=64), 1), COSTS) is None
    assert break_even(conv_work(geometry(3, 16, 100), 1), COSTS) is None


def test_large_products_pay_early_and_small_ones_never() -> None:
    large = break_even(fc_work(1, 4096, 4096), COSTS)
    conv = break_even(conv_work(geometry(256, 256, 14), 1), COSTS)
    assert large is not None and conv is not None and large < 0.2 < conv < 1
    assert break_even(fc_work(1, 10, 10), COSTS) is None


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 60), st.sampled_from([1, 3, 5]), st.floats(0.06, 1.0))
def test_more_changes_never_cost_less_and_a_break_even_is_one(
    channels: int, outputs: int, size: int, kernel: int, changed: float
) -> None:
    work = conv_work(geometry(channels, outputs, size, kernel), 1)
    assert reuse_ns(work, 0.05, COSTS) <= reuse_ns(work, changed, COSTS)
    assert reuse_ns(work, changed, COSTS, side_by_side=True) <= reuse_ns(work, changed, COSTS)
    assert reuse_ns(work, 1.0, COSTS, side_by_side=True) == reuse_ns(work, 1.0, COSTS)
    unchanged = break_even(work, COSTS)
    if unchanged is None:
        assert reuse_ns(work, changed, COSTS) >= stock_ns(work, COSTS)
    elif 0.01 < unchanged < 0.94:
        assert reuse_ns(work, 1 - unchanged, COSTS) == pytest.approx(stock_ns(work, COSTS), rel=1e-3)
