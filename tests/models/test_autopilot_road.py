"""The road's geometry, the driver and the random processes below them: laws that hold for every seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.models.autopilot.noise import smooth, uniform
from reuse_compiler.models.autopilot.road import (
    LANE_CENTRE,
    STEERING_RATIO,
    WHEELBASE,
    Path,
    Pose,
    Road,
    drive,
    steering_angle,
)

seeds = st.integers(0, 2_000_000)
places = st.floats(0, 1e6)
offsets = st.floats(-0.8, 0.8)
headings = st.floats(-0.03, 0.03)


@dataclass(frozen=True)
class Circle(Road):
    """A road of one curvature."""

    bent: float = 0.0

    def curvature(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(s.shape, self.bent)


@given(seeds, places)
def test_a_straight_road_needs_no_steering(seed: int, s: float) -> None:
    assert abs(steering_angle(Road(seed, bend=0.0).ahead(Pose(s)))) < 1e-12


@given(seeds, places, offsets, headings)
def test_mirrored_geometry_negates_the_angle(seed: int, s: float, offset: float, heading: float) -> None:
    lane = Road(seed).ahead(Pose(s, offset, heading))
    mirrored = Road(seed, bend=-1.0).ahead(Pose(s, -offset - 2 * LANE_CENTRE, -heading))
    assert np.allclose(mirrored.x, -lane.x, atol=1e-9)
    assert np.allclose(mirrored.z, lane.z, atol=1e-9)
    x, z = lane.beside(LANE_CENTRE)
    u, w = mirrored.beside(-LANE_CENTRE)
    swapped = Path(mirrored.s, u - LANE_CENTRE, w, np.zeros_like(u))
    unswapped = Path(lane.s, x - LANE_CENTRE, z, np.zeros_like(x))
    assert steering_angle(swapped) == pytest.approx(-steering_angle(unswapped), abs=1e-9)


@given(seeds, places)
def test_mirrored_curvature_negates_the_angle_of_a_centred_car(seed: int, s: float) -> None:
    right = steering_angle(Road(seed).ahead(Pose(s)))
    left = steering_angle(Road(seed, bend=-1.0).ahead(Pose(s)))
    # the lane lies beside the line that bends, so its own curvature differs by its radius's 1.75 m
    assert left == pytest.approx(-right, abs=0.04 * abs(right) + 1e-3)


@given(st.floats(-0.009, 0.009))
def test_on_a_circle_the_wheel_follows_the_lanes_own_curvature(bent: float) -> None:
    own = bent / (1 - bent * LANE_CENTRE)
    angle = steering_angle(Circle(0, bent=bent).ahead(Pose(0.0)))
    assert angle == pytest.approx(STEERING_RATIO * math.atan(WHEELBASE * own), abs=5e-4)


@given(seeds, places, st.floats(0.05, 0.8))
def test_a_car_to_the_right_of_its_lane_steers_further_left(seed: int, s: float, offset: float) -> None:
    road = Road(seed)
    assert steering_angle(road.ahead(Pose(s, offset))) < steering_angle(road.ahead(Pose(s)))
    assert steering_angle(road.ahead(Pose(s, 0.0, offset / 20))) < steering_angle(road.ahead(Pose(s)))


@given(seeds, places, st.floats(0, 300))
def test_a_road_is_the_same_from_wherever_one_looks(seed: int, s: float, ahead: float) -> None:
    near, far = Road(seed).curvature(np.array([s + ahead])), Road(seed).curvature(np.array([s + ahead, s]))
    assert near[0] == far[0]


@given(seeds)
def test_radii_stay_drivable_and_curvature_smooth(seed: int) -> None:
    curvature = Road(seed).curvature(np.arange(0.0, 5000.0, 1.0))
    assert np.abs(curvature).max() < 1 / 110
    assert np.abs(np.diff(curvature)).max() < 4e-4


def test_a_drive_stays_in_its_lane_and_moves_on() -> None:
    moments = list(drive(Road(7), 7, 900))
    offsets = np.array([moment.pose.offset for moment in moments])
    advances = np.diff([moment.pose.s for moment in moments]) * 30
    assert np.abs(offsets).max() < 0.9
    assert offsets.std() > 0.05
    assert advances.min() > 15 and advances.max() < 27


def test_a_drive_bends_with_its_road() -> None:
    moments = list(drive(Circle(0, bent=0.004), 0, 600))
    turned = moments[-1].yaw - moments[0].yaw
    travelled = moments[-1].pose.s - moments[0].pose.s
    assert turned == pytest.approx(0.004 * travelled, rel=0.02)
    assert np.mean([moment.angle for moment in moments]) > 0.1


def test_a_drive_without_end_begins_like_a_short_one() -> None:
    road = Road(3)
    endless = [(moment.pose, moment.angle) for moment in islice(drive(road, 3), 40)]
    assert endless == [(moment.pose, moment.angle) for moment in drive(road, 3, 40)]
    assert endless[5] != [(m.pose, m.angle) for m in drive(replace(road, seed=4), 4, 6)][5]


@given(seeds, st.integers(0, 100), st.floats(-1e5, 1e5), st.floats(0.01, 100))
def test_smooth_processes_are_bounded_and_continuous(seed: int, channel: int, x: float, period: float) -> None:
    near = smooth(seed, channel, np.array([x, x + period * 1e-3]), period)
    assert np.abs(near).max() <= 1
    assert abs(near[1] - near[0]) < 5e-3


def test_smooth_broadcasts_channels_as_if_alone() -> None:
    x = np.linspace(0, 50, 31)
    together = smooth(5, [[1], [2]], x, [[4.0], [9.0]])
    assert np.array_equal(together, np.stack([smooth(5, 1, x, 4.0), smooth(5, 2, x, 9.0)]))


def test_uniform_values_are_uniform_and_independent_of_channel_and_seed() -> None:
    cells = np.arange(20_000)
    draws = np.stack([uniform(1, 1, cells), uniform(1, 2, cells), uniform(2, 1, cells)])
    assert draws.min() >= 0 and draws.max() < 1
    assert np.abs(draws.mean(axis=1) - 0.5).max() < 0.01
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 0.03
    assert abs(np.corrcoef(draws[0, 1:], draws[0, :-1])[0, 1]) < 0.03
