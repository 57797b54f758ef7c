"""A stylised person: joint angles in, joints in space out, drawn as capsules from any side.

Lengths are in body heights. A person's own axes: x to the side, y up, z forward; limbs come in pairs, side -1 and side 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.c3d.brush import Canvas, Places, capsule, disc

__all__ = ["Clothes", "Limb", "Pose", "Stand", "draw", "standing"]

Track = NDArray[np.float64]  # a value a frame, shape [frames]
Points = NDArray[np.float64]  # places in space, shape [frames, 3]

THIGH, SHIN, FOOT = 0.24, 0.23, 0.08
UPPER_ARM, FOREARM = 0.17, 0.17
TRUNK = 0.31  # hips to shoulders
HIP, SHOULDER = 0.055, 0.115  # from the middle
SIDES = (-1.0, 1.0)


@dataclass(frozen=True)
class Limb:
    """Two bones, each by how far it swings forward and how far it spreads to its side from hanging down; radians."""

    swing: Track
    spread: Track
    lower_swing: Track
    lower_spread: Track


@dataclass(frozen=True)
class Pose:
    """Joint angles of a recording: limbs of side -1 and 1, lean of the trunk forward, height above the ground."""

    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    lean: Track
    rise: Track


@dataclass(frozen=True)
class Clothes:
    """Radiance of each part, float32 [3], and how stout the person is (about 1)."""

    skin: NDArray[np.float32]
    hair: NDArray[np.float32]
    shirt: NDArray[np.float32]
    badge: NDArray[np.float32]
    trousers: NDArray[np.float32]
    shoes: NDArray[np.float32]
    girth: float


@dataclass(frozen=True)
class Stand:
    """Where a person stands and looks: `foot` [frames, 2] on the picture, height in pixels, yaw (0 faces the camera,
    pi / 2 looks to the right)."""

    foot: Places
    height: Track
    yaw: Track


def standing(frames: int) -> Pose:
    """Arms and legs hanging."""
    still = np.zeros(frames)
    arm = Limb(still, still + 0.12, still + 0.1, still + 0.06)
    leg = Limb(still, still + 0.03, still, still + 0.02)
    return Pose((arm, arm), (leg, leg), still, still)


@dataclass(frozen=True)
class _Skeleton:
    """Joints in space: hips, neck, head, and for each side shoulder, elbow, hand; hip, knee, ankle, toe."""

    hips: Points
    neck: Points
    head: Points
    arms: tuple[tuple[Points, Points, Points], ...]
    legs: tuple[tuple[Points, Points, Points, Points], ...]


def draw(canvas: Canvas, pose: Pose, stand: Stand, clothes: Clothes) -> None:
    """Draw the person into every frame of `canvas`, float32 [frames, rows, columns, 3]."""
    skeleton, view = _skeleton(pose), _View(stand)
    for behind in (True, False):
        if not behind:
            _trunk(canvas, skeleton, view, clothes)
        for leg in skeleton.legs:
            _chain(
                canvas,
                view,
                leg,
                (0.052, 0.042, 0.03),
                (clothes.trousers, clothes.trousers, clothes.shoes),
                behind,
                clothes,
            )
        if not behind:
            _front(canvas, skeleton, view, clothes)
        for arm in skeleton.arms:
            _chain(canvas, view, arm, (0.036, 0.03), (clothes.shirt, clothes.skin), behind, clothes)


@dataclass(frozen=True)
class _View:
    stand: Stand

    def project(self, points: Points) -> Places:
        yaw, height = self.stand.yaw, self.stand.height
        across = points[:, 0] * np.cos(yaw) + points[:, 2] * np.sin(yaw)
        return self.stand.foot + np.stack([across * height, -points[:, 1] * height], axis=1)

    def nearness(self, points: Points) -> Track:
        """Towards the camera."""
        return points[:, 2] * np.cos(self.stand.yaw) - points[:, 0] * np.sin(self.stand.yaw)


def _chain(
    canvas: Canvas,
    view: _View,
    joints: tuple[Points, ...],
    radii: tuple[float, ...],
    colours: tuple[NDArray[np.float32], ...],
    behind: bool,
    clothes: Clothes,
) -> None:
    """Bones from joint to joint, in the frames where they lie behind the trunk, or those where they do not."""
    shown = (view.nearness(joints[1] + joints[2]) < -0.02) == behind
    shade = np.float32(0.72 if behind else 1.0)
    places = [view.project(joint) for joint in joints]
    for start, end, radius, colour in zip(places, places[1:], radii, colours, strict=False):
        capsule(canvas, start, end, radius * clothes.girth * view.stand.height, shade * colour, shown)


def _trunk(canvas: Canvas, skeleton: _Skeleton, view: _View, clothes: Clothes) -> None:
    height, hips, neck = view.stand.height, view.project(skeleton.hips), view.project(skeleton.neck)
    (left, _, _), (right, _, _) = skeleton.arms
    capsule(canvas, hips, hips + 0.3 * (neck - hips), 0.078 * clothes.girth * height, clothes.trousers)
    capsule(canvas, hips + 0.3 * (neck - hips), neck, 0.083 * clothes.girth * height, clothes.shirt)
    capsule(canvas, view.project(left), view.project(right), 0.042 * clothes.girth * height, clothes.shirt)


def _front(canvas: Canvas, skeleton: _Skeleton, view: _View, clothes: Clothes) -> None:
    """Badge on the chest, neck, head and hair; hair covers the face of who looks away."""
    height = view.stand.height
    forward = np.array([0.0, 0.0, 1.0])
    chest = skeleton.hips + 0.75 * (skeleton.neck - skeleton.hips) + 0.075 * forward
    facing = np.cos(view.stand.yaw) > 0
    disc(canvas, view.project(chest), 0.04 * height * np.abs(np.cos(view.stand.yaw)), clothes.badge, facing)
    head = view.project(skeleton.head)
    capsule(canvas, view.project(skeleton.neck), head, 0.032 * height, np.float32(0.85) * clothes.skin)
    hair = view.project(skeleton.head + np.array([0.0, 0.028, -0.03]))
    disc(canvas, hair, 0.072 * height, clothes.hair, facing)
    disc(canvas, head, 0.068 * height, clothes.skin)
    top = view.project(skeleton.head + np.array([0.0, 0.045, -0.012]))
    disc(canvas, top, 0.05 * height, clothes.hair)
    disc(canvas, hair, 0.074 * height, clothes.hair, ~facing)


def _skeleton(pose: Pose) -> _Skeleton:
    frames = len(pose.lean)
    reach = [
        THIGH * np.cos(leg.swing) * np.cos(leg.spread) + SHIN * np.cos(leg.lower_swing) * np.cos(leg.lower_spread)
        for leg in pose.legs
    ]
    hips = np.zeros((frames, 3))
    hips[:, 1] = np.maximum(*reach) + 0.03 + pose.rise
    up = np.stack([np.zeros(frames), np.cos(pose.lean), np.sin(pose.lean)], axis=1)
    neck = hips + TRUNK * up
    arms = tuple(_arm(neck, arm, side) for arm, side in zip(pose.arms, SIDES, strict=True))
    legs = tuple(_leg(hips, leg, side) for leg, side in zip(pose.legs, SIDES, strict=True))
    return _Skeleton(hips, neck, neck + 0.115 * up, arms, legs)


def _arm(neck: Points, arm: Limb, side: float) -> tuple[Points, Points, Points]:
    shoulder = neck + np.array([side * SHOULDER, -0.015, 0.0])
    elbow = shoulder + UPPER_ARM * _hanging(arm.swing, arm.spread, side)
    return shoulder, elbow, elbow + FOREARM * _hanging(arm.lower_swing, arm.lower_spread, side)


def _leg(hips: Points, leg: Limb, side: float) -> tuple[Points, Points, Points, Points]:
    hip = hips + np.array([side * HIP, 0.0, 0.0])
    knee = hip + THIGH * _hanging(leg.swing, leg.spread, side)
    ankle = knee + SHIN * _hanging(leg.lower_swing, leg.lower_spread, side)
    sole = np.stack([np.zeros_like(leg.swing), 0.5 * np.sin(leg.lower_swing), np.cos(leg.lower_swing)], axis=1)
    return hip, knee, ankle, ankle + FOOT * sole


def _hanging(swing: Track, spread: Track, side: float) -> Points:
    """Direction of a bone."""
    down = np.cos(spread)
    return np.stack([side * np.sin(spread), -down * np.cos(swing), down * np.sin(swing)], axis=1)
