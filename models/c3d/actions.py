"""What happens in a recording: sixteen actions that differ in their motion, as joint angles and paths over time.

Time is in seconds from the middle of the recording. Every action draws its manner (speed, extent, side) from a generator
first and then says where everything is at any times, so that frames can be had in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from reuse_compiler.models.c3d.body import THIGH, Limb, Pose, standing

__all__ = ["ACTIONS", "MOTIONS", "Motion", "perform"]

Track = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """One action at some times.

    Parameters
    ----------
    pose : Pose or None
        Of the person; None where a thing moves and not a person.
    x, y : float64 array, shape [frames]
        Way from the starting place, in heights of the person or radii of the thing's path; y is upward.
    yaw : float64 array, shape [frames]
        Where the person looks.
    scale : float64 array, shape [frames]
        Size, about 1.
    pan : float64 array, shape [frames]
        How far the camera has turned to the right: heights of the person, or a share of the picture's width without one.
    chair : bool
        Whether a chair stands behind the person.
    """

    pose: Pose | None
    x: Track
    y: Track
    yaw: Track
    scale: Track
    pan: Track
    chair: bool = False


def perform(action: str, draw: Generator, time: Track) -> Motion:
    """`action`, one of `ACTIONS`, at `time` (float64 [frames], seconds) in the manner that `draw` gives."""
    return MOTIONS[action](draw, time)


def _still(time: Track, pose: Pose | None, yaw: float = 0.0) -> Motion:
    zero = np.zeros_like(time)
    return Motion(pose, zero, zero, zero + yaw, zero + 1, zero)


def _gait(draw: Generator, time: Track, run: bool) -> tuple[Pose, float]:
    """Legs and arms of somebody who walks or runs, and the way in heights a second that fits the steps."""
    rate = draw.uniform(1.35, 1.8) if run else draw.uniform(0.7, 1.05)
    reach = draw.uniform(0.65, 0.85) if run else draw.uniform(0.36, 0.5)
    fold, elbow = (1.5, 1.5) if run else (0.75, 0.25)
    phase = 2 * np.pi * (rate * time + draw.uniform())
    zero = np.zeros_like(time)
    legs, arms = [], []
    for shift in (0.0, np.pi):
        swing = reach * np.sin(phase + shift)
        knee = fold * (0.12 + np.clip(np.cos(phase + shift), 0, 1) ** 2) * (0.6 + 0.4 * np.sin(phase + shift + 0.5))
        legs.append(Limb(swing + 0.15 * run, zero + 0.02, swing + 0.15 * run - knee, zero))
        arm = -0.9 * reach * np.sin(phase + shift)
        arms.append(Limb(arm, zero + 0.12, arm + elbow + 0.15 * np.sin(phase + shift), zero))
    bounce = (0.045 if run else 0.0) * np.abs(np.sin(phase))
    pose = Pose((arms[0], arms[1]), (legs[0], legs[1]), zero + (0.22 if run else 0.04), bounce)
    return pose, rate * reach * (2.3 if run else 1.75)


def _travel(direction: int, run: bool) -> Callable[[Generator, Track], Motion]:
    def motion(draw: Generator, time: Track) -> Motion:
        pose, pace = _gait(draw, time, run)
        follow = draw.uniform(0.65, 1.0) if run else draw.uniform(0.0, 0.6)
        yaw = direction * draw.uniform(1.2, 1.75)
        way = direction * pace * time
        return replace(_still(time, pose, yaw), x=way, pan=follow * way)

    return motion


def _jump(draw: Generator, time: Track) -> Motion:
    phase = (time * draw.uniform(0.9, 1.4) + draw.uniform()) % 1.0
    height, side = draw.uniform(0.12, 0.22), draw.uniform(-1.2, 1.2)
    flight = np.clip((phase - 0.4) / 0.6, 0, 1)
    rise = height * 4 * flight * (1 - flight)
    crouch = 0.75 * np.sin(np.pi * np.clip(phase / 0.4, 0, 1))
    lift = draw.uniform(0.8, 2.2) * np.sin(np.pi * flight)
    zero = np.zeros_like(time)
    leg = Limb(crouch, zero + 0.06, -crouch, zero + 0.03)
    arm = Limb(zero - 0.5 * crouch, 0.15 + lift, zero + 0.2 - 0.4 * crouch, 0.12 + lift)
    return _still(time, Pose((arm, arm), (leg, leg), 0.5 * crouch, rise), side)


def _wave(draw: Generator, time: Track) -> Motion:
    pose, yaw = standing(len(time)), draw.uniform(-0.6, 0.6)
    angle = draw.uniform(0.45, 0.75) * np.sin(2 * np.pi * (draw.uniform(1.2, 2.2) * time + draw.uniform()))
    zero = np.zeros_like(time)
    upper = zero + draw.uniform(1.5, 2.2)
    arm = Limb(zero + 0.05, upper + 0.2 * angle, zero, np.pi - 0.15 + angle)
    both, side = draw.uniform() < 0.35, int(draw.integers(2))
    arms = (arm, arm) if both else (arm, pose.arms[1]) if side else (pose.arms[0], arm)
    return _still(time, replace(pose, arms=arms), yaw)


def _clap(draw: Generator, time: Track) -> Motion:
    pose, yaw = standing(len(time)), draw.uniform(-0.6, 0.6)
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * (draw.uniform(1.3, 2.4) * time + draw.uniform()))
    open_, raised = draw.uniform(0.7, 1.1), draw.uniform(0.3, 1.2)
    zero = np.zeros_like(time)
    arm = Limb(zero + raised, 0.1 + 0.6 * open_ * swing, zero + raised + 0.9, -0.75 + 1.35 * open_ * swing)
    return _still(time, replace(pose, arms=(arm, arm)), yaw)


def _turn(draw: Generator, time: Track) -> Motion:
    rate = draw.uniform(0.3, 0.65) * draw.choice([-1, 1])
    spread = draw.uniform(0.1, 0.9)
    zero = np.zeros_like(time)
    arm = Limb(zero, zero + spread, zero, zero + spread)
    pose = replace(standing(len(time)), arms=(arm, arm))
    return replace(_still(time, pose), yaw=2 * np.pi * (rate * time + draw.uniform()))


def _sit(direction: int) -> Callable[[Generator, Track], Motion]:
    def motion(draw: Generator, time: Track) -> Motion:
        yaw = draw.uniform(0.7, 1.5) * draw.choice([-1, 1])
        duration, early = draw.uniform(2.3, 2.7), draw.uniform(-0.1, 0.1)
        part = np.clip(0.5 + direction * (time - early) / duration, 0, 1)
        thigh = (np.pi / 2) * (0.85 * part + 0.15 * part**2)
        lean = draw.uniform(0.35, 0.7) * np.sin(np.pi * part)
        zero = np.zeros_like(time)
        leg = Limb(thigh, zero + 0.05, -0.25 * np.sin(np.pi * part), zero)
        hands = draw.uniform(0.2, 0.8) * part + 0.5 * lean
        arm = Limb(hands, zero + 0.1, hands + 0.5 * part, zero)
        pose = Pose((arm, arm), (leg, leg), lean, zero)
        back = -np.sin(yaw) * THIGH * np.sin(thigh)
        return replace(_still(time, pose, yaw), x=back, chair=True)

    return motion


def _circle(direction: int) -> Callable[[Generator, Track], Motion]:
    def motion(draw: Generator, time: Track) -> Motion:
        angle = direction * 2 * np.pi * draw.uniform(0.4, 0.9) * time + draw.uniform(0, 2 * np.pi)
        flat = draw.uniform(0.7, 1.0)
        return replace(_still(time, None), x=np.sin(angle), y=flat * np.cos(angle))

    return motion


def _depth(direction: int) -> Callable[[Generator, Track], Motion]:
    def motion(draw: Generator, time: Track) -> Motion:
        scale = np.exp(direction * draw.uniform(0.3, 0.5) * time)
        pose, _ = _gait(draw, time, run=False)
        yaw = draw.uniform(-0.35, 0.35) + (np.pi if draw.uniform() < 0.4 else 0.0)
        if draw.uniform() < 0.4:
            return replace(_still(time, None), scale=scale)
        return replace(_still(time, pose, yaw), scale=scale)

    return motion


def _pan(direction: int) -> Callable[[Generator, Track], Motion]:
    def motion(draw: Generator, time: Track) -> Motion:
        pose = standing(len(time)) if draw.uniform() < 0.7 else None
        way = direction * draw.uniform(0.35, 0.9) * time
        return replace(_still(time, pose, draw.uniform(-np.pi, np.pi)), pan=way)

    return motion


MOTIONS: dict[str, Callable[[Generator, Track], Motion]] = {
    "walk left": _travel(-1, run=False),
    "walk right": _travel(1, run=False),
    "run left": _travel(-1, run=True),
    "run right": _travel(1, run=True),
    "jump": _jump,
    "wave": _wave,
    "clap": _clap,
    "turn round": _turn,
    "sit down": _sit(1),
    "stand up": _sit(-1),
    "circle clockwise": _circle(1),
    "circle counter-clockwise": _circle(-1),
    "approach": _depth(1),
    "recede": _depth(-1),
    "pan left": _pan(-1),
    "pan right": _pan(1),
}
ACTIONS = tuple(MOTIONS)
