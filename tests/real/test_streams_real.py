"""Recordings and settings files give what the models' own preprocessing gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import Stream, open_stream

ROAD = '[picture]\nresize = "area"\nscale = "1/255"\nmean = 0.5\nstd = 0.5\n'
FACE = '[picture]\nresize = "bilinear"\nscale = 1\nmean = 127\nstd = 128\n'
VOICE = "[sound]\nframe = 512\ncontext = 64\nrate = 16000\n"


def _open(source: Path, settings: str, folder: Path, *shape: int) -> Stream:
    path = folder / "preprocess.toml"
    path.write_text(settings)
    return open_stream(source, [TensorSpec("input", shape, np.dtype("float32"))], preprocess=path)


def _distances(stream: Stream, theirs: Iterator[dict[str, Any]], level: float) -> tuple[float, float]:
    """The mean and the largest distance of two streams, in levels of 8 bits."""
    means, largest = [], []
    for frame, feed in zip(stream, theirs, strict=True):
        distance = np.abs(frame.inputs["input"] - feed["input"]) / level
        means.append(float(distance.mean()))
        largest.append(float(distance.max()))
    return float(np.mean(means)), max(largest)


def test_road_through_video_and_settings(real: ModuleType, tmp_path: Path) -> None:
    video = real.DATA / "solidWhiteRight.mp4"
    stream = _open(video, ROAD, tmp_path, 1, 3, 66, 200)
    assert stream.frames == 221
    mean, largest = _distances(stream, real.road_feeds(video), level=2 / 255)
    assert mean <= 1
    assert largest <= 4


@pytest.mark.parametrize("name", ["asl_book.mkv", "asl_bird.mkv"])
def test_face_through_video_and_settings(real: ModuleType, tmp_path: Path, name: str) -> None:
    video = real.DATA / name
    stream = _open(video, FACE, tmp_path, 1, 3, 240, 320)
    mean, largest = _distances(stream, real.face_feeds(video), level=1 / 128)
    assert mean <= 1
    assert largest <= 4


def test_voice_through_sound_and_settings_is_equal(real: ModuleType, tmp_path: Path) -> None:
    sound = real.DATA / "silero_test.wav"
    stream = _open(sound, VOICE, tmp_path, 1, 576)
    assert stream.frames == 937
    assert _distances(stream, real.voice_feeds(sound), level=1) == (0, 0)
