"""Folding a tensor frame by frame gives what counting all frames at once would."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler import tensor_fold
from reuse_compiler.tensor_fold import THIN, THIN_FROM, Scratch, TensorFold
from reuse_compiler.tensor_profile import BINS, HISTOGRAM_LEVEL, LEVELS, TensorProfile, origin

Frames = list[NDArray[np.float32]]
SIZE = 9
CLASSES = np.array([0, 0, 1, 2, 2, 2, 1, 0, 2], np.uint8)

VALUES = st.one_of(
    st.floats(-2, 2, width=32),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1 / 3, 2 / 3, -1 / 3, 0.5, 3.0, 1e-30]).map(lambda x: float(np.float32(x))),
)


@st.composite
def sequences(draw: st.DrawFn) -> Frames:
    """A sequence in which about half of the elements stay from frame to frame."""
    frames = [np.array(draw(st.lists(VALUES, min_size=SIZE, max_size=SIZE)), np.float32)]
    for _ in range(draw(st.integers(0, 3))):
        keep = np.array(draw(st.lists(st.booleans(), min_size=SIZE, max_size=SIZE)))
        fresh = np.array(draw(st.lists(VALUES, min_size=SIZE, max_size=SIZE)), np.float32)
        frames.append(np.where(keep, frames[-1], fresh))
    return frames


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    """Several blocks even in a small tensor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_fold, "BLOCK", 4)
        yield


def folded(*parts: Frames) -> TensorProfile:
    fold = TensorFold((1, SIZE), CLASSES, Scratch())
    for frames in parts:
        for number, frame in enumerate(frames):
            fold.add(frame.reshape(1, SIZE), start=number == 0)
    return fold.profile()


def cells(x: NDArray[np.float32], exponent: int) -> NDArray[np.float64]:
    return np.floor(np.ldexp(x.astype(np.float64), -exponent) + origin(exponent))


@given(st.lists(sequences(), min_size=1, max_size=3))
def test_changes_are_those_of_each_grid(parts: list[Frames]) -> None:
    profile = folded(*parts)
    for exponent in range(profile.finest, profile.finest + LEVELS + 2):
        changed = np.zeros(3)
        for frames in parts:
            before = np.zeros(SIZE, np.float32)
            for frame in frames:
                moved = cells(frame, exponent) != cells(before, exponent)
                changed += np.bincount(CLASSES, moved, minlength=3)
                before = frame
        counted, interpolated = profile.changed(2.0**exponent)
        assert counted.tolist() == changed.tolist()
        assert not interpolated


@given(st.lists(sequences(), min_size=1, max_size=3))
def test_exactly_unchanged_elements_zeros_and_range(parts: list[Frames]) -> None:
    profile = folded(*parts)
    frames = np.concatenate([np.stack(part) for part in parts])
    before = np.concatenate([np.stack([np.zeros(SIZE, np.float32), *part[:-1]]) for part in parts])
    assert profile.changes[:, 0].sum() == (frames == before).sum()
    assert profile.zeros == (frames == 0).sum()
    assert (profile.minimum, profile.maximum) == (frames.min(), frames.max())
    assert profile.frames == len(frames)


@given(st.lists(sequences(), min_size=1, max_size=3))
def test_the_histogram_of_a_small_tensor_counts_every_value(parts: list[Frames]) -> None:
    profile = folded(*parts)
    values = np.concatenate([frame for part in parts for frame in part])
    bins = cells(values, profile.histogram.exponent - HISTOGRAM_LEVEL).astype(np.int64) + BINS // 2
    assert np.array_equal(profile.histogram.bins(), np.bincount(bins, minlength=BINS))


@settings(max_examples=200)
@given(st.lists(sequences(), min_size=1, max_size=2), st.lists(sequences(), min_size=1, max_size=2))
def test_merged_profiles_are_the_profile_of_both(first: list[Frames], second: list[Frames]) -> None:
    both = folded(*first, *second).model_dump_json()
    assert folded(*first).merge(folded(*second)).model_dump_json() == both
    assert folded(*second).merge(folded(*first)).model_dump_json() == both


def test_zeros_at_first_leave_the_ladder_as_fine_as_the_values_need() -> None:
    tiny = np.full(SIZE, 1e-6, np.float32)
    assert folded([np.zeros(SIZE, np.float32), tiny]).finest == folded([tiny]).finest < -40


def test_noise_around_zero_does_not_change_on_steps_above_it() -> None:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (20, SIZE)).astype(np.float32)
    profile = folded([np.where(np.arange(SIZE) == 0, np.float32(1), frame) for frame in noise])
    at_start = 1 / (20 * SIZE)
    assert profile.similarity(2.0**-1).value == pytest.approx(1 - at_start)
    assert profile.similarity(2.0**-7).value < 0.2


def test_a_large_tensor_gives_every_fifth_value_to_the_histogram_each_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_fold, "BLOCK", 5000)
    size = THIN_FROM + 3
    fold = TensorFold((size,), None, Scratch())
    values = np.asarray((np.arange(size) % BINS - BINS // 2) / BINS, np.float32)
    for number in range(THIN):
        fold.add(values, start=number == 0)
        sampled = (number + 1) * size / THIN
        assert abs(fold.profile().histogram.total - sampled) <= number + 1
    whole = cells(values, fold.profile().histogram.exponent - HISTOGRAM_LEVEL).astype(np.int64) + BINS // 2
    assert np.array_equal(fold.profile().histogram.bins(), np.bincount(whole, minlength=BINS))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(bad: float) -> None:
    frame = np.zeros((1, SIZE), np.float32)
    frame[0, -1] = bad
    with pytest.raises(ValueError, match=r"nan|inf"):
        TensorFold((1, SIZE), CLASSES, Scratch()).add(frame, start=True)


def test_a_fold_keeps_no_frame_but_the_last() -> None:
    fold = TensorFold((1, SIZE), CLASSES, Scratch())
    kept = []
    for number in range(3):
        frame = np.full((1, SIZE), number, np.float32)
        fold.add(frame, start=number == 0)
        kept.append(weakref.ref(frame))
        del frame
    gc.collect()
    assert [reference() is not None for reference in kept] == [False, False, True]
