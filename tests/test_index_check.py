"""How far an input is from where a recorded index is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.index_check import distance_to_right
from reuse_compiler.quantizers import LinearQuantizer

CLUSTERS = 12


@st.composite
def cases(draw: st.DrawFn) -> tuple[LinearQuantizer, NDArray[np.float32], NDArray[Any], NDArray[Any]]:
    """A coarse quantizer of two channels, random inputs, and past and recorded indices that need not fit them."""
    step = draw(st.sampled_from([0.5, 0.3, 7.0]))
    shares = st.sampled_from([0.0, 0.3, 0.8, 1.2, 2.3])  # no band ends at an edge: a grid would miss that point
    deadband = draw(st.one_of(shares, st.tuples(shares, shares)))
    scaled = tuple(d * step for d in deadband) if isinstance(deadband, tuple) else deadband * step
    quantizer = LinearQuantizer(step, draw(st.integers(0, CLUSTERS - 1)), CLUSTERS, scaled)
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = ((generator.random((1, 2, 20)) - 0.5) * 3 * CLUSTERS * step).astype(np.float32)
    past, index = (generator.integers(0, CLUSTERS, x.shape).astype(np.uint8) for _ in range(2))
    return quantizer, x, past, index


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_distance_is_that_to_the_nearest_input_with_that_index(
    case: tuple[LinearQuantizer, NDArray[np.float32], NDArray[Any], NDArray[Any]],
) -> None:
    quantizer, x, past, index = case
    found = distance_to_right(quantizer, x, past, index, 1)
    reach = np.linspace(-60, 60, 12_001).astype(np.float32).reshape(-1, 1, 1, 1) * np.float32(quantizer.step)
    near = (x + reach).reshape(-1, 2, 20)
    right = quantizer.quantize(near, np.broadcast_to(past, (len(reach), 2, 20)), 1) == index
    searched = np.where(right.reshape(-1, *x.shape), np.abs(reach), np.inf).min(0)
    grid = 0.011 * quantizer.step
    assert ((found >= searched - grid) & (found <= searched + 1e-5 * quantizer.step)).all()


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_index_of_the_quantizer_is_right(
    case: tuple[LinearQuantizer, NDArray[np.float32], NDArray[Any], NDArray[Any]],
) -> None:
    quantizer, x, past, _ = case
    index = quantizer.quantize(x, past, 1)
    assert not distance_to_right(quantizer, x, past, index, 1).any()


def test_no_input_is_right_for_an_index_inside_the_band_of_another() -> None:
    quantizer = LinearQuantizer(1.0, 4, 9, deadband=3.0)
    x, past, index = np.array([0.2], np.float32), np.array([4], np.uint8), np.array([5], np.uint8)
    assert np.isinf(distance_to_right(quantizer, x, past, index, -1))


def test_both_neighbours_are_right_at_an_edge() -> None:
    quantizer = LinearQuantizer(0.1, 5000, 10_000)
    edges = (np.arange(-4000, 4000) + 0.5).astype(np.float32) * np.float32(0.1)
    past = np.full(edges.shape, 5000, np.uint16)
    for index in (np.arange(1000, 9000), np.arange(1001, 9001)):
        assert distance_to_right(quantizer, edges, past, index.astype(np.uint16), -1).max() < 1e-6 * 400
