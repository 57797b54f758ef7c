"""Clips of 16 frames from rendered recordings of 48, and from videos: what the C3D networks see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models.c3d.actions import ACTIONS
from reuse_compiler.models.c3d.backdrop import SIZE
from reuse_compiler.models.c3d.network import INPUT_SHAPE
from reuse_compiler.models.c3d.stage import film
from reuse_compiler.streams.resize import resize
from reuse_compiler.streams.video import open_video

__all__ = [
    "CALIBRATION_SEED",
    "CLIP",
    "EVALUATION_SEED",
    "TRAINING_SEEDS",
    "labelled",
    "of_video",
    "prepare",
    "unlabelled",
]

CLIP = INPUT_SHAPE[2]  # frames
TRAINING_SEEDS = range(900_000)
CALIBRATION_SEED = 800_000  # one of them
EVALUATION_SEED = 1_000_003
_STEP = 5  # through the actions from recording to recording; coprime to their number

Clip = dict[str, NDArray[np.float32] | NDArray[np.int64] | bool]


def labelled(clips: int | None, hop: int, seed: int) -> Iterator[Clip]:
    """Clips of one recording after another, of seeds `seed`, `seed` + 1, ..; sixteen recordings show all actions.

    Parameters
    ----------
    clips : int, optional
        How many; None for a stream without end.
    hop : int
        Frames from the start of a clip to that of the next one. A recording gives ``(48 - 16) // hop + 1``.
    seed : int
        Of the first recording. Training used seeds below 900,000.

    Yields
    ------
    dict
        ``clip`` float32 [1, 3, 16, 112, 112] in [-1, 1]; ``__labels__`` int64 [1], index into `ACTIONS`; ``__start__``, true
        for the first clip of a recording.

    Raises
    ------
    StreamError
        If `hop` is not positive or `seed` is negative.
    """
    number, left = 0, clips
    while left is None or left > 0:
        action = number * _STEP % len(ACTIONS)
        for frames in _cut(iter(film(action, seed + number)), hop):
            if left == 0:
                return
            yield {**frames, "__labels__": np.array([action])}
            left = None if left is None else left - 1
        number += 1


def unlabelled(clips: int | None, hop: int, seed: int) -> Iterator[Clip]:
    """`labelled` for a network that does not know the actions."""
    for clip in labelled(clips, hop, seed):
        del clip["__labels__"]
        yield clip


def of_video(path: str | Path, hop: int = CLIP) -> Iterator[Clip]:
    """Clips of a video file at its own rate: the square in the middle of every picture, resized to 112 x 112.

    The video is one sequence. Frames at its end that make no whole clip are left out.

    Raises
    ------
    StreamError
        If `hop` is not positive, the file cannot be decoded, or PyAV (extra ``video``) is missing.
    """
    samples = open_video(Path(path), "clip").read(0)
    return _cut((_square(sample.arrays["clip"]) for sample in samples), hop)


def prepare(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's input float32 [1, 3, 16, 112, 112] of RGB pictures uint8 [16, 112, 112, 3]: ``v / 127.5 - 1``."""
    clip = pictures.transpose(3, 0, 1, 2)[None].astype(np.float32)
    clip /= np.float32(127.5)
    clip -= np.float32(1)
    return np.ascontiguousarray(clip)


def _cut(pictures: Iterator[NDArray[np.uint8]], hop: int) -> Iterator[Clip]:
    if hop < 1:
        raise StreamError(f"hop is {hop}: give 1 or more frames from clip to clip")
    held: list[NDArray[np.uint8]] = []
    start, skip = True, 0
    for picture in pictures:
        if skip:
            skip -= 1
            continue
        held.append(picture)
        if len(held) == CLIP:
            yield {"clip": prepare(np.stack(held)), "__start__": start}
            start, skip = False, max(hop - CLIP, 0)
            del held[:hop]


def _square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = min(picture.shape[:2])
    top, left = ((size - side) // 2 for size in picture.shape[:2])
    return resize(picture[top : top + side, left : left + side], SIZE, SIZE, "area")
