"""Greedy decoding of CTC outputs and the label error rate, on cases small enough to see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models.eesen import decode, label_error_rate
from reuse_compiler.models.eesen.decoding import distance

LABELS = st.lists(st.integers(1, 5), max_size=8)


def scores(best: Sequence[int]) -> NDArray[np.float32]:
    """Scores [steps, 50] whose largest are those of `best`."""
    return np.eye(50, dtype=np.float32)[list(best)]


@pytest.mark.parametrize(
    ("best", "labels"),
    [
        ([0, 0, 0], []),
        ([7], [7]),
        ([0, 3, 3, 3, 0, 4], [3, 4]),
        ([3, 3, 0, 3], [3, 3]),
        ([5, 6, 6, 5, 5], [5, 6, 5]),
        ([49, 0, 49, 49], [49, 49]),
    ],
)
def test_repeats_are_one_and_blanks_are_none(best: list[int], labels: list[int]) -> None:
    assert decode(scores(best)) == labels


def test_a_batch_axis_of_one_makes_no_difference() -> None:
    assert decode(scores([1, 0, 2])[:, None]) == [1, 2]


@pytest.mark.parametrize(
    ("found", "wanted", "edits"),
    [
        ([], [], 0),
        ([], [1, 2, 3], 3),
        ([1, 2, 3], [], 3),
        ([1, 2, 3], [1, 2, 3], 0),
        ([1, 3], [1, 2, 3], 1),
        ([1, 9, 3], [1, 2, 3], 1),
        ([2, 3, 4], [1, 2, 3], 2),
        ([11, 9, 20, 20, 5, 14], [19, 9, 20, 20, 9, 14, 7], 3),  # kitten, sitting
    ],
)
def test_the_distance_is_the_least_number_of_edits(found: list[int], wanted: list[int], edits: int) -> None:
    assert distance(found, wanted) == edits


@given(LABELS, LABELS, LABELS)
def test_the_distance_is_a_metric(a: list[int], b: list[int], c: list[int]) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_the_error_rate_is_over_the_labels_of_all_utterances() -> None:
    heard = [scores([1, 0, 2, 2]), scores([3, 3, 3])]
    assert label_error_rate(heard, [[1, 2, 4], [3]]) == 1 / 4
    assert label_error_rate(heard, [[1, 2], [3]]) == 0


def test_a_transcript_for_each_is_needed() -> None:
    with pytest.raises(StreamError, match="1 utterances and 2 transcripts: give one for each"):
        label_error_rate([scores([1])], [[1], [2]])


def test_transcripts_without_a_label_have_no_error_rate() -> None:
    with pytest.raises(StreamError, match="the transcripts have no label"):
        label_error_rate([scores([0])], [[]])
