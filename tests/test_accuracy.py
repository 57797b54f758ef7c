"""Loss against fp32, folded frame by frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.accuracy import Deviation, OutputError


def error_of(exact: NDArray[Any], values: NDArray[Any]) -> OutputError:
    error = OutputError()
    for reference, value in zip(exact, values, strict=True):
        error.add(reference, value)
    return error


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 20), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_folding_frames_is_the_error_of_the_stream(seed: int, frames: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    exact = generator.normal(3, scale, (frames, 1, 7)).astype(np.float32)
    values = exact + generator.normal(0, scale / 10, exact.shape).astype(np.float32)
    error = error_of(exact, values)
    difference = values.astype(np.float64) - exact
    assert error.rmse == pytest.approx(np.sqrt(np.mean(difference**2)))
    assert error.relrmse == pytest.approx(error.rmse / np.std(exact, dtype=np.float64), rel=1e-6)
    assert error.max_abs == np.abs(difference).max()


def test_one_less_r_squared_is_its_square() -> None:
    exact, values = np.array([[1.0], [2.0], [4.0]]), np.array([[1.5], [2.0], [3.0]])
    r2 = 1 - np.sum((values - exact) ** 2) / np.sum((exact - exact.mean()) ** 2)
    assert error_of(exact, values).relrmse ** 2 == pytest.approx(1 - r2)


def test_an_output_that_never_varies_is_held_against_its_size() -> None:
    error = error_of(np.full((4, 2), 10.0), np.full((4, 2), 11.0))
    assert error.relrmse == pytest.approx(0.1)
    assert (error.rmse, error.max_abs) == (1.0, 1.0)
    for value in (0.3, 7.7, 1e5 / 3):  # rounding leaves a tiny variance of the sums
        error = error_of(np.full((1000, 3), value), np.full((1000, 3), value * 1.001))
        assert error.relrmse == pytest.approx(1e-3)
    assert error_of(np.zeros((4, 2)), np.ones((4, 2))).relrmse == math.inf
    assert error_of(np.zeros((4, 2)), np.zeros((4, 2))).relrmse == 0.0


def test_nothing_is_perfect_and_empty_outputs_count_nothing() -> None:
    assert Deviation().relrmse == 0.0
    error = error_of(np.zeros((3, 0), np.float32), np.zeros((3, 0), np.float32))
    assert (error.relrmse, error.rmse, error.max_abs) == (0.0, 0.0, 0.0)


def test_what_is_not_finite_is_no_small_error() -> None:
    exact = np.array([[0.0, 1.0], [2.0, 3.0]])
    broken = exact.copy()
    broken[0, 0] = np.nan
    error = error_of(exact, broken)
    assert (error.relrmse, error.rmse, error.max_abs) == (math.inf, math.inf, math.inf)
    assert error_of(broken, exact).relrmse == math.inf
    assert error_of(broken, broken).relrmse == 0.0
    scalar = np.array([np.nan])
    assert error_of(scalar, np.zeros(1)).relrmse == math.inf


def test_an_output_of_another_shape_is_no_small_error() -> None:
    error = error_of(np.ones((2, 3)), np.ones((2, 2)))
    assert (error.relrmse, error.rmse, error.max_abs) == (math.inf, math.inf, math.inf)
    assert error_of(np.ones((1, 0)), np.ones((1, 2))).relrmse == math.inf


def test_outputs_that_are_no_arrays_of_floats_are_left_out() -> None:
    deviation = Deviation()
    deviation.add({"words": np.array(["a"], object), "sequence": [np.ones(2)], "labels": np.ones(2, np.int64)}, {})
    assert not deviation.outputs


def test_infinities_that_agree_are_no_error() -> None:
    exact = np.array([[np.inf, 1.0], [-np.inf, 3.0]])
    error = error_of(exact, exact)
    assert (error.relrmse, error.max_abs) == (0.0, 0.0)
    assert error_of(exact, -exact).relrmse == math.inf


def test_float_outputs_count_and_the_worst_is_the_loss() -> None:
    deviation = Deviation()
    for value in (1.0, 3.0):
        exact = {"a": np.array([value]), "b": np.array([value], np.float32), "label": np.array([7])}
        deviation.add(exact, {"a": np.array([value]), "b": np.array([value + 0.5]), "label": np.array([1])})
    assert list(deviation.outputs) == ["a", "b"]
    assert deviation.outputs["a"].relrmse == 0.0
    assert deviation.relrmse == deviation.outputs["b"].relrmse == 0.5
