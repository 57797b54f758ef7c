"""Tied states: a tree of cuts, grown from counts, that gives every context one of 3,482 states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.models.kaldi.growing import FEWEST, count, grow
from reuse_compiler.models.kaldi.tying import STATES, contexts, leaves, states, tying, tying_path
from reuse_compiler.models.speech import PHONES, SILENCE, Utterance, frame_count, phone_classes, utterance

ROOTS = 1 + 3 * (len(PHONES) - 1)


@pytest.fixture(scope="module")
def spoken() -> list[Utterance]:
    return [utterance(seed) for seed in range(25)]


@pytest.fixture(scope="module")
def counts(spoken: list[Utterance]) -> NDArray[np.int64]:
    return count(spoken)


def frames(one: Utterance) -> int:
    return frame_count(one.samples.size)


def test_there_are_exactly_the_papers_states() -> None:
    assert np.array_equal(np.unique(tying()), np.arange(STATES))
    assert STATES == 3_482
    assert tying_path().stat().st_size < 30_000


def test_a_state_belongs_to_one_third_of_one_phone() -> None:
    table = tying()
    owners = [np.unique(table[phone, third]) for phone in range(1, len(PHONES)) for third in range(3)]
    every = np.concatenate([*owners, np.unique(table[0])])
    assert len(every) == STATES == len(np.unique(every))
    assert len(np.unique(table[PHONES.index(SILENCE), 0])) == 1


def test_first_thirds_hear_the_left_phone_and_last_thirds_the_right_one() -> None:
    table = tying()[1:]
    assert (table[:, 0] == table[:, 0, :, :1]).all()
    assert (table[:, 2] == table[:, 2, :1, :]).all()


def test_contexts_are_phones_thirds_and_neighbours(spoken: list[Utterance]) -> None:
    one = spoken[0]
    phone, third, left, right = contexts(one, frames(one))
    assert np.array_equal(phone, phone_classes(one, frames(one)))
    assert set(third.tolist()) == {0, 1, 2}
    changes = np.flatnonzero(np.diff(phone))
    assert np.array_equal(left[changes + 1], phone[changes])
    assert np.array_equal(right[changes], phone[changes + 1])
    same = np.diff(phone) == 0
    assert (np.diff(third)[same & (np.diff(left) == 0) & (np.diff(right) == 0)] >= 0).all()


def test_states_follow_the_phones(spoken: list[Utterance]) -> None:
    one = spoken[1]
    found = states(one, frames(one))
    assert found.dtype == np.int64 and found.shape == (frames(one),)
    assert found[0] == found[-1] == tying()[0, 0, 0, 0] == 0
    assert len(np.unique(found)) > 2 * len({phone.symbol for phone in one.phones}) - 2


def test_counts_are_all_frames(spoken: list[Utterance], counts: NDArray[np.int64]) -> None:
    assert counts.sum() == sum(frames(one) for one in spoken)


def test_a_grown_tree_has_the_leaves_asked_for_and_enough_frames_in_each(counts: NDArray[np.int64]) -> None:
    splits = grow(counts, size=200, fewest=5)
    table = leaves(splits)
    assert table.max() + 1 == 200 == ROOTS + len(splits)
    totals = np.bincount(table.ravel(), weights=counts.ravel())
    assert totals[ROOTS:].min() >= 5
    assert np.array_equal(splits, grow(counts, size=200, fewest=5))


def test_growing_ends_where_no_leaf_can_be_cut(counts: NDArray[np.int64]) -> None:
    assert len(grow(counts, size=STATES, fewest=10**6)) == 0
    assert leaves(grow(counts, fewest=FEWEST)).max() + 1 < STATES


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(ROOTS, ROOTS + 40))
def test_leaves_partition_all_contexts(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (len(PHONES), 3, len(PHONES), len(PHONES)))
    table = leaves(grow(counts, size, fewest=1))
    assert np.array_equal(np.unique(table), np.arange(size))
