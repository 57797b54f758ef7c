"""Grids, histograms and readings: what is counted is what a reader gets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from reuse_compiler.errors import PlanError
from reuse_compiler.tensor_profile import (
    BINS,
    CODES,
    FINEST_LEVEL,
    HISTOGRAM_LEVEL,
    LEVELS,
    SMALLEST_EXPONENT,
    Histogram,
    TensorProfile,
    drop_levels,
    effective_step,
    exponent_of,
    origin,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
EXPONENTS = st.integers(-20, 20)


def cell(x: float, exponent: int) -> int:
    return math.floor(math.ldexp(x, -exponent) + origin(exponent))


def histogram_of(values: NDArray[Any], exponent: int) -> Histogram:
    cells = [cell(float(x), exponent - HISTOGRAM_LEVEL) + BINS // 2 for x in values]
    return Histogram.of(exponent, np.bincount(cells, minlength=BINS))


def tensor(changes: list[int], *, exponent: int = 0, size: int = 10) -> TensorProfile:
    """A tensor of one class and one frame that changed like this."""
    return TensorProfile(
        shape=(1, size),
        frames=1,
        minimum=-1.0,
        maximum=0.5,
        zeros=0,
        histogram=Histogram.of(exponent, np.zeros(BINS, np.int64)),
        classes=np.array([size]),
        changes=np.array([changes + [0] * (CODES - len(changes))]),
    )


@given(FLOATS, FLOATS, EXPONENTS)
def test_elements_of_one_cell_share_the_cell_of_every_coarser_grid(x: float, y: float, exponent: int) -> None:
    if cell(x, exponent) == cell(y, exponent):
        assert cell(x, exponent + 1) == cell(y, exponent + 1)


@given(EXPONENTS)
def test_zero_is_a_third_of_a_cell_from_the_nearest_edge(exponent: int) -> None:
    near, far = 0.33 * 2.0**exponent, 0.34 * 2.0**exponent
    assert cell(near, exponent) == cell(-near, exponent) == cell(0.0, exponent)
    assert cell(far, exponent) != cell(0.0, exponent) or cell(-far, exponent) != cell(0.0, exponent)


@given(FLOATS)
def test_the_exponent_is_the_smallest_that_holds_the_peak(x: float) -> None:
    peak = abs(x)
    exponent = exponent_of(peak)
    for value in (peak, -peak):
        assert 0 <= cell(value, exponent - HISTOGRAM_LEVEL) + BINS // 2 < BINS
    if exponent > SMALLEST_EXPONENT:
        assert peak * (BINS // 2) / (BINS // 2 - 1) >= 2.0 ** (exponent - 1)


@given(st.lists(st.floats(-0.99, 0.99), max_size=20), st.integers(0, 14))
def test_a_widened_histogram_is_the_one_of_the_wider_range(values: list[float], octaves: int) -> None:
    narrow, wide = histogram_of(np.array(values), 0), histogram_of(np.array(values), octaves)
    assert narrow.widened(octaves).model_dump_json() == wide.model_dump_json()


@given(st.lists(st.floats(-0.99, 0.99), max_size=20), st.lists(st.floats(-60, 60), max_size=20))
def test_merged_histograms_are_the_histogram_of_all_values(first: list[float], second: list[float]) -> None:
    merged = histogram_of(np.array(first), 0).merge(histogram_of(np.array(second), 6))
    assert merged.model_dump_json() == histogram_of(np.array(first + second), 6).model_dump_json()
    assert merged.total == len(first) + len(second)


@given(st.floats(-0.99, 0.99), st.integers(0, 3))
def test_the_middle_of_a_bin_is_within_half_a_width_of_its_values(x: float, exponent: int) -> None:
    histogram = histogram_of(np.array([x]), exponent)
    assert histogram.counts.tolist() == [1]
    assert abs(histogram.centres()[0] - x) <= 0.5001 * histogram.width


def test_a_step_of_the_ladder_is_read_as_counted() -> None:
    seen = tensor([4, 1, 2, 3])
    finest = 2.0**-FINEST_LEVEL
    readings = [seen.similarity(step) for step in (finest, 2 * finest, 4 * finest)]
    assert [reading.value for reading in readings] == pytest.approx([0.5, 0.7, 1.0])
    assert not any(reading.interpolated or reading.estimated for reading in readings)


def test_between_two_steps_the_reading_is_interpolated_in_the_logarithm() -> None:
    reading = tensor([4, 1, 2, 3]).similarity(2.0**-FINEST_LEVEL * 2**0.25)
    assert reading.value == pytest.approx(0.5 + 0.25 * 0.2)
    assert reading.interpolated


def test_below_the_ladder_only_exactly_unchanged_elements_are_alike() -> None:
    reading = tensor([4, 1, 2, 3]).similarity(2.0 ** -(FINEST_LEVEL + 1))
    assert reading.value == pytest.approx(0.4)
    assert reading.interpolated


def test_above_the_ladder_nothing_changes() -> None:
    assert tensor([0] * (CODES - 1) + [10]).similarity(2.0**1).value == 0
    assert tensor([0] * (CODES - 1) + [10]).similarity(2.0**2).value == 1
    assert tensor([0] * (CODES - 1) + [10]).similarity(2.0**30).value == 1


@given(st.lists(st.integers(0, 9), min_size=CODES, max_size=CODES), st.floats(1e-9, 8), st.floats(1, 8))
def test_a_coarser_step_changes_no_more(changes: list[int], step: float, factor: float) -> None:
    seen = tensor(changes, size=max(sum(changes), 1)) if sum(changes) else tensor([1], size=1)
    assert seen.similarity(step * factor).value >= seen.similarity(step).value - 1e-12


def test_a_deadband_reads_as_a_window_of_its_width_and_is_marked() -> None:
    seen = tensor([4, 1, 2, 3])
    step = 2.0**-FINEST_LEVEL
    assert effective_step(step, 0.4 * step) == step
    reading = seen.similarity(step, deadband=step)
    assert reading.value == seen.similarity(2 * step).value
    assert reading.estimated


def test_at_a_step_of_zero_every_inexact_element_counts() -> None:
    reading = tensor([4, 1, 2, 3]).similarity(0.0)
    assert reading.value == pytest.approx(0.4)
    assert not reading.interpolated


@pytest.mark.parametrize("step", [-1.0, math.inf, math.nan])
def test_a_step_must_be_a_finite_number_of_zero_or_more(step: float) -> None:
    with pytest.raises(PlanError, match="0 or more"):
        tensor([10]).similarity(step)


def test_the_step_of_clusters_divides_the_range_with_zero_in_it() -> None:
    assert tensor([10]).step(4) == pytest.approx(0.5)
    positive = tensor([10]).model_copy(update={"minimum": 0.25, "maximum": 1.0})
    assert positive.step(5) == pytest.approx(0.25)


@given(st.lists(st.integers(0, 9), min_size=CODES, max_size=CODES), st.integers(0, 40), st.integers(0, 40))
def test_levels_are_dropped_one_by_one_or_at_once(changes: list[int], first: int, second: int) -> None:
    counts = np.array([changes])
    assert np.array_equal(drop_levels(drop_levels(counts, first), second), drop_levels(counts, first + second))
    assert drop_levels(counts, first).sum() == counts.sum()
    assert drop_levels(counts, LEVELS)[0, :2].tolist() == [changes[0], sum(changes[1:])]


def test_tensors_of_other_shapes_do_not_merge() -> None:
    with pytest.raises(PlanError, match=r"\[1, 10\] and \[1, 12\]"):
        tensor([10]).merge(tensor([12], size=12))


@pytest.mark.parametrize(
    "change",
    [
        {"changes": [[3] * CODES]},
        {"changes": [[10]]},
        {"changes": [[-1, 11] + [0] * (CODES - 2)]},
        {"classes": [9]},
        {"frames": 0},
        {"minimum": math.nan},
        {"histogram": {"exponent": 0, "first": BINS - 1, "counts": [1, 1]}},
        {"histogram": {"exponent": 0, "first": 0, "counts": [-1]}},
        {"histogram": {"exponent": 1000, "first": 0, "counts": []}},
    ],
)
def test_counts_that_do_not_add_up_are_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TensorProfile.model_validate(tensor([10]).model_dump() | change)
