"""Rendered recordings of actions: the same from the same seed, whole or in parts, and told apart by their motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.models import c3d
from reuse_compiler.models.c3d.actions import ACTIONS, perform
from reuse_compiler.models.c3d.recording import labelled
from reuse_compiler.models.c3d.stage import FRAMES, RATE, film


def test_a_recording_follows_its_seed_and_action() -> None:
    first = film(4, 7, 0, 16)
    assert first.shape == (16, 112, 112, 3) and first.dtype == np.uint8
    assert np.array_equal(first, film(4, 7, 0, 16))
    assert not np.array_equal(first, film(4, 8, 0, 16))
    assert not np.array_equal(first, film(5, 7, 0, 16))


@pytest.mark.parametrize("action", [2, 7, 9, 11, 15])
def test_a_part_has_the_pixels_of_the_whole(action: int) -> None:
    assert np.array_equal(film(action, 3, 20, 5), film(action, 3)[20:25])


def test_every_action_moves() -> None:
    for action in range(len(ACTIONS)):
        frames = film(action, 12).astype(np.float32)
        noise = np.abs(np.diff(film(action, 12, 10, 2).astype(np.float32), axis=0))
        change = np.abs(frames[16] - frames[0]).mean()
        assert change > 1.2 * np.median(noise), ACTIONS[action]


def test_opposite_actions_move_oppositely() -> None:
    time = np.arange(-8, 8) / RATE
    motion = {name: perform(name, np.random.default_rng(1), time) for name in ACTIONS}
    for verb in ("walk", "run"):
        assert motion[f"{verb} left"].x[-1] < motion[f"{verb} left"].x[0]
        assert motion[f"{verb} right"].x[-1] > motion[f"{verb} right"].x[0]
    assert motion["approach"].scale[-1] > motion["approach"].scale[0]
    assert motion["recede"].scale[-1] < motion["recede"].scale[0]
    assert motion["pan left"].pan[-1] < 0 < motion["pan right"].pan[-1]
    assert np.ptp(motion["turn round"].yaw) > 1
    for name, sense in (("circle clockwise", -1), ("circle counter-clockwise", 1)):
        x, y = motion[name].x, motion[name].y  # y is upward
        assert (sense * (x[:-1] * y[1:] - y[:-1] * x[1:]) > 0).all()


@pytest.mark.parametrize(("one", "other"), [("sit down", "stand up"), ("pan left", "pan right")])
def test_one_frame_does_not_tell_an_action_from_its_opposite(one: str, other: str) -> None:
    middle = np.zeros(1)
    first, second = (perform(name, np.random.default_rng(5), middle) for name in (one, other))
    assert first.pan == pytest.approx(second.pan)
    assert first.chair == second.chair
    assert first.yaw == second.yaw


def test_clips_come_with_starts_and_labels() -> None:
    clips = list(labelled(7, 16, 1_000_003))
    assert [clip["__start__"] for clip in clips] == [True, False, False, True, False, False, True]
    assert [int(np.ravel(clip["__labels__"])[0]) for clip in clips] == [0, 0, 0, 5, 5, 5, 10]
    array: Any = clips[3]["clip"]
    assert array.shape == (1, 3, 16, 112, 112) and array.dtype == np.float32
    assert -1 <= array.min() < array.max() <= 1
    pictures = film(5, 1_000_004, 0, 16)
    np.testing.assert_allclose(array[0].transpose(1, 2, 3, 0), pictures / 127.5 - 1, atol=1e-6)


def test_sixteen_recordings_show_every_action() -> None:
    hop = FRAMES  # one clip a recording
    seen = [int(np.ravel(clip["__labels__"])[0]) for clip in labelled(16, hop, 5)]
    assert sorted(seen) == list(range(16))


def test_sliding_clips_share_all_frames_but_one() -> None:
    clips: list[Any] = list(c3d.sliding(34))
    assert [number for number, clip in enumerate(clips) if clip["__start__"]] == [0, 33]
    assert np.array_equal(clips[0]["clip"][:, :, 1:], clips[1]["clip"][:, :, :-1])
    assert "__labels__" not in clips[0]


def test_calibration_has_other_recordings() -> None:
    (ours,), (theirs,) = c3d.calibration(1), c3d.stream(1)
    assert not np.array_equal(ours["clip"], theirs["clip"])


def test_a_video_becomes_clips_of_its_middle(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream("ffv1", rate=20)
        track.width, track.height, track.pix_fmt = 320, 224, "bgr0"
        for number in range(40):
            picture = np.zeros((224, 320, 3), np.uint8)
            picture[:, 48:272] = 4 * number
            for packet in track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in track.encode():
            container.mux(packet)
    clips: list[Any] = list(c3d.of_video(path, hop=20))
    assert [clip["__start__"] for clip in clips] == [True, False]
    assert clips[1]["clip"].shape == (1, 3, 16, 112, 112)
    np.testing.assert_allclose(clips[1]["clip"][0, 0, :, 50, 50], 4 * np.arange(20, 36) / 127.5 - 1, atol=1e-6)
    assert clips[1]["clip"].std(axis=(3, 4)).max() < 1e-6


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(StreamError, match=r"hop is 0: give 1 or more"):
        next(c3d.stream(1, hop=0))
    with pytest.raises(StreamError, match=r"seed of the recording is -1"):
        next(c3d.stream(1, seed=-1))
    with pytest.raises(StreamError, match=r"frames 40 to 56: a recording has 48"):
        film(0, 0, 40, 16)
    with pytest.raises(StreamError, match=r"action is 16: give 0 to 15"):
        film(16, 0)
