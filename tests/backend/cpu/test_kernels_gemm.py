"""The native kernel of ReuseGemm against its function body in stock onnxruntime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from reuse_compiler.operators import Activation
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from tests.backend.cpu.node_cases import (
    PAST,
    PRESENT,
    NodeCase,
    assert_close,
    assert_same,
    expected_indices,
    kernels_under_test,
    prepare,
    run_body,
    run_in_place,
    run_native,
)
from tests.backend.cpu.node_strategies import fc_cases

pytestmark = pytest.mark.skipif(kernels_under_test() is None, reason="the native kernels are not built")
LINEAR = LinearQuantizer(0.125, 100, 201)
LARGE = [
    NodeCase((1, 600), (600, 4000), LINEAR),
    NodeCase((3, 257), (257, 2500), replace(LINEAR, deadband=0.25), Activation(0.0)),
    NodeCase((1, 3000), (3000, 1100), LinearQuantizer(0.01, 1000, 2001), shares=(1.0, 0.9, 0.2)),
]
"""Enough work for several threads, and for sums in several parts."""


@settings(max_examples=120)
@given(fc_cases(exact=False))
def test_indices_are_those_of_the_body_and_values_within_rounding(case: NodeCase) -> None:
    prepared = prepare(case)
    found = run_native(prepared)
    assert_close(found, run_body(prepared))
    for number, index in enumerate(expected_indices(case, prepared)):
        np.testing.assert_array_equal(found[number][PRESENT["index"]], index)


@settings(max_examples=80)
@given(fc_cases(exact=True))
def test_where_all_sums_are_exact_every_bit_is_that_of_the_body(case: NodeCase) -> None:
    prepared = prepare(case)
    assert_same(run_native(prepared), run_body(prepared))


@settings(max_examples=30)
@given(fc_cases(exact=False))
def test_state_in_one_buffer_changes_nothing(case: NodeCase) -> None:
    prepared = prepare(case)
    assert_same(run_in_place(prepared), run_native(prepared))


@pytest.mark.parametrize("case", LARGE, ids=NodeCase.name)
def test_results_do_not_depend_on_the_threads(case: NodeCase) -> None:
    prepared = prepare(case)
    alone = run_native(prepared)
    assert_close(alone, run_body(prepared))
    for threads in (2, 3):
        assert_same(run_native(prepared, threads), alone)
        assert_same(run_in_place(prepared, threads), alone)


@pytest.mark.parametrize("deadband", [0.0, 0.2, 0.7, "mixed"])
@pytest.mark.parametrize(("step", "clusters"), [(0.125, 200), (0.1, 65_535), (1e-3, 5000), (7e5, 256)])
def test_where_long_stretches_stand_still_indices_are_those_of_numpy(
    step: float, clusters: int, deadband: float | str
) -> None:
    """A stretch in which nothing changes is looked at more quickly than one in which something does: what lies between two
    centroids, or an ulp beside, must not be missed there."""
    inputs, generator = 20_003, np.random.default_rng(clusters)
    step = float(np.float32(step))
    bands = generator.choice([0.0, 0.3, 0.9], inputs) if isinstance(deadband, str) else np.array([deadband])
    quantizer = LinearQuantizer(step, clusters // 3, clusters, tuple(bands * step))
    case = NodeCase((1, inputs), (inputs, 1), quantizer)
    held = generator.integers(0, clusters, inputs)
    frames = []
    for _ in range(8):
        jumps = generator.random(inputs) < 1e-3
        held = np.where(jumps, generator.integers(0, clusters, inputs), held)
        x = quantizer.dequantize(held.astype(quantizer.index_dtype))
        middle = x + np.float32(step) * generator.choice(np.array([-0.5, 0.5], np.float32), inputs)
        for _ in range(3):
            middle = np.nextafter(middle, generator.choice(np.array([-np.inf, 0, np.inf], np.float32), inputs))
        near = x + np.float32(step * 0.45) * generator.uniform(-1, 1, inputs).astype(np.float32)
        frames.append({"x": np.where(generator.random(inputs) < 2e-3, middle, near).reshape(1, -1).astype(np.float32)})
    prepared = replace(prepare(case), frames=frames)
    for found, index in zip(run_native(prepared), expected_indices(case, prepared), strict=True):
        np.testing.assert_array_equal(found[PRESENT["index"]], index)


@pytest.mark.parametrize("quantizer", [LINEAR, TableQuantizer((-2.0, -0.5, 0.0, 1.0), 0.25)])
def test_a_past_index_beyond_the_clusters_is_corrected_as_numpy_reads_it(quantizer: Quantizer) -> None:
    case = NodeCase((2, 50), (50, 20), quantizer, exact=True)
    prepared = prepare(case)
    prepared.state[PAST["index"]][:] = 250
    for found, index in zip(run_native(prepared), expected_indices(case, prepared), strict=True):
        np.testing.assert_array_equal(found[PRESENT["index"]], index)
        assert np.isfinite(found[PRESENT["linear"]]).all()


def test_a_past_index_beyond_the_clusters_is_corrected_where_all_stands_still_too() -> None:
    case = NodeCase((1, 400), (400, 20), LINEAR, exact=True)
    prepared = prepare(case)
    x = np.zeros((1, 400), np.float32)
    x[:, 200:] = np.float32((250 - LINEAR.zero) * LINEAR.step)
    prepared = replace(prepared, frames=[{"x": x}])
    prepared.state[PAST["index"]][:, 200:] = 250
    [found] = run_native(prepared)
    np.testing.assert_array_equal(found[PRESENT["index"]], expected_indices(case, prepared)[0])
