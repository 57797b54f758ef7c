"""What a candidate uses of a budget, and what its errors make likely."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import nbinom

from reuse_compiler.budget import parse_budget
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.metrics import Judge
from reuse_compiler.search.risk import Flips, Risk, allowance

Array = NDArray[np.float64]

OUTPUTS = [TensorSpec("y", (2, 7), np.dtype(np.float32))]
ERRORS: dict[str, Callable[[np.random.Generator, float, tuple[int, ...]], Array]] = {
    "laplace": lambda generator, rms, shape: generator.laplace(0, rms / np.sqrt(2), shape),
    "normal": lambda generator, rms, shape: generator.normal(0, rms, shape),
}


def flips(margins: Array, errors: Array) -> Flips:
    found = Flips()
    found.add(margins, errors)
    return found


def risk(
    text: str,
    reference: Array,
    values: Array,
    *,
    scale: float = 1.0,
    recorded: int = 100,
    labels: NDArray[np.int64] | None = None,
) -> Risk:
    bounds = parse_budget(text, OUTPUTS)
    found = Risk(bounds, [scale] * len(bounds), Judge(bounds), recorded)
    for number, (exact, value) in enumerate(zip(reference, values, strict=True)):
        known = {} if labels is None else {"__labels__": labels[number]}
        found.add({"y": exact.astype(np.float32), **known}, {"y": value.astype(np.float32)})
    return found


# --------------------------------------------------------------------------------------------------------------- flips


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("rms", [0.003, 0.03, 0.3])
def test_it_expects_about_as_many_as_errors_turn(kind: str, rms: float) -> None:
    """Within a factor of 3, of margins spread evenly from 0 to 1."""
    generator = np.random.default_rng(0)
    margins = generator.uniform(0, 1, 20_000)
    expected = flips(margins, ERRORS[kind](generator, rms, margins.shape)).expected
    turned = np.mean([(ERRORS[kind](generator, rms, margins.shape) < -margins).sum() for _ in range(20)])
    assert turned / 3 < expected < 3 * turned


def test_it_expects_some_before_any_is_turned() -> None:
    """Errors of a tenth of the nearest margin, and of a third of it."""
    generator = np.random.default_rng(0)
    margins = generator.uniform(0.5, 1, 1000)
    small = flips(margins, generator.laplace(0, 0.05 / np.sqrt(2), margins.shape)).expected
    large = flips(margins, generator.laplace(0, 0.15 / np.sqrt(2), margins.shape)).expected
    assert 0 < small < 0.1 < large < 30


@given(seed=st.integers(0, 99), scale=st.floats(1e-3, 10), factor=st.floats(1, 10))
def test_larger_errors_turn_more(seed: int, scale: float, factor: float) -> None:
    generator = np.random.default_rng(seed)
    margins, errors = generator.exponential(1, 50), generator.normal(0, scale, 50)
    assert flips(margins, factor * errors).expected >= flips(margins, errors).expected
    assert flips(margins, errors).expected <= len(margins) / 2 * (1 + 1e-9)


def test_without_errors_or_decisions_none_is_expected() -> None:
    margins = np.array([0.0, 1e-30, 0.5, 3.0])
    assert flips(margins, np.zeros(4)).expected == 0
    assert flips(margins, np.zeros(4)).near(0.1) == 0
    assert flips(np.zeros(0), np.zeros(0)).expected == 0
    assert flips(np.zeros(0), np.zeros(0)).near(0.1) == 0


def test_what_is_no_number_turns_half() -> None:
    assert flips(np.array([0.5, 0.5]), np.array([np.nan, np.inf])).expected == pytest.approx(1)


def test_frames_add_up() -> None:
    generator = np.random.default_rng(0)
    margins, errors = generator.exponential(1, (2, 500)), generator.normal(0, 0.3, (2, 500))
    found = Flips()
    for margin, error in zip(margins, errors, strict=True):
        found.add(margin, error)
    assert found.expected == pytest.approx(flips(margins, errors).expected)


def test_errors_near_the_threshold_are_in_proportion_to_errors() -> None:
    generator = np.random.default_rng(0)
    margins, errors = generator.uniform(0, 1, 2000), generator.normal(0, 0.01, 2000)
    near = flips(margins, errors).near(2.0)
    assert flips(margins, 2 * errors).near(2.0) == pytest.approx(2 * near)
    assert flips(margins, np.where(margins > 0.9, 2, 1) * errors).near(2.0) < 1.1 * near
    assert flips(margins, errors).near(20.0) < near  # of what turns more


# ---------------------------------------------------------------------------------------------------------------- risk


METRICS = (
    "relrmse<=0.2",
    "rmse<=0.2",
    "sqnr>=10",
    "argmax<=0.1",
    "top5<=0.1",
    "decision@0.25<=0.1",
    "f1@0.25<=0.1",
    "f1@0.25~0.1:y[1,2:]<=0.1",
    "decision@0.25:y[0,1]<=0.1",
    "argmax~0.5<=0.1",
    "labels.argmax<=0.1",
    "labels.top5<=0.1",
)


@pytest.mark.parametrize("text", METRICS)
@pytest.mark.parametrize("rms", [0.0, 0.01, 0.3])
def test_caution_is_at_least_as_strict(text: str, rms: float) -> None:
    """Strict is the share of the limit that is used; without errors neither is anything."""
    generator = np.random.default_rng(2)
    reference = generator.standard_normal((30, 2, 7)).astype(np.float32).astype(np.float64)
    values = reference + generator.normal(0, rms, reference.shape)
    labels = reference.argmax(-1)
    found = risk(text, reference, values, scale=float(reference.var()), labels=labels)
    judge = Judge(parse_budget(text, OUTPUTS))
    for exact, value, label in zip(reference, values, labels, strict=True):
        judge.add({"y": exact.astype(np.float32), "__labels__": label}, {"y": value.astype(np.float32)})
    assert found.strict == pytest.approx(judge.excess, rel=1e-2)
    assert found.cautious >= found.strict
    if rms == 0:
        assert (found.cautious, found.error) == (0, 0)
    else:
        assert found.error > 0


@pytest.mark.parametrize("text", [text for text in METRICS if text[:3] in ("rel", "rms", "sqn")])
def test_errors_are_taken_as_they_are(text: str) -> None:
    reference = np.random.default_rng(2).standard_normal((30, 2, 7))
    found = risk(text, reference, reference + 0.1)
    assert found.cautious == found.strict


@pytest.mark.parametrize("text", ["relrmse<=0.5", "sqnr>=6.0206"])
def test_relative_errors_are_by_the_scale_of_the_whole_recording(text: str) -> None:
    """A part in which little happens is judged by the same measure."""
    still = np.zeros((10, 2, 7))
    found = risk(text, still, still + 0.5, scale=4.0)
    assert found.strict == pytest.approx(0.5, rel=1e-3)
    assert found.error == pytest.approx(0.25)


def test_of_what_is_constant_in_the_recording_there_is_no_relative_error() -> None:
    still = np.zeros((10, 2, 7))
    assert risk("decision@9<=0.5", still, still + 0.5, scale=0.0).cautious < 0.1


@pytest.mark.parametrize("text", [text for text in METRICS if text[:3] not in ("rel", "rms", "sqn")])
def test_outputs_that_are_counted_err_by_a_tenth_of_their_deviation_at_most(text: str) -> None:
    """Even where no decision is turned, nor near it: a recording does not show everything."""
    reference = np.tile(np.array([8.0, 1, -1, -2, -3, -4, -5]), (40, 2, 1)) * 100
    values = reference * 1.002
    labels = np.zeros((40, 2), np.int64)
    index = parse_budget(text, OUTPUTS)[0].index
    error = np.sqrt(np.mean((values - reference)[(slice(None), *index)] ** 2))
    found = risk(text, reference, values, scale=float((5 * error) ** 2), labels=labels)
    assert found.strict == 0
    assert found.cautious == pytest.approx(2, rel=1e-2)
    small = risk(text, reference, values, scale=float((20 * error) ** 2), labels=labels)
    assert small.cautious == pytest.approx(0.5, rel=1e-2)


@pytest.mark.parametrize(("error", "fits"), [(0.01, True), (0.3, False)])
def test_where_nothing_is_positive_hardly_any_may_become_so(error: float, fits: bool) -> None:
    """One that is taken for it makes all of F1, whatever the limit."""
    reference = np.zeros((30, 2, 7))
    found = risk("f1@0.5<=0.9", reference, reference - error, scale=1e6)
    assert found.strict == 0
    assert (found.cautious <= 1) == fits


@given(most=st.floats(0, 5000))
def test_so_many_are_expected_that_as_many_other_frames_keep_the_limit(most: float) -> None:
    """Nine times out of ten a count with twice the variance of Poisson's keeps it; the more are allowed, the closer."""
    expected = allowance(most)
    assert 0 < expected < max(most, 0.2)
    assert nbinom.cdf(int(most), expected, 0.5) == pytest.approx(0.9, abs=1e-6)
    assert allowance(1e4) > 0.95e4


@pytest.mark.parametrize("text", ["argmax:y[0]<=0.05", "labels.argmax:y[0]<=0.05", "top5:y[0]<=0.05"])
def test_calibration_does_not_use_up_the_limit_of_a_count(text: str) -> None:
    """Two wrong of forty rows are the limit."""
    reference = np.tile(np.arange(7.0), (40, 2, 1)) * 1000
    values = reference.copy()
    values[:2, 0] = reference[:2, 0, ::-1]
    found = risk(text, reference, values, scale=1e12, recorded=40, labels=np.full((40, 1), 6))
    assert found.strict == pytest.approx(1)
    assert found.cautious > 1


def test_several_bounds_are_used_by_the_worst() -> None:
    reference = np.random.default_rng(2).standard_normal((30, 2, 7))
    values = reference + np.random.default_rng(3).normal(0, 0.05, reference.shape)
    alone = [risk(text, reference, values) for text in METRICS[:2]]
    together = risk("; ".join(METRICS[:2]), reference, values)
    assert together.strict == max(found.strict for found in alone)
    assert together.error == max(found.error for found in alone)


def test_of_a_function_of_the_users_own_outputs_may_err(tmp_path: Path) -> None:
    """The largest relative RMSE of all outputs says which way a search has to go, and bounds nothing."""
    (tmp_path / "losses.py").write_text("def loss(references, outputs):\n    return 0.25\n")
    reference = np.random.default_rng(2).standard_normal((30, 2, 7))
    found = risk(f"{tmp_path}/losses.py:loss<=1", reference, reference * 1.5, scale=0.0)
    assert found.strict == 0.25
    assert 0.25 <= found.cautious <= 1
    assert found.error == pytest.approx(0.5 * np.sqrt((reference**2).mean()) / reference.std(), rel=1e-4)
