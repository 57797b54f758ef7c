"""What an evaluation is of: which frames, and how many runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.evaluator import Evaluator
from reuse_compiler.streams import Frame
from tests.small_search import Parts


def numbered(parts: Parts, frames: int, starts: frozenset[int] = frozenset()) -> Evaluator:
    """A recording whose frames hold their own number."""
    held = [Frame({"x": np.array(number)}, number in starts | {0}) for number in range(frames)]
    return replace(parts.calibration, frames=held, references=[frame.inputs for frame in held])


def numbers(evaluator: Evaluator) -> list[int]:
    return [int(frame.inputs["x"]) for frame in evaluator.frames]


# ------------------------------------------------------------------------------------------------------------- excerpt


@given(length=st.integers(1, 200), frames=st.integers(1, 220), starts=st.frozensets(st.integers(0, 199), max_size=5))
def test_an_excerpt_is_stretches_each_of_which_begins_a_sequence(
    parts: Parts, length: int, frames: int, starts: frozenset[int]
) -> None:
    whole = numbered(parts, length, starts)
    excerpt = whole.excerpt(frames)
    taken = numbers(excerpt)
    assert 0 < len(taken) <= frames
    assert taken == sorted(set(taken)) and taken[-1] < length
    assert [int(reference["x"]) for reference in excerpt.references] == taken
    for past, number, frame in zip([None, *taken], taken, excerpt.frames, strict=False):
        if past != number - 1 or number in starts:
            assert frame.start
    if frames >= length:
        assert excerpt is whole


def test_its_stretches_are_from_all_over(parts: Parts) -> None:
    taken = numbers(numbered(parts, 1000).excerpt(60))
    assert (taken[0], taken[-1]) == (0, 999)
    begins = [number for past, number in zip([-2, *taken], taken, strict=False) if number != past + 1]
    assert 1 < len(begins) < 10


def test_fed_back_it_is_the_first_frames(parts: Parts) -> None:
    """Later ones would begin with another state than the fp32 model had."""
    whole = replace(numbered(parts, 100), state={"h": "hn"})
    excerpt = whole.excerpt(20)
    assert numbers(excerpt) == list(range(20))
    assert [frame.start for frame in excerpt.frames] == [True] + [False] * 19


def test_each_cut_has_a_name_of_its_own(parts: Parts) -> None:
    whole = numbered(parts, 100)
    cuts = [whole, whole.part(20), whole.part(30), whole.excerpt(20), whole.excerpt(30), whole.part(50).excerpt(20)]
    assert len({evaluator.cut for evaluator in cuts}) == len(cuts)
    assert numbers(whole.part(20)) == list(range(20))


# -------------------------------------------------------------------------------------------------------------- phases


def test_an_exact_evaluation_is_one_run_as_it_is(parts: Parts, runs: Callable[[], int]) -> None:
    exact = replace(parts.calibration, exact=True)
    assert exact.phases == (0.0,)
    exact.evaluate(parts.uniform)
    assert runs() == 1


def test_others_are_means_over_widths_near_by(parts: Parts, runs: Callable[[], int]) -> None:
    evaluator, exact = parts.calibration, replace(parts.calibration, exact=True)
    phases = evaluator.phases
    assert len(phases) > 1 and 0.0 in phases
    assert len(set(phases)) == len(phases) and max(map(abs, phases)) <= 0.5
    outcome = evaluator.evaluate(parts.uniform)
    assert runs() == len(phases)
    each = [exact.evaluate(parts.uniform.scaled(phase)) for phase in phases]
    assert outcome.candidate == parts.uniform
    assert outcome.reuse == pytest.approx(np.mean([one.reuse for one in each]))
    assert outcome.loss == pytest.approx(np.sqrt(np.mean([one.loss**2 for one in each])))
    assert outcome.error == pytest.approx(np.sqrt(np.mean([one.error**2 for one in each])))


def test_a_long_recording_is_run_once(parts: Parts) -> None:
    assert numbered(parts, 10_000).phases == (0.0,)


# ------------------------------------------------------------------------------------------------------------ outcomes


def test_dense_candidates_lose_and_reuse_nothing(parts: Parts) -> None:
    outcome = parts.calibration.evaluate(Candidate({}))
    assert (outcome.reuse, outcome.loss, outcome.error) == (0.0, 0.0, 0.0)


def test_several_are_evaluated_in_order(parts: Parts) -> None:
    candidates = [parts.uniform.scaled(-octaves) for octaves in range(6)]
    outcomes = parts.calibration.evaluate_all(candidates)
    assert outcomes == [parts.calibration.evaluate(candidate) for candidate in candidates]
    reuse = [outcome.reuse for outcome in outcomes]
    assert reuse == sorted(reuse, reverse=True)


def test_the_worth_of_a_tensor_is_that_of_its_slots(parts: Parts) -> None:
    worth = parts.calibration.worth_of_tensors
    assert worth.keys() == parts.calibration.ranges.keys()
    assert sum(worth.values()) == pytest.approx(1)
    macs = {slot.tensor: slot.macs for slot in parts.calibration.trial.slots}
    assert worth["x"] / worth["b"] == pytest.approx(macs["x"] / macs["b"])
