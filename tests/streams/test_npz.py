from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import open_stream

X = TensorSpec("x", (1, 3), np.dtype("float32"))
H = TensorSpec("h", (1, 2, 2), np.dtype("float32"))


def _values(frames: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((frames, *shape)).astype(np.float32)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("batched", [True, False])
def test_frames_come_back_in_order_with_the_batch_axis(tmp_path: Path, save: Any, batched: bool) -> None:
    x, h = _values(5, 3), _values(5, 2, 2)
    save(tmp_path / "s.npz", x=x[:, None] if batched else x, h=h[:, None] if batched else h)
    stream = open_stream(tmp_path / "s.npz", [X, H])
    assert stream.frames == 5
    for _ in range(2):
        frames = list(stream)
        assert [frame.inputs["x"].shape for frame in frames] == [(1, 3)] * 5
        np.testing.assert_array_equal(np.concatenate([frame.inputs["x"] for frame in frames]), x)
        np.testing.assert_array_equal(np.concatenate([frame.inputs["h"] for frame in frames]), h)
        assert [frame.start for frame in frames] == [True] + [False] * 4


def test_starts_begin_sequences(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=_values(6, 3), __starts__=np.array([3, 5]))
    assert [frame.start for frame in open_stream(tmp_path / "s.npz", [X])] == [True, False, False, True, False, True]


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        (np.array([6]), "has 6, but there are 6 frames"),
        (np.array([-1]), "has -1"),
        (np.array([0.0]), "__starts__ is float64"),
        (np.array([[0]]), r"__starts__ is int64 \[1, 1\]"),
        (np.array([True]), "__starts__ is bool"),
    ],
)
def test_wrong_starts_are_refused(tmp_path: Path, starts: NDArray[Any], said: str) -> None:
    np.savez(tmp_path / "s.npz", x=_values(6, 3), __starts__=starts)
    with pytest.raises(StreamError, match=said):
        open_stream(tmp_path / "s.npz", [X])


def test_starts_may_be_empty_or_zero(tmp_path: Path) -> None:
    for starts in ([], [0]):
        np.savez(tmp_path / "s.npz", x=_values(3, 3), __starts__=np.array(starts, np.int64))
        assert [frame.start for frame in open_stream(tmp_path / "s.npz", [X])] == [True, False, False]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_cut_reads_from_the_middle(tmp_path: Path, save: Any) -> None:
    x = _values(9, 3)
    save(tmp_path / "s.npz", x=x, __starts__=np.array([2, 5]))
    stream = open_stream(tmp_path / "s.npz", [X], frames="4:7")
    assert stream.frames == 3
    frames = list(stream)
    np.testing.assert_array_equal(np.concatenate([frame.inputs["x"] for frame in frames]), x[4:7])
    assert [frame.start for frame in frames] == [True, True, False]


def test_column_major_and_big_endian_arrays_are_read(tmp_path: Path) -> None:
    x = _values(4, 3)
    for stored in (np.asfortranarray(x), x.astype(">f4")):
        np.savez(tmp_path / "s.npz", x=stored)
        frames = list(open_stream(tmp_path / "s.npz", [X], frames="1:"))
        np.testing.assert_array_equal(np.concatenate([frame.inputs["x"] for frame in frames]), x[1:])
        assert frames[0].inputs["x"].dtype == np.dtype("float32")
        assert frames[0].inputs["x"].flags.c_contiguous


def test_one_value_a_frame_is_a_frame(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.arange(3, dtype=np.float32))
    spec = TensorSpec("x", (1,), np.dtype("float32"))
    assert [frame.inputs["x"].tolist() for frame in open_stream(tmp_path / "s.npz", [spec])] == [[0.0], [1.0], [2.0]]


def test_names_with_slashes_and_colons_are_names(tmp_path: Path) -> None:
    spec = TensorSpec("serving/x:0", (1, 3), np.dtype("float32"))
    arrays_by_name: dict[str, Any] = {"serving/x:0": _values(2, 3)}
    np.savez(tmp_path / "s.npz", **arrays_by_name)
    assert len(list(open_stream(tmp_path / "s.npz", [spec]))) == 2


@settings(deadline=None)
@given(
    data=arrays.arrays(
        st.sampled_from([np.float32, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=2, max_dims=4, max_side=5),
    ),
    compressed=st.booleans(),
    fortran=st.booleans(),
)
def test_any_array_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, data: NDArray[Any], compressed: bool, fortran: bool
) -> None:
    data = np.nan_to_num(data, posinf=1, neginf=-1)
    path = tmp_path_factory.mktemp("law") / "s.npz"
    (np.savez_compressed if compressed else np.savez)(path, x=np.asfortranarray(data) if fortran else data)
    spec = TensorSpec("x", (1, *data.shape[1:]), data.dtype)
    back = np.concatenate([frame.inputs["x"] for frame in open_stream(path, [spec])])
    assert back.dtype == data.dtype
    assert back.tobytes() == np.ascontiguousarray(data).tobytes()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_does_not_grow_with_the_stream(tmp_path: Path, save: Any) -> None:
    spec = TensorSpec("x", (1, 256, 256), np.dtype("float32"))
    frame_bytes = 256 * 256 * 4
    save(tmp_path / "s.npz", x=np.zeros((120, 256, 256), np.float32))
    tracemalloc.start()
    try:
        for _ in open_stream(tmp_path / "s.npz", [spec]):
            pass
        for _ in open_stream(tmp_path / "s.npz", [spec], frames="110:"):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * frame_bytes


def test_arrays_of_different_length_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=_values(4, 3), h=_values(5, 2, 2))
    with pytest.raises(StreamError, match="x has 4 frames and h has 5"):
        open_stream(tmp_path / "s.npz", [X, H])


def test_files_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(StreamError, match=r"s\.npz: not a \.npz"):
        open_stream(path, [X])
    np.savez(path, x=_values(100, 3))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(StreamError, match=r"s\.npz: not a \.npz"):
        open_stream(path, [X])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"junk that is no array")
    with pytest.raises(StreamError, match="cannot read the array"):
        open_stream(path, [X])


def test_damage_inside_is_found_where_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.zeros((50, 3), np.float32))
    data = bytearray(path.read_bytes())
    data[400] ^= 0x10
    path.write_bytes(bytes(data))
    with pytest.raises(StreamError, match="Bad CRC-32"):
        list(open_stream(path, [X]))


def test_header_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.zeros((50, 3), np.float32))
    with zipfile.ZipFile(path) as archive:
        entry = archive.read("x.npy").replace(b"(50, 3)", b"(90, 3)")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", entry)
    with pytest.raises(StreamError, match="not as long as its header says"):
        open_stream(path, [X])


def test_python_objects_and_single_values_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.array([{}], object))
    with pytest.raises(StreamError, match="holds Python objects"):
        open_stream(tmp_path / "s.npz", [X])
    np.savez(tmp_path / "s.npz", x=np.float32(1))
    with pytest.raises(StreamError, match="x is a single value"):
        open_stream(tmp_path / "s.npz", [X])
    np.savez(tmp_path / "s.npz", __starts__=np.array([0]))
    with pytest.raises(StreamError, match="holds no array"):
        open_stream(tmp_path / "s.npz", [X])


def test_no_frames_are_an_error_when_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=_values(0, 3))
    with pytest.raises(StreamError, match="the stream is empty"):
        list(open_stream(tmp_path / "s.npz", [X]))
