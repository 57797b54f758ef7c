"""The driving stream: a dash camera's recording, rendered on demand from a seed, at 30 frames/s and of any length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models.autopilot import backdrop, brush, ground, things
from reuse_compiler.models.autopilot.camera import COLUMNS, ROWS, develop, mount
from reuse_compiler.models.autopilot.palette import light, palette
from reuse_compiler.models.autopilot.picture import blend, clip
from reuse_compiler.models.autopilot.road import Moment, Road, drive
from reuse_compiler.streams.resize import resize
from reuse_compiler.streams.video import open_video

__all__ = ["EVALUATION_SEED", "TRAINING_SEEDS", "labelled", "of_video", "photograph", "prepare", "sequences", "stream"]

EVALUATION_SEED = 1_000_003
TRAINING_SEEDS = range(100_000)

Frame = dict[str, NDArray[np.float32]]


def stream(frames: int | None = 300, seed: int = EVALUATION_SEED) -> Iterator[Frame]:
    """A drive as the network sees it: ``{"image": float32 [1, 3, 66, 200]}`` in [-1, 1], frame after frame.

    Frames are rendered as they are asked for. The drive of a seed is always the same, and a shorter one is the
    beginning of a longer one.

    Parameters
    ----------
    frames : int, optional
        How many, at 30 frames/s; None for a stream without end.
    seed : int
        The road, its surroundings, the traffic, the light, the driver and the sensor's noise. Training used seeds
        below 100,000.
    """
    return (frame for frame, _ in labelled(frames, seed))


def labelled(frames: int | None = 300, seed: int = EVALUATION_SEED) -> Iterator[tuple[Frame, float]]:
    """`stream` with the angle of the steering wheel (radians, to the right) beside every frame, from the road's geometry."""
    if seed < 0:
        raise StreamError(f"seed of the driving stream is {seed}: give 0 or more")
    for number, moment in enumerate(drive(Road(seed), seed, frames)):
        yield {"image": prepare(photograph(moment, seed, number))}, moment.angle


def sequences(
    count: int = 3, frames: int = 100, seed: int = EVALUATION_SEED
) -> Iterator[dict[str, NDArray[np.float32] | bool]]:
    """Several drives one after the other, of seeds `seed`, `seed` + 1, ..: `stream` with ``__start__`` true where one starts."""
    for drive_seed in range(seed, seed + count):
        for number, frame in enumerate(stream(frames, drive_seed)):
            yield {**frame, "__start__": number == 0}


def of_video(path: str | Path) -> Iterator[Frame]:
    """The pictures of a video file as the network takes them: whole, averaged down to 200 x 66.

    Raises StreamError where the file cannot be decoded, or PyAV (extra ``video``) is missing.
    """
    for sample in open_video(Path(path), "image").read(0):
        yield {"image": prepare(resize(sample.arrays["image"], COLUMNS, ROWS, "area"))}


def prepare(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's input float32 [1, 3, 66, 200] in [-1, 1] of an RGB picture uint8 [66, 200, 3]: ``v / 127.5 - 1``."""
    return (picture.transpose(2, 0, 1)[None].astype(np.float32)) / np.float32(127.5) - np.float32(1)


def photograph(moment: Moment, seed: int, number: int) -> NDArray[np.uint8]:
    """The camera's picture of a moment, RGB uint8 [66, 200, 3]; `number` is the frame's, for the sensor's noise."""
    colours = palette(seed)
    seat = mount(seed, moment.time)
    below = ground.rows_below_horizon(seat, ROWS)
    picture = np.empty((ROWS, COLUMNS, 3), np.float32)
    first, last = int((below < -0.5).all(axis=1).sum()), int((below < 0.5).any(axis=1).sum())
    picture[:last] = backdrop.view(below[:last], seat, moment.yaw, moment.time, seed, colours)
    near = ground.view(below[first:], seat, moment, seed, colours)
    picture[last:] = near[last - first :]
    blend(picture[first:last], clip(below[first:last] + np.float32(0.5), 0, 1), near[: last - first])
    for thing in things.in_view(moment, seed, colours.leaves):
        brush.paint(picture, thing, seat, colours)
    picture *= np.float32(light(seed, moment.time))
    return develop(picture, seed, number)
