"""What stands or drives beside and before the car: trees, marker posts, other cars, found from the seed at any place and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.autopilot.noise import smooth, uniform
from reuse_compiler.models.autopilot.road import LANE_CENTRE, Moment

__all__ = ["Thing", "in_view"]

TREE_SPACING, POST_SPACING, CAR_SPACING = 9.0, 40.0, 110.0
REACH = {"tree": 260.0, "post": 120.0, "car": 230.0}
PASSED = {"tree": -4.5, "post": -2.5, "leader": 0.0, "oncoming": 4.0}  # metres behind the camera that still show
FADE = 80.0  # metres over which things come out of the haze at the end of their reach
ONCOMING_SPEED = 21.0

_COATS = np.array(
    [(0.5, 0.5, 0.52), (0.7, 0.7, 0.7), (0.03, 0.03, 0.035), (0.35, 0.03, 0.03), (0.04, 0.08, 0.25), (0.2, 0.2, 0.19)],
    np.float32,
)

Colour = NDArray[np.float32]


@dataclass(frozen=True)
class Thing:
    """One object: `kind` is tree, post, leader or oncoming; x, z its foot in the car's frame; sizes in metres.

    `heading` is its direction against the car's own, `colour` its linear RGB, `shape` a number that varies its form,
    `opacity` falls to 0 at the end of its kind's reach.
    """

    kind: str
    x: float
    z: float
    heading: float
    width: float
    height: float
    colour: Colour
    shape: float
    opacity: float


@dataclass(frozen=True)
class _Placed:
    kind: str
    s: float
    u: float
    width: float
    height: float
    colour: Colour
    shape: float


def in_view(moment: Moment, seed: int, leaves: Colour) -> list[Thing]:
    """The things in front of the car at a moment, the farthest first."""
    placed = [*_trees(moment, seed, leaves), *_posts(moment), *_cars(moment, seed)]
    path = moment.path
    s = np.array([thing.s for thing in placed])
    u = np.array([thing.u for thing in placed])
    heading = np.interp(s, path.s, path.heading)
    behind = np.minimum(s - path.s[0], 0)
    x = np.interp(s, path.s, path.x) + u * np.cos(heading) + behind * np.sin(heading)
    z = np.interp(s, path.s, path.z) - u * np.sin(heading) + behind * np.cos(heading)
    passed = np.array([PASSED[thing.kind] for thing in placed])
    order = np.argsort(-z, kind="stable")
    seen = order[((z > -passed) & (np.abs(x) < 0.75 * np.maximum(z, 0) + 6))[order]]
    reach = np.array([REACH.get(thing.kind, REACH["car"]) for thing in placed])
    opacity = np.clip((moment.pose.s + reach - s) / FADE, 0, 1)
    return [_stand(placed[i], float(x[i]), float(z[i]), float(heading[i]), float(opacity[i])) for i in seen]


def _stand(placed: _Placed, x: float, z: float, heading: float, opacity: float) -> Thing:
    return Thing(placed.kind, x, z, heading, placed.width, placed.height, placed.colour, placed.shape, opacity)


def _slots(moment: Moment, spacing: float, reach: float) -> NDArray[np.int64]:
    first = int(np.ceil(moment.pose.s / spacing))
    return np.arange(first, int((moment.pose.s + reach) // spacing) + 1)


def _trees(moment: Moment, seed: int, leaves: Colour) -> Iterator[_Placed]:
    slots = _slots(moment, TREE_SPACING, REACH["tree"])
    draw = uniform(seed, 61, slots[:, None] * 8 + np.arange(8))
    density = 0.5 + 0.9 * smooth(seed, 62, slots * TREE_SPACING, 90.0)
    for slot, (there, side, place, distance, size, tint, form, _), share in zip(slots, draw, density, strict=True):
        if there > share:
            continue
        height = 2.5 + 7.0 * size**2
        u = (9.0 + 16.0 * distance**1.5) * (1 if side < 0.5 else -1)
        colour = leaves * np.float32(0.6 + 0.9 * tint)
        yield _Placed("tree", (slot + place) * TREE_SPACING, u, height * (0.5 + 0.35 * form), height, colour, form)


def _posts(moment: Moment) -> Iterator[_Placed]:
    white = np.full(3, 0.75, np.float32)
    for slot in _slots(moment, POST_SPACING, REACH["post"]):
        for side in (-1, 1):
            yield _Placed("post", slot * POST_SPACING, side * 4.6, 0.13, 1.05, white, 0.0)


def _cars(moment: Moment, seed: int) -> Iterator[_Placed]:
    nearness, sway = smooth(seed, [63, 64], moment.time, [14.0, 4.0])
    gap = float(15.0 * np.exp(1.4 * (1 - nearness)))
    if gap < REACH["car"]:
        yield _car("leader", moment.pose.s + gap, float(LANE_CENTRE + 0.5 * sway), uniform(seed, 65, np.arange(4)))
    travelled = -ONCOMING_SPEED * moment.time
    first = int(np.floor((moment.pose.s - travelled) / CAR_SPACING))
    slots = np.arange(first - 1, first + int(REACH["car"] // CAR_SPACING) + 2)
    draw = uniform(seed, 66, slots[:, None] * 8 + np.arange(8))
    for slot, row in zip(slots, draw, strict=True):
        s = (slot + 0.8 * row[4]) * CAR_SPACING + travelled
        if row[5] < 0.55 and moment.pose.s - PASSED["oncoming"] < s < moment.pose.s + REACH["car"]:
            yield _car("oncoming", s, -LANE_CENTRE + 0.5 * (row[6] - 0.5), row[:4])


def _car(kind: str, s: float, u: float, draw: NDArray[np.float64]) -> _Placed:
    tall = draw[0] > 0.7
    width, height = 1.75 + 0.15 * draw[1], (1.9 if tall else 1.42) + 0.1 * draw[2]
    coat = _COATS[int(draw[3] * len(_COATS))]
    return _Placed(kind, s, u, float(width), float(height), coat, float(tall))
