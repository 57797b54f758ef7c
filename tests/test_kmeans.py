"""K-means centroids of a profile: 0.0 among them, the least error of their number, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.expected_step import expected_step, of_quantizer
from reuse_compiler.kmeans import kmeans_centroids
from reuse_compiler.quantizers import LinearQuantizer, TableQuantizer
from reuse_compiler.tensor_fold import Scratch, TensorFold
from reuse_compiler.tensor_profile import TensorProfile

Float = NDArray[np.float32]


def observed(values: Float) -> TensorProfile:
    """The profile of one frame."""
    fold = TensorFold(values.shape, None, Scratch())
    fold.add(values, start=True)
    return fold.profile()


def drawn(kind: str, size: int = 4_000) -> Float:
    generator = np.random.default_rng(7)
    values = {
        "normal": generator.standard_normal(size),
        "rectified": np.maximum(generator.standard_normal(size), 0),
        "heavy": generator.standard_normal(size) ** 3,
        "aside": generator.standard_normal(size) + 9,
        "large": generator.standard_normal(size) * 1e37,
    }[kind]
    return values.astype(np.float32)


def squared_error(values: Float, centroids: NDArray[np.float64]) -> float:
    distance = np.abs(values.astype(np.float64)[:, None] - centroids)
    return float(np.square(distance.min(axis=1)).sum())


@settings(max_examples=12, deadline=None)
@given(
    values=st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=60),
    clusters=st.integers(2, 20),
    seed=st.integers(0, 3),
)
def test_centroids_are_a_table_within_the_range(values: list[float], clusters: int, seed: int) -> None:
    tensor = observed(np.array(values, np.float32))
    centroids = kmeans_centroids(tensor, clusters, seed)
    low, high = tensor.value_range
    assert 0.0 in centroids
    assert 1 <= len(centroids) <= clusters + 1
    assert list(centroids) == sorted(set(centroids))
    assert centroids[0] >= low - 1e-4 and centroids[-1] <= high + 1e-4
    assert centroids == kmeans_centroids(tensor, clusters, seed)


@pytest.mark.parametrize("kind", ["normal", "rectified", "heavy", "aside", "large"])
@pytest.mark.parametrize("clusters", [4, 16, 64])
def test_the_error_is_below_that_of_equidistant_centroids(kind: str, clusters: int) -> None:
    values = drawn(kind)
    tensor = observed(values)
    centroids = np.array(kmeans_centroids(tensor, clusters))
    assert centroids.size <= clusters
    low, high = tensor.value_range
    equidistant = np.linspace(low, high, clusters)
    assert squared_error(values, centroids) < 0.9 * squared_error(values, equidistant)


@pytest.mark.parametrize("kind", ["normal", "rectified", "aside"])
def test_every_centroid_but_zero_is_the_mean_of_what_is_nearest_to_it(kind: str) -> None:
    values = drawn(kind)
    tensor = observed(values)
    quantizer = TableQuantizer(kmeans_centroids(tensor, 16))
    index = quantizer.quantize(values, np.zeros(values.shape, np.uint8))
    for number, centroid in enumerate(quantizer.centroids):
        if centroid and (index == number).any():
            assert values[index == number].mean() == pytest.approx(centroid, abs=2 * tensor.histogram.width)


def test_few_values_are_their_own_centroids() -> None:
    values = np.repeat(np.array([-1.5, 0.0, 0.25, 3.0], np.float32), 50)
    centroids = kmeans_centroids(observed(values), 16)
    assert centroids == pytest.approx((-1.5, 0.0, 0.25, 3.0), abs=1e-3)
    assert kmeans_centroids(observed(values), 4) == centroids


def test_the_expected_step_is_the_width_of_the_cells_where_the_values_are() -> None:
    tensor = observed(drawn("normal"))
    even = TableQuantizer(tuple(float(k) / 4 for k in range(-16, 17)))
    assert expected_step(even, tensor) == pytest.approx(0.25)
    assert expected_step(LinearQuantizer(0.125, 3, 9), tensor) == 0.125
    fine = TableQuantizer((-100.0, *(float(k) / 8 for k in range(-40, 41)), 100.0))
    assert expected_step(fine, tensor) == pytest.approx(0.125)


def test_what_is_read_for_a_table_is_an_estimate() -> None:
    reading = observed(drawn("normal")).similarity(0.5)
    assert not of_quantizer(reading, LinearQuantizer(0.5, 8, 17)).estimated
    assert of_quantizer(reading, TableQuantizer((0.0, 0.5))).estimated
