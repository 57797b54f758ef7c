"""Films an action: casts it with somebody or something of random looks, at a random place, before a random backdrop."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models.c3d import body
from reuse_compiler.models.c3d.actions import ACTIONS, Motion, perform
from reuse_compiler.models.c3d.backdrop import SIZE, backdrop, view
from reuse_compiler.models.c3d.brush import Canvas, Places, capsule, disc
from reuse_compiler.models.c3d.sensor import develop, exposure, shake

__all__ = ["FRAMES", "RATE", "film"]

FRAMES = 48  # of a recording
RATE = 20.0  # frames a second

Track = NDArray[np.float64]


def film(action: int, seed: int, first: int = 0, frames: int = FRAMES) -> NDArray[np.uint8]:
    """Frames `first` and on of the recording of an action, RGB uint8 [frames, 112, 112, 3].

    Parameters
    ----------
    action : int
        Index into `ACTIONS`.
    seed : int
        Manner of the action, looks, place, backdrop, light, shake and noise of the sensor.
    first, frames : int
        The part of the recording, which has `FRAMES` frames at `RATE` frames a second. A part has the same pixels as the
        whole has there.

    Raises
    ------
    StreamError
        If there is no such action or part, or the seed is negative.
    """
    _check(action, seed, first, frames)
    time: Track = (np.arange(first, first + frames, dtype=np.float64) - (FRAMES - 1) / 2) / RATE
    name = ACTIONS[action]
    motion = perform(name, np.random.default_rng([seed, action, 1]), time)
    draw = np.random.default_rng([seed, action, 2])
    height, ground = draw.uniform(42, 78), draw.uniform(88, 106)
    place = SIZE / 2 + draw.uniform(-14, 14)
    moved = shake(seed, time, max(draw.uniform(-0.7, 1.0), 0.0))  # some cameras stand on a tripod
    unit = SIZE if motion.pose is None else height
    pan = motion.pan * unit
    canvas = view(backdrop(draw, ground), pan + moved[:, 0] + draw.uniform(0, 256), moved[:, 1])
    seen = np.stack([place - pan - moved[:, 0], ground - moved[:, 1]], axis=1)
    if motion.pose is None:
        _thing(canvas, motion, draw, seen)
    else:
        _person(canvas, motion, draw, seen, height)
    canvas *= (draw.uniform(0.6, 1.25) * exposure(seed, time)).astype(np.float32)[:, None, None, None]
    return develop(canvas, seed, first)


def _check(action: int, seed: int, first: int, frames: int) -> None:
    if not 0 <= action < len(ACTIONS):
        raise StreamError(f"action is {action}: give 0 to {len(ACTIONS) - 1}")
    if seed < 0:
        raise StreamError(f"seed of the recording is {seed}: give 0 or more")
    if first < 0 or frames < 1 or first + frames > FRAMES:
        raise StreamError(f"frames {first} to {first + frames}: a recording has {FRAMES}")


def _person(canvas: Canvas, motion: Motion, draw: Generator, seen: Places, height: float) -> None:
    assert motion.pose is not None
    clothes = _clothes(draw)
    tall = height * motion.scale
    foot = seen + np.stack([motion.x, -motion.y], axis=1) * tall[:, None]
    foot[:, 1] += 14 * (motion.scale - 1)  # who is nearer stands lower in the picture
    _shadow(canvas, foot, 0.13 * tall)
    if motion.chair:
        _chair(canvas, draw, seen, np.sign(np.sin(motion.yaw)), height)
    body.draw(canvas, motion.pose, body.Stand(foot, tall, motion.yaw), clothes)


def _thing(canvas: Canvas, motion: Motion, draw: Generator, seen: Places) -> None:
    """A ball, a bar or a dumb-bell; and sometimes somebody who looks on."""
    if draw.uniform() < 0.4:
        pose, yaw = body.standing(len(motion.x)), np.full(len(motion.x), draw.uniform(-np.pi, np.pi))
        height, aside = np.full(len(motion.x), draw.uniform(35, 60)), draw.uniform(25, 45) * draw.choice([-1, 1])
        stand = body.Stand(seen + np.array([aside, -draw.uniform(0, 6)]), height, yaw)
        body.draw(canvas, pose, stand, _clothes(draw))
    way, size = draw.uniform(16, 34), draw.uniform(6, 12)
    centre = seen + np.array([0.0, -draw.uniform(38, 52)])
    at = centre + way * np.stack([motion.x, -motion.y], axis=1)
    radius = size * motion.scale
    ray = draw.uniform(0.5, 1.6) * np.array([np.cos(tilt := draw.uniform(0, np.pi)), np.sin(tilt)]) * radius[:, None]
    colours = draw.uniform(0.03, 0.95, (3, 3)).astype(np.float32)
    shape = draw.integers(3)
    if shape == 0:
        disc(canvas, at, radius, colours[0])
        disc(canvas, at - 0.3 * radius[:, None], 0.35 * radius, colours[1])
    elif shape == 1:
        capsule(canvas, at - ray, at + ray, 0.55 * radius, colours[0])
        disc(canvas, at, 0.3 * radius, colours[1])
    else:
        capsule(canvas, at - ray, at + ray, 0.25 * radius, colours[2])
        disc(canvas, at - ray, 0.7 * radius, colours[0])
        disc(canvas, at + ray, 0.7 * radius, colours[1])


def _shadow(canvas: Canvas, foot: Places, width: Track) -> None:
    aside = np.stack([width, np.zeros_like(width)], axis=1)
    rows = slice(int(np.clip(foot[:, 1].min() - 4, 0, SIZE)), int(np.clip(foot[:, 1].max() + 5, 0, SIZE)))
    if rows.start >= rows.stop:
        return
    lit = canvas[:, rows]
    dark = np.float32(0.55) * lit
    mask = np.zeros((*lit.shape[:3], 3), np.float32)
    capsule(
        mask, foot - aside - [0, rows.start], foot + aside - [0, rows.start], 0.16 * width + 1, np.ones(3, np.float32)
    )
    lit += mask * (dark - lit)


def _chair(canvas: Canvas, draw: Generator, seen: Places, side: Track, height: float) -> None:
    wood = draw.uniform(0.03, 0.5, 3).astype(np.float32)
    thick = np.full(len(seen), 0.022 * height)

    def at(back: float, up: float) -> Places:
        return seen + height * np.stack([-side * back, np.full(len(seen), -up)], axis=1)

    for start, end in (((0.12, 0.0), (0.12, 0.2)), ((0.36, 0.0), (0.36, 0.5)), ((0.12, 0.2), (0.36, 0.2))):
        capsule(canvas, at(*start), at(*end), thick, wood)


def _clothes(draw: Generator) -> body.Clothes:
    skin = (np.array([0.75, 0.5, 0.38]) * draw.uniform(0.12, 1.0)).astype(np.float32)
    shirt, badge, trousers = draw.uniform(0.02, 0.9, (3, 3)).astype(np.float32)
    hair, shoes = (np.array([0.5, 0.35, 0.2]) * draw.uniform(0.03, 1.0, (2, 1))).astype(np.float32)
    return body.Clothes(skin, hair, shirt, badge, trousers, shoes, draw.uniform(0.85, 1.25))
