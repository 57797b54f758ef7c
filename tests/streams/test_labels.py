"""Labels ride along with frames, and are no inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.streams import open_stream
from reuse_compiler.streams.labels import label_keys, split_labels
from tests.streams.conftest import MakeSpec

LABELS = np.array([4, 3, 2, 1])


def test_of_a_file(tmp_path: Path, make_spec: MakeSpec) -> None:
    np.savez(tmp_path / "s.npz", x=np.ones((4, 3), np.float32), __labels__=LABELS, __labels_y__=LABELS[:, None] > 2)
    stream = open_stream(tmp_path / "s.npz", [make_spec("x", 1, 3)], frames="1:3")
    assert [frame.labels.keys() for frame in stream] == [{"__labels__", "__labels_y__"}] * 2
    assert [int(frame.labels["__labels__"]) for frame in stream] == [3, 2]
    assert [frame.labels["__labels_y__"].tolist() for frame in stream] == [[True], [False]]
    assert [list(frame.inputs) for frame in stream] == [["x"]] * 2


def test_of_python(make_spec: MakeSpec) -> None:
    frames = [{"x": np.ones(3, np.float32), "__labels__": int(label)} for label in LABELS]
    stream = open_stream([*frames, {"x": np.ones(3, np.float32)}], [make_spec("x", 1, 3)])
    assert [{key: value.tolist() for key, value in frame.labels.items()} for frame in stream] == [
        *({"__labels__": label} for label in (4, 3, 2, 1)),
        {},
    ]


def test_of_another_length_is_one_line(tmp_path: Path, make_spec: MakeSpec) -> None:
    np.savez(tmp_path / "s.npz", x=np.ones((5, 3), np.float32), __labels__=LABELS)
    with pytest.raises(StreamError, match="x has 5 frames and __labels__ has 4: give every array as many"):
        open_stream(tmp_path / "s.npz", [make_spec("x", 1, 3)])


def test_only_what_is_written_so_are_labels() -> None:
    arrays = dict.fromkeys(("x", "__labels__", "__labels_a:0__", "labels", "__labels", "__label__"), LABELS)
    inputs, labels = split_labels(arrays)
    assert (list(inputs), list(labels)) == (["x", "labels", "__labels", "__label__"], ["__labels__", "__labels_a:0__"])
    assert label_keys("a:0") == ("__labels_a:0__", "__labels__")
