"""Windows are exchanged for better ones, and scaled to an error or a bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from reuse_compiler.search.candidate import Candidate, Window
from reuse_compiler.search.effort import Effort
from reuse_compiler.search.evaluator import Outcome
from reuse_compiler.search.refinement import at_error, refine, scale_to_bound, scale_to_error
from tests.small_search import Parts, hopeless


@pytest.fixture(scope="module")
def start(parts: Parts) -> Outcome:
    return parts.calibration.evaluate(parts.uniform)


@pytest.mark.parametrize("rounds", [1, 3])
def test_reuse_at_the_error_of_the_start_does_not_fall(parts: Parts, start: Outcome, rounds: int) -> None:
    done: list[int] = []
    refined = refine(parts.calibration, start, rounds, Effort(), lambda: done.append(1))
    assert at_error(refined, start.error) > start.reuse
    assert refined.error == pytest.approx(start.error, rel=0.5)
    assert refined == parts.calibration.evaluate(refined.candidate)
    assert len(done) == rounds


def test_without_rounds_or_time_it_is_the_start(parts: Parts, start: Outcome, runs: Callable[[], int]) -> None:
    assert refine(parts.calibration, start, 0, Effort(), lambda: None) is start
    assert refine(parts.calibration, start, 9, Effort(0), lambda: None) is start
    assert runs() == 0


def test_tensors_that_save_nothing_stay_as_they_are(parts: Parts, start: Outcome) -> None:
    worthless = replace(parts.calibration, worth=dict.fromkeys(parts.calibration.worth, 0.0))
    assert refine(worthless, start, 1, Effort(), lambda: None).candidate == start.candidate


def test_at_its_own_error_reuse_is_what_it_is(start: Outcome) -> None:
    assert at_error(start, start.error) == start.reuse
    assert at_error(start, 2 * start.error) > start.reuse > at_error(start, start.error / 2)


@pytest.mark.parametrize("octaves", [-3.0, -0.5, 1.0])
def test_scaling_comes_to_an_error(parts: Parts, start: Outcome, octaves: float) -> None:
    away = parts.calibration.evaluate(parts.uniform.scaled(octaves))
    back = scale_to_error(parts.calibration, away, start.error)
    assert abs(math.log2(back.error / start.error)) < min(0.5, abs(math.log2(away.error / start.error)))


def test_scaling_to_a_bound_comes_close_and_keeps_it(parts: Parts) -> None:
    found = scale_to_bound(parts.calibration, parts.uniform)
    assert found is not None
    assert 0.8 < found.loss <= 1
    assert found == parts.calibration.evaluate(found.candidate)
    scales = {tensor: window.width / parts.uniform.widths[tensor] for tensor, window in found.candidate.windows.items()}
    assert max(scales.values()) == pytest.approx(min(scales.values()))
    bounded = scale_to_bound(parts.calibration, parts.uniform, -3.0, -2.0)
    assert bounded is not None
    assert 2**-3 <= bounded.candidate.widths["x"] / parts.uniform.widths["x"] <= 2**-2


def test_where_no_scale_keeps_the_bound_there_is_none(parts: Parts) -> None:
    assert scale_to_bound(replace(parts.calibration, loss=hopeless), parts.uniform) is None
    single = Candidate({"x": Window(0.1, 2.0)})
    assert scale_to_bound(parts.calibration, single, 9.0, 10.0, 2) is None
