"""A `.npz` as a stream: one array per input, frames first, read a frame at a time straight from the archive."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.streams.source import Sample

__all__ = ["NpzSource", "open_npz"]

STARTS = "__starts__"
_CHUNK = 1 << 16


@dataclass(frozen=True)
class _Member:
    """One array of the archive: `shape` [frames, ...]; its values begin `offset` bytes into the entry."""

    name: str
    entry: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    column_major: bool
    offset: int


@dataclass(frozen=True)
class NpzSource:
    """The frames of an archive. An array saved column-major has no frames in a row, and alone is read whole."""

    path: Path
    members: tuple[_Member, ...]
    starts: frozenset[int]
    frames: int

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def description(self) -> str:
        return f"{self.name}: arrays {', '.join(member.name for member in self.members)}, {self.frames} frames"

    def read(self, first: int) -> Iterator[Sample]:
        with ExitStack() as stack:
            with _reading(self.path):
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                readers = {
                    m.name: _read_member(m, stack.enter_context(archive.open(m.entry)), first) for m in self.members
                }
            for number in range(first, self.frames):
                with _reading(self.path, f"frame {number}: "):
                    arrays = {name: next(reader) for name, reader in readers.items()}
                yield Sample(arrays, number in self.starts)


def open_npz(path: Path) -> NpzSource:
    """Read what an archive holds, without its values.

    Raises StreamError where it is no `.npz`, is damaged, holds Python objects, its arrays differ in their number of
    frames, or `__starts__` is not a list of frame numbers.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        entries = [info for info in archive.infolist() if not info.is_dir()]
        members = [_read_header(archive, info, path) for info in entries]
        inputs = tuple(member for member in members if member.name != STARTS)
        if not inputs:
            raise StreamError(f"{path}: holds no array: give one array per input, frames first")
        frames = _common_length(inputs, path)
        starts = next((_read_starts(archive, m, frames, path) for m in members if m.name == STARTS), frozenset())
    return NpzSource(path, inputs, starts, frames)


@contextmanager
def _reading(path: Path, where: str = "") -> Iterator[None]:
    """Turn what zipfile, zlib and numpy raise on a damaged archive into one StreamError."""
    try:
        yield
    except zipfile.BadZipFile as error:
        raise StreamError(f"{path}: {where}not a .npz, or a damaged one ({error}): save it anew") from error
    except (EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        raise StreamError(f"{path}: {where}cannot read the array: {reason}: save it anew") from error
    except OSError as error:
        raise StreamError(f"{path}: {where}cannot read: {error.strerror or error}: check the file") from error


def _read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> _Member:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as file:
        version = npy.read_magic(file)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, column_major, dtype = reader(file)
        offset = file.tell()
    if dtype.hasobject:
        raise StreamError(f"{path}: array {name} holds Python objects: save numbers")
    if not shape:
        raise StreamError(f"{path}: array {name} is a single value: give one value per frame, frames first")
    if offset + math.prod(shape) * dtype.itemsize != info.file_size:
        raise StreamError(f"{path}: array {name} is not as long as its header says: save it anew")
    return _Member(name, info.filename, shape, dtype, column_major and len(shape) > 1, offset)


def _common_length(members: tuple[_Member, ...], path: Path) -> int:
    first = members[0]
    for member in members[1:]:
        if member.shape[0] != first.shape[0]:
            raise StreamError(
                f"{path}: {first.name} has {first.shape[0]} frames and {member.name} has {member.shape[0]}:"
                " give every array as many"
            )
    return first.shape[0]


def _read_starts(archive: zipfile.ZipFile, member: _Member, frames: int, path: Path) -> frozenset[int]:
    if member.dtype.kind not in "iu" or len(member.shape) != 1:
        raise StreamError(
            f"{path}: {STARTS} is {member.dtype} {list(member.shape)}: give frame numbers, int64 [sequences]"
        )
    with archive.open(member.entry) as file:
        starts: list[int] = npy.read_array(file, allow_pickle=False).tolist()
    for start in starts:
        if not 0 <= start < frames:
            raise StreamError(f"{path}: {STARTS} has {start}, but there are {frames} frames: number them from 0")
    return frozenset(starts)


def _read_member(member: _Member, file: IO[bytes], first: int) -> Iterator[NDArray[Any]]:
    """The frames of one array from number `first` on, each an array of its own."""
    if member.column_major:
        yield from npy.read_array(file, allow_pickle=False)[first:]
        return
    shape = member.shape[1:]
    size = math.prod(shape) * member.dtype.itemsize
    _skip(member.offset + first * size, file)
    for _ in range(first, member.shape[0]):
        frame = np.empty(shape, member.dtype)
        _fill(frame.reshape(-1).view(np.uint8).data, file)
        yield frame


def _skip(size: int, file: IO[bytes]) -> None:
    """Read over `size` bytes; the archive's own seek would hold 16 MB at a time."""
    for skipped in range(0, size, _CHUNK):
        file.read(min(_CHUNK, size - skipped))


def _fill(buffer: memoryview, file: IO[bytes]) -> None:
    filled = 0
    while filled < len(buffer):
        data = file.read(len(buffer) - filled)
        if not data:
            raise EOFError("the file ends early")
        buffer[filled : filled + len(data)] = data
        filled += len(data)
