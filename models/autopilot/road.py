"""The road and the drive: where the lane lies before the car, and the angle of the steering wheel that keeps it there.

Lengths are in metres, angles in radians, times in seconds. The road is a curve with arc length `s`; beside it `u` counts
to the right. Curvature is positive where the road bends to the right, and so is every angle. In the car's own frame `x`
points to the right and `z` forward.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.autopilot.noise import smooth

__all__ = ["FRAME_RATE", "LANE_CENTRE", "Moment", "Path", "Pose", "Road", "drive", "steering_angle"]

FRAME_RATE = 30.0
LANE_CENTRE = 1.75
LOOKAHEAD = 20.0
WHEELBASE = 2.7
STEERING_RATIO = 16.0
STEERING_LAG = 0.25

_AHEAD = np.concatenate([np.arange(0.0, 40.0, 1.0), np.arange(40.0, 120.0, 2.5), np.arange(120.0, 421.0, 10.0)])

Line = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where the car is: arc length, metres to the right of the lane's centre, heading to the right of the road's."""

    s: float
    offset: float = 0.0
    heading: float = 0.0


@dataclass(frozen=True)
class Path:
    """The road's centre line ahead, in the car's frame: float64 [points], from the car's arc length on.

    `heading` is the direction of the line against the car's own.
    """

    s: Line
    x: Line
    z: Line
    heading: Line

    def beside(self, u: float) -> tuple[Line, Line]:
        """x and z of the line that runs `u` metres to the right of the centre line."""
        return self.x + u * np.cos(self.heading), self.z - u * np.sin(self.heading)


@dataclass(frozen=True)
class Road:
    """A road without end. `bend` scales its curvature: 0 is a straight road, -1 the mirror image of 1."""

    seed: int
    bend: float = 1.0

    def curvature(self, s: Line) -> Line:
        """Curvature in 1/m at arc lengths `s`: a smooth process, radii seldom below 120 m."""
        wide, tight = smooth(self.seed, [[1], [2]], s, [[160.0], [60.0]])
        return np.asarray(self.bend * (0.0055 * wide + 0.0030 * tight))

    def ahead(self, pose: Pose) -> Path:
        """The road's centre line from the pose on, about 400 m of it."""
        s = pose.s + _AHEAD
        curvature = self.curvature(s)
        gaps = np.diff(_AHEAD)
        heading = -pose.heading + _integral((curvature[1:] + curvature[:-1]) / 2, gaps)
        middle = (heading[1:] + heading[:-1]) / 2
        u = LANE_CENTRE + pose.offset
        x = -u * math.cos(heading[0]) + _integral(np.sin(middle), gaps)
        z = u * math.sin(heading[0]) + _integral(np.cos(middle), gaps)
        return Path(s, x, z, heading)


@dataclass(frozen=True)
class Moment:
    """One instant of a drive. `yaw` is the car's direction in the world; `angle` the steering wheel's, see `steering_angle`."""

    time: float
    pose: Pose
    path: Path
    yaw: float
    speed: float
    angle: float


def steering_angle(path: Path, aim: float = 0.0) -> float:
    """Angle of the steering wheel, in radians, that leads the car to the centre of its lane 20 m ahead.

    Pure pursuit (Coulter, CMU-RI-TR-92-01): the arc through the car and the lane's point at distance `L` has curvature
    ``2 x / L**2``; a bicycle of wheelbase 2.7 m follows it at ``atan(2.7 * curvature)``, times the steering ratio of 16.
    `aim` shifts the point aimed at to the right of the lane's centre.
    """
    return STEERING_RATIO * math.atan(WHEELBASE * _pursuit(path, aim))


def drive(road: Road, seed: int, frames: int | None = None) -> Iterator[Moment]:
    """A driver's way along the road, frame by frame at 30 frames/s, without end if `frames` is None.

    The driver pursues a point that wanders some decimetres about the lane's centre and turns the wheel with a lag of
    0.25 s; speed varies between some 16 and 25 m/s. The car moves as a kinematic bicycle in the road's own coordinates.
    """
    pose, yaw, turned = Pose(0.0), 0.0, None
    step = 1 / FRAME_RATE
    number = 0
    while frames is None or number < frames:
        time = number * step
        path = road.ahead(pose)
        pace, aim = smooth(seed, [11, 12], time, [9.0, 3.5])
        speed = float(20.5 + 5.0 * pace)
        yield Moment(time, pose, path, yaw, speed, steering_angle(path))
        wanted = _pursuit(path, float(0.6 * aim))
        turned = wanted if turned is None else turned + (wanted - turned) * step / STEERING_LAG
        under = float(road.curvature(np.array([pose.s]))[0])
        advance = speed * step * math.cos(pose.heading) / (1 - under * (LANE_CENTRE + pose.offset))
        drift = speed * step * math.sin(pose.heading)
        turn = turned * speed * step
        pose = Pose(pose.s + advance, pose.offset + drift, pose.heading + turn - under * advance)
        yaw += turn
        number += 1


def _pursuit(path: Path, aim: float) -> float:
    x, z = path.beside(LANE_CENTRE + aim)
    return 2 * float(np.interp(LOOKAHEAD, np.hypot(x, z), x)) / LOOKAHEAD**2


def _integral(slopes: Line, gaps: Line) -> Line:
    return np.concatenate([[0.0], np.cumsum(slopes * gaps)])
