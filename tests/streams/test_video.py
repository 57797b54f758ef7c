from __future__ import annotations

import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import open_stream

WIDTH, HEIGHT = 64, 48
IMAGE = TensorSpec("image", (1, HEIGHT, WIDTH, 3), np.dtype("float32"))
PIXELS = '[picture]\nscale = 1\nresize = "bilinear"\n'


def _pictures(count: int) -> list[np.ndarray]:
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    steady = noise.repeat(8, axis=0).repeat(8, axis=1)
    return [np.roll(steady, number, axis=1) for number in range(count)]


def _write(path: Path, pictures: list[np.ndarray], codec: str, pixels: str) -> Path:
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}  # the index first, as a recording on the web
    with av.open(str(path), "w", options=options) as container:
        track: Any = container.add_stream(codec, rate=25)
        track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, pixels
        for picture in pictures:
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(track.encode())
    return path


def test_lossless_frames_come_back_as_they_were(tmp_path: Path, preprocess: Callable[[str], Path]) -> None:
    pictures = _pictures(5)
    video = _write(tmp_path / "v.mkv", pictures, "ffv1", "bgr0")
    stream = open_stream(video, [IMAGE], preprocess=preprocess(PIXELS))
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([frame.inputs["image"] for frame in stream]), pictures)
    cut = open_stream(video, [IMAGE], preprocess=preprocess(PIXELS), frames="3:")
    frames = list(cut)
    np.testing.assert_array_equal(np.concatenate([frame.inputs["image"] for frame in frames]), pictures[3:])
    assert [frame.start for frame in frames] == [True, False]


@pytest.mark.parametrize("turn", [None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_ordinary_video_is_decoded_and_turned_as_opencv_does(
    tmp_path: Path, preprocess: Callable[[str], Path], turn: int | None
) -> None:
    video = _write(tmp_path / "v.mp4", _pictures(8), "mpeg4", "yuv420p")
    if turn is not None:
        _set_turn(video, turn)
    capture = cv2.VideoCapture(str(video))
    theirs = []
    while (read := capture.read())[0]:
        theirs.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    shape = theirs[0].shape
    assert shape[:2] == ((HEIGHT, WIDTH) if turn in (None, cv2.ROTATE_180) else (WIDTH, HEIGHT))
    stream = open_stream(video, [TensorSpec("image", (1, *shape), np.dtype("float32"))], preprocess=preprocess(PIXELS))
    assert stream.frames == len(theirs) == 8
    ours = np.concatenate([frame.inputs["image"] for frame in stream])
    assert np.abs(ours - np.stack(theirs)).max() <= 2


def _set_turn(video: Path, turn: int) -> None:
    """Write a turn into the track header's matrix (ISO 14496-12, 8.3.2): 3x3, 16.16 and 2.30 fixed point."""
    cosine, sine = {
        cv2.ROTATE_90_CLOCKWISE: (0, 1),
        cv2.ROTATE_180: (-1, 0),
        cv2.ROTATE_90_COUNTERCLOCKWISE: (0, -1),
    }[turn]
    one = 1 << 16
    matrix = struct.pack(">9i", cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    plain = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    data = video.read_bytes()
    place = data.index(plain, data.index(b"tkhd"))
    video.write_bytes(data[:place] + matrix + data[place + len(plain) :])


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    videos = [_write(tmp_path / f"v{count}.mp4", _pictures(count), "mpeg4", "yuv420p") for count in (20, 400)]
    peaks = []
    for video in [videos[0], *videos]:
        tracemalloc.start()
        try:
            for _ in open_stream(video, [IMAGE]):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    frame_bytes = HEIGHT * WIDTH * 3 * 4
    assert peaks[2] < peaks[1] + 4 * frame_bytes


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.mp4").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(StreamError, match=r"v\.mp4: reading a video needs .*: pip install 'reuse-compiler\[video\]'"):
        open_stream(tmp_path / "v.mp4", [IMAGE])


def test_files_that_are_no_video_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = tmp_path / "v.mp4"
    for damaged in (b"no video", b""):
        video.write_bytes(damaged)
        with pytest.raises(StreamError, match=r"v\.mp4: cannot read the video") as caught:
            open_stream(video, [IMAGE])
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    with av.open(str(tmp_path / "s.mp4"), "w") as container:
        track = container.add_stream("aac", rate=16000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        container.mux(track.encode(samples))
        container.mux(track.encode())
    with pytest.raises(StreamError, match=r"s\.mp4: has no video track"):
        open_stream(tmp_path / "s.mp4", [IMAGE])


def test_video_that_ends_in_the_middle_says_what_is_left(tmp_path: Path) -> None:
    video = _write(tmp_path / "v.mp4", _pictures(40), "mpeg4", "yuv420p")
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(
        StreamError, match=r"v\.mp4: frame (\d+): cannot decode: .*: cut it off with --frames :\1"
    ) as caught:
        list(open_stream(video, [IMAGE]))
    kept = str(caught.value).rpartition(":")[2]
    assert len(list(open_stream(video, [IMAGE], frames=f":{kept}"))) == int(kept) > 0


def test_sound_settings_do_not_fit_a_video(tmp_path: Path, preprocess: Callable[[str], Path]) -> None:
    video = _write(tmp_path / "v.mp4", _pictures(2), "mpeg4", "yuv420p")
    with pytest.raises(StreamError, match=r"\[sound\] is for sound files"):
        open_stream(video, [IMAGE], preprocess=preprocess("[sound]\n"))
