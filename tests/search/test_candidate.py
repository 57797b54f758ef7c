"""What the windows of a candidate promise of their quantizers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.quantizers import MAX_CLUSTERS, LinearQuantizer
from reuse_compiler.search.candidate import Candidate, Range, Window

ENDS = st.tuples(
    st.floats(-100, 0, width=32, allow_subnormal=False), st.floats(0.125, 100, width=32, allow_subnormal=False)
)
WINDOWS = st.builds(
    Window, width=st.floats(2**-20, 1), ratio=st.sampled_from([2.0, 1.4, 0.25]), spread=st.sampled_from([0.0, 0.5, 1.0])
)
SHAPE = (0.5, 1.0, 2.0)


def quantizer(window: Window, seen: Range = (-1.0, 2.0), shape: tuple[float, ...] = SHAPE) -> LinearQuantizer:
    return Candidate({"t": window}, {"t": shape}).quantizers({"t": seen})["t"]


@settings(max_examples=100)
@given(seen=ENDS, share=WINDOWS, shape=st.sampled_from([(1.0,), SHAPE]), seed=st.integers(0, 9))
def test_no_element_of_the_range_is_farther_than_its_width(
    seen: Range, share: Window, shape: tuple[float, ...], seed: int
) -> None:
    """From any past index, and for a quarter beyond what was seen too; 65,535 centroids may force a wider step."""
    peak = max(-seen[0], seen[1])
    window = Window(share.width * peak, share.ratio, share.spread)
    found = quantizer(window, seen, shape)
    generator = np.random.default_rng(seed)
    margin = 0.25 * (seen[1] - seen[0])
    low = seen[0] - margin if seen[0] < 0 else 0.0
    x = generator.uniform(low, seen[1] + margin, (200, len(shape))).astype(np.float32)
    x[0], x[1] = low, seen[1] + margin
    past = generator.integers(0, found.clusters, x.shape).astype(found.index_dtype)
    distance = np.abs(x - found.dequantize(found.quantize(x, past, -1)))
    spread = window.spread if window.ratio < 2 else 0.0
    widths = [max(window.width * part**spread, found.step / 2) for part in shape]
    assert (distance.max(axis=0) <= np.array(widths) * (1 + 1e-4) + 1e-5 * peak).all()


@settings(max_examples=100)
@given(seen=ENDS, share=st.floats(2**-30, 2**-10), ratio=st.sampled_from([2.0, 1.4, 0.25]))
def test_widths_grow_where_there_are_not_enough_centroids(seen: Range, share: float, ratio: float) -> None:
    window = Window(share * max(-seen[0], seen[1]), ratio, 0.0)
    found = quantizer(window, seen)
    finest = 1.25 * (seen[1] - seen[0]) / MAX_CLUSTERS
    assert found.clusters <= MAX_CLUSTERS
    assert found.step >= max(ratio * window.width, finest) * (1 - 1e-6)
    assert found.step <= max(ratio * window.width, 2 * finest) * (1 + 1e-6)
    if ratio < 2:
        assert found.deadband == pytest.approx(max(window.width, found.step / 2))


def test_a_range_of_one_sign_has_no_centroids_on_the_other() -> None:
    assert quantizer(Window(0.1, 2.0), (0.0, 4.0)).zero == 0
    below = quantizer(Window(0.1, 2.0), (-4.0, 0.0))
    assert below.zero == below.clusters - 1


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_a_ratio_of_2_has_no_memory(spread: float) -> None:
    found = quantizer(Window(0.125, 2.0, spread))
    assert not found.has_memory
    assert found.step == 0.25


def test_without_spread_channels_share_one_deadband() -> None:
    found = quantizer(Window(0.125, 0.5, 0.0))
    assert (found.step, found.deadband) == (0.0625, 0.125)


def test_with_spread_each_channel_has_its_share_of_the_width() -> None:
    """The step is by the narrowest, which then is nearer than its width wherever it moves."""
    found = quantizer(Window(0.25, 0.5, 1.0))
    assert (found.step, found.deadband) == (0.0625, (0.125, 0.25, 0.5))
    assert quantizer(Window(0.25, 0.5, 2.0)).deadband == (0.0625, 0.25, 1.0)
    assert quantizer(Window(0.25, 0.5, 1.0), shape=(1.0,)).deadband == 0.25


def test_a_tensor_without_a_shape_has_one_deadband() -> None:
    found = Candidate({"t": Window(0.25, 0.5, 1.0)}).quantizers({"t": (-1.0, 1.0)})["t"]
    assert found.deadband == 0.25


def test_scaling_moves_all_widths_and_moving_some() -> None:
    shapes = {"a": SHAPE}
    candidate = Candidate({"a": Window(1.0, 2.0), "b": Window(0.25, 0.7, 0.0)}, shapes)
    assert candidate.scaled(-1) == Candidate({"a": Window(0.5, 2.0), "b": Window(0.125, 0.7, 0.0)}, shapes)
    assert candidate.moved({"b": 2}) == Candidate({"a": Window(1.0, 2.0), "b": Window(1.0, 0.7, 0.0)}, shapes)
    assert candidate.moved({}) == candidate
    assert candidate.with_windows({"a": Window(3.0, 1.4)}).windows["a"] == Window(3.0, 1.4)
    assert candidate.widths == {"a": 1.0, "b": 0.25}
