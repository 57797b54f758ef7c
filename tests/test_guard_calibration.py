"""Bounds of a guard: never fired by what they came from, and not far above it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.errors import PlanError
from reuse_compiler.guard import Guard
from reuse_compiler.guard_calibration import SiteShares, calibrate_guard


def shares(inputs: int, changed: list[float], clipped: list[float]) -> SiteShares:
    return SiteShares(inputs, np.array(changed, float), np.array(clipped, float))


@st.composite
def calibrations(draw: st.DrawFn) -> tuple[dict[str, SiteShares], list[int], bool]:
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frames = draw(st.integers(1, 300))
    sites = {}
    for number in range(draw(st.integers(1, 5))):
        inputs = int(generator.choice([1, 3, 40, 5000]))
        quiet = generator.random(frames) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
        changed = np.where(quiet, 0, generator.integers(0, inputs + 1, frames)) / inputs
        sites[f"s{number}"] = SiteShares(inputs, changed, generator.integers(0, inputs + 1, frames) / inputs)
    starts = sorted({0, *draw(st.lists(st.integers(0, frames - 1), max_size=4))})
    return sites, starts, draw(st.booleans())


@given(calibrations())
def test_it_never_fires_on_the_calibration_itself(given: tuple[dict[str, SiteShares], list[int], bool]) -> None:
    sites, starts, memory = given
    plan = calibrate_guard(sites, memory=memory, starts=starts)
    plan.check(sites)
    guard = Guard(plan)
    inputs = sum(site.inputs for site in sites.values())
    for number in range(len(next(iter(sites.values())).changed)):
        if number in starts:
            guard.reset()
        assert guard.due() is None
        changed = sum(round(site.changed[number] * site.inputs) for site in sites.values())
        clipped = {name: round(site.clipped[number] * site.inputs) / site.inputs for name, site in sites.items()}
        assert not guard.exceeds(clipped)
        guard.take(changed / inputs, guard.exceeds(clipped))
    assert guard.due() is None


def test_the_bounds_are_those_that_are_documented() -> None:
    site = shares(1000, [1.0, 0.2, 0.2, 0.4, 0.0, 0.05, 0.3], [0.02] * 6 + [0.03])
    other = shares(3000, [1.0, 0.2, 0.2, 0.4, 0.0, 0.05, 0.3], [0.0] * 7)
    plan = calibrate_guard({"a": site, "b": other}, memory=True)
    assert plan.changed == pytest.approx(0.7)  # half way from 0.4 to 1
    assert plan.clipped == {"a": pytest.approx(0.06 + 0.01 + 0.003), "b": pytest.approx(0.01 + 0.001)}
    assert plan.quiet is not None
    assert plan.quiet.share == pytest.approx(0.05)
    assert plan.quiet.frames == 128


def test_a_long_silence_of_the_calibration_is_none_of_the_stream() -> None:
    moving, silent = [0.3] * 201, [0.0] * 200
    plan = calibrate_guard({"a": shares(10, moving + silent, [0.0] * 401)}, memory=True)
    assert plan.quiet is not None
    assert plan.quiet.frames == 400


def test_where_a_start_changes_little_a_quarter_more_than_ever_seen_is_a_cut() -> None:
    few = shares(10, [0.5, 0.4, 0.4], [0.0] * 3)
    assert calibrate_guard({"a": few}, memory=True).changed == pytest.approx(0.5)
    assert calibrate_guard({"a": few}, memory=True, starts=[]).changed == pytest.approx(0.75)


def test_what_changed_altogether_cannot_change_more() -> None:
    plan = calibrate_guard({"a": shares(10, [1.0, 0.1, 1.0], [0.0] * 3)}, memory=True)
    assert plan.changed is None


def test_without_memory_or_a_frame_to_compare_the_range_alone_is_watched() -> None:
    site = shares(10, [1.0, 0.1], [0.0, 0.1])
    for plan in (
        calibrate_guard({"a": site}, memory=False),
        calibrate_guard({"a": site}, memory=True, starts=[0, 1]),
    ):
        assert (plan.changed, plan.quiet) == (None, None)
        assert list(plan.clipped) == ["a"]


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ({}, "guard: 0 sites over"),
        ({"a": shares(10, [], [])}, r"guard: 1 sites over \[0\] frames"),
        ({"a": shares(10, [0.1, 0.2], [0.1])}, r"over \[1, 2\] frames: give one share a frame"),
        ({"a": shares(10, [1.1], [0.1])}, "guard: site a: its 10 inputs have no shares of 0 to 1"),
        ({"a": shares(10, [0.1], [float("nan")])}, "guard: site a: "),
        ({"a": shares(0, [0.1], [0.1])}, "guard: site a: its 0 inputs"),
    ],
)
def test_what_is_no_calibration_is_refused_in_one_line(sites: dict[str, SiteShares], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        calibrate_guard(sites, memory=True)
