"""Frames files: readable by numpy, whole or absent, and no larger in memory than a frame."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from reuse_compiler.errors import ReuseError, StreamError
from reuse_compiler.frames_file import FramesFile

Arrays = dict[str, NDArray[Any]]


def write(path: Path, frames: list[Arrays]) -> None:
    with FramesFile(path) as file:
        for frame in frames:
            file.append(frame)


@given(
    dtype=st.sampled_from(["float32", "float64", "uint8", "uint16", "int64", "bool", "float16"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    count=st.integers(1, 5),
    name=st.sampled_from(["y", "a/b:0", "élan", "0"]),
    data=st.data(),
)
def test_numpy_reads_frames_first(
    dtype: str,
    shape: tuple[int, ...],
    count: int,
    name: str,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("frames") / "f.npz"
    arrays = [data.draw(hnp.arrays(dtype, shape)) for _ in range(count)]
    write(path, [{name: array, "other": np.array(number)} for number, array in enumerate(arrays)])
    with np.load(path) as file:
        assert sorted(file.files) == sorted([name, "other"])
        assert file[name].dtype == dtype and file[name].shape == (count, *shape)
        np.testing.assert_array_equal(file[name], np.stack(arrays))
        assert file["other"].tolist() == list(range(count))


def test_views_and_changes_after_the_append_do_no_harm(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    with FramesFile(tmp_path / "f.npz") as file:
        file.append({"y": array.T[::2]})
        array[...] = 0
    np.testing.assert_array_equal(np.load(tmp_path / "f.npz")["y"][0], np.arange(12).reshape(3, 4).T[::2])


class Stop(Exception):
    pass


def test_a_stream_that_fails_midway_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    with pytest.raises(Stop), FramesFile(path) as file:
        file.append({"y": np.zeros(3)})
        raise Stop
    assert list(tmp_path.iterdir()) == []
    path.write_text("before")
    with pytest.raises(OSError, match="of the stream"), FramesFile(path) as file:
        file.append({"y": np.zeros(3)})
        raise OSError("of the stream")
    assert [item.name for item in tmp_path.iterdir()] == ["f.npz"]
    assert path.read_text() == "before"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"y": np.zeros(3)}, {"y": np.zeros(4)}, "y is float64 [4] in frame 1, not as before"),
        ({"y": np.zeros(3)}, {"y": np.zeros(3, np.float32)}, "y is float32 [3] in frame 1, not as before"),
        ({"y": np.zeros(3)}, {}, "y is not in every frame: frame 1 differs"),
        ({"y": np.zeros(3)}, {"y": np.zeros(3), "z": np.zeros(3)}, "z is not in every frame: frame 1 differs"),
        ({"y": np.array(["a"], object)}, {}, "y is object: only arrays of numbers can be written"),
    ],
)
def test_frames_that_differ_are_refused(first: Arrays, second: Arrays, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    with pytest.raises(StreamError) as caught:
        write(path, [first, second])
    assert str(caught.value) == f"{path}: {message}"
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_before_any_frame(tmp_path: Path) -> None:
    with (
        pytest.raises(ReuseError, match=r"none/f\.npz: cannot write: .*: choose another folder"),
        FramesFile(tmp_path / "none" / "f.npz"),
    ):
        pytest.fail("the block began")


def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    """40 MB are written with less than 4 MB."""
    frame = {"y": np.ones((512, 512), np.float32)}
    with FramesFile(tmp_path / "f.npz") as file:
        tracemalloc.start()
        for _ in range(40):
            file.append(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "f.npz").stat().st_size > 40 << 20
    assert peak < 4 << 20
