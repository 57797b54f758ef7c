"""A video as a stream: its first video track, decoded a frame at a time (PyAV, extra `video`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from reuse_compiler.errors import StreamError
from reuse_compiler.streams.resize import Picture
from reuse_compiler.streams.source import Sample, import_extra

__all__ = ["SUFFIXES", "VideoSource", "open_video"]

SUFFIXES = frozenset(
    [".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv", ".y4m"]
)


@dataclass(frozen=True)
class VideoSource:
    """Decoded frames, uint8 [rows, columns, 3] RGB, upright, for the input `input`.

    `frames` is what the file declares; a few may not decode.
    """

    path: Path
    description: str
    input: str
    frames: int | None

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self, first: int) -> Iterator[Sample]:
        with _opened(self.path) as (av, container):
            frames = _decode(container)
            for number in count():
                try:
                    frame = next(frames, None)
                    picture = None if frame is None or number < first else _upright(frame)
                except (av.error.FFmpegError, _Damaged) as error:
                    raise StreamError(
                        f"{self.path}: frame {number}: cannot decode: {error.strerror}: cut it off with --frames :{number}"
                    ) from error
                if frame is None:
                    return
                if picture is not None:
                    yield Sample({self.input: picture})


class _Damaged(Exception):
    """The file marks what it holds as damaged; a decoder with several threads passes over that in silence."""

    strerror = "the data is damaged"


def _decode(container: Any) -> Iterator[Any]:
    """The frames of the first video track, decoded by several threads a few frames ahead."""
    track = container.streams.video[0]
    track.thread_type = "AUTO"
    for packet in container.demux(track):
        if packet.is_corrupt:
            raise _Damaged
        for frame in packet.decode():
            if frame.is_corrupt:
                raise _Damaged
            yield frame


def open_video(path: Path, input_name: str) -> VideoSource:
    """Read what the file declares. Raises StreamError where PyAV is missing or the file holds no video."""
    with _opened(path) as (_, container):
        track = container.streams.video[0]
        frames = track.frames or None
        description = f"{path}: video {track.width}x{track.height}, {frames or 'unknown number of'} frames"
    return VideoSource(path, description, input_name, frames)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The module `av` and the open file."""
    av = import_extra("av", "video", "reading a video", str(path))
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise StreamError(f"{path}: cannot read the video: {error.strerror}: check the file") from error
    with container:
        if not container.streams.video:
            raise StreamError(f"{path}: has no video track: give a video")
        yield av, container


def _upright(frame: Any) -> Picture:
    """The frame in RGB, turned as the file says that it is to be shown."""
    picture: Picture = frame.to_ndarray(format="rgb24")
    return np.rot90(picture, round(frame.rotation / 90) % 4)
