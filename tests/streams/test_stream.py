"""What holds for every source: checks against the model's inputs, cuts, sequences, replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import Stream, open_stream

X = TensorSpec("x", (1, 3), np.dtype("float32"))
H = TensorSpec("h", (1, 2), np.dtype("float32"))


def _dicts(count: int, *starts: int) -> list[dict[str, Any]]:
    return [
        {"x": np.full(3, number, np.float32)} | ({"__start__": True} if number in starts else {})
        for number in range(count)
    ]


def _read(stream: Stream) -> list[tuple[float, bool]]:
    return [(float(frame.inputs["x"][0, 0]), frame.start) for frame in stream]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({}, "no value for input x"),
        ({"y": np.zeros(3, np.float32)}, r"no value for input x \(given: y\)"),
        ({"x": np.zeros(3, np.float32), "y": np.zeros(3)}, "the model has no input y: it takes x"),
        ({"x": np.zeros(4, np.float32)}, r"input x has shape \[4\], the model takes \[1, 3\]"),
        ({"x": np.zeros((2, 3), np.float32)}, r"input x has shape \[2, 3\], the model takes \[1, 3\]"),
        ({"x": np.zeros(3, np.int64)}, "input x is int64, the model takes float32: convert it with"),
        ({"x": np.zeros((4, 4), np.uint8)}, "input x is uint8, .* or describe the pictures in a --preprocess file"),
        ({"x": np.zeros(3, np.float16)}, "input x is float16"),
        ({"x": np.array(["a", "b", "c"])}, "input x is <U1"),
        ({"x": object()}, "input x is object"),
        ({"x": np.array([0, np.nan, 0], np.float32)}, r"input x is nan at \[0, 1\] \(1 of 3 values"),
        ({"x": np.array([0, np.inf, -np.inf], np.float32)}, r"input x is inf at \[0, 1\] \(2 of 3 values"),
        ({"x": np.array([0, 1e300, 0])}, r"input x is inf at \[0, 1\]"),
    ],
)
def test_frames_that_do_not_fit_are_named(frame: dict[str, Any], said: str) -> None:
    stream = open_stream([*_dicts(7), frame], [X])
    with pytest.raises(StreamError, match=f"^list: frame 7: {said}") as caught:
        list(stream)
    assert "\n" not in str(caught.value)


def test_large_finite_values_pass() -> None:
    largest = np.full(3, np.finfo(np.float32).max, np.float32)  # their sum overflows
    (frame,) = open_stream([{"x": largest}], [X])
    np.testing.assert_array_equal(frame.inputs["x"][0], largest)


def test_float64_is_rounded_to_float32() -> None:
    (frame,) = open_stream([{"x": np.array([0.1, 0.2, 0.3])}], [X])
    assert frame.inputs["x"].dtype == np.float32
    np.testing.assert_array_equal(frame.inputs["x"][0], np.array([0.1, 0.2, 0.3], np.float32))


def test_inputs_come_in_the_models_order() -> None:
    (frame,) = open_stream([{"h": np.zeros(2, np.float32), "x": np.zeros(3, np.float32)}], [X, H])
    assert list(frame.inputs) == ["x", "h"]


def test_input_fed_back_is_not_expected() -> None:
    assert len(list(open_stream(_dicts(2), [X, H], state={"h": "hn"}))) == 2
    with pytest.raises(StreamError, match=r"no value for input h .* --state"):
        list(open_stream(_dicts(2), [X, H]))
    given_too = [{**_dicts(1)[0], "h": np.zeros(2, np.float32)}]
    with pytest.raises(StreamError, match="input h is fed back by --state: leave it out"):
        list(open_stream(given_too, [X, H], state={"h": "hn"}))


def test_state_of_an_unknown_input_is_refused() -> None:
    with pytest.raises(StreamError, match="state k=hn: the model has no input k: it has h, x"):
        open_stream(_dicts(1), [X, H], state={"k": "hn"})


@settings(deadline=None)
@given(
    count=st.integers(1, 8),
    starts=st.sets(st.integers(0, 7)),
    first=st.none() | st.integers(0, 9),
    stop=st.none() | st.integers(1, 9),
)
def test_cut_is_a_python_slice_whose_first_frame_starts(
    count: int, starts: set[int], first: int | None, stop: int | None
) -> None:
    text = f"{'' if first is None else first}:{'' if stop is None else stop}"
    whole = [(float(number), number in starts) for number in range(count)]
    kept = whole[first:stop]
    if not kept:
        with pytest.raises(StreamError):
            list(open_stream(_dicts(count, *starts), [X], frames=text))
        return
    stream = open_stream(_dicts(count, *starts), [X], frames=text)
    assert _read(stream) == [(kept[0][0], True), *kept[1:]]
    assert stream.frames == len(kept)


@pytest.mark.parametrize("frames", ["", "3", "-1:", ":-1", "1:2:3", "a:b", "1.5:", "٣:"])
def test_cuts_that_are_none_are_refused(frames: str) -> None:
    with pytest.raises(StreamError, match="give A:B"):
        open_stream(_dicts(3), [X], frames=frames)


def test_cut_that_keeps_nothing_says_why() -> None:
    with pytest.raises(StreamError, match="frames 5:5: keeps no frame"):
        open_stream(_dicts(3), [X], frames="5:5")
    with pytest.raises(StreamError, match="list: there is no frame 5"):
        list(open_stream(_dicts(3), [X], frames="5:9"))


def test_frames_cut_off_are_neither_checked_nor_read_beyond() -> None:
    read = []

    def frames() -> Iterator[dict[str, Any]]:
        for number in range(9):
            read.append(number)
            yield {"x": np.full(3, np.nan if number in (0, 4) else number, np.float32)}

    assert _read(open_stream(frames, [X], frames="1:4")) == [(1, True), (2, False), (3, False)]
    assert 5 not in read


def test_empty_stream_is_an_error_at_the_first_pass() -> None:
    stream = open_stream([], [X])
    with pytest.raises(StreamError, match="list: the stream is empty: give at least one frame"):
        next(iter(stream))


def test_passes_over_one_stream_do_not_disturb_each_other() -> None:
    stream = open_stream(_dicts(3), [X])
    assert [(a.inputs["x"][0, 0], b.inputs["x"][0, 0]) for a, b in zip(stream, stream, strict=True)] == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]


def test_what_names_no_stream_says_what_would() -> None:
    for spec, said in [
        ("missing.npz", "no such file or folder"),
        (__file__, ":FUNCTION, the function that yields"),
        ("/dev/null", "unknown kind of stream"),
    ]:
        with pytest.raises(StreamError, match=said):
            open_stream(spec, [X])
