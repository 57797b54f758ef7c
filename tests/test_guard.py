"""The guard by itself: what it takes for a sign, and when."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.errors import PlanError
from reuse_compiler.guard import Guard, count_clipped
from reuse_compiler.guard_plan import GuardPlan, QuietPlan
from reuse_compiler.quantizers import LinearQuantizer

PLAN = GuardPlan(changed=0.5, clipped={"a": 0.1, "b": 0.3}, quiet=QuietPlan(share=0.01, frames=3))
INSIDE = {"a": 0.1, "b": 0.3}


def reasons(guard: Guard, *frames: tuple[float, dict[str, float]]) -> list[str | None]:
    """What is due after each frame."""
    found: list[str | None] = []
    for changed, clipped in frames:
        guard.take(changed, guard.exceeds(clipped))
        found.append(guard.due())
    return found


def test_what_is_within_its_bounds_is_no_sign() -> None:
    assert reasons(Guard(PLAN), *[(share, INSIDE) for share in (1.0, 0.5, 0.02, 0.3, 0.0, 0.01, 0.4)]) == [None] * 7


def test_the_first_frame_of_a_sequence_is_no_cut_and_silence_does_not_cross_it() -> None:
    guard = Guard(PLAN)
    assert reasons(guard, (1.0, INSIDE), (0.0, INSIDE), (0.0, INSIDE)) == [None] * 3
    guard.reset()
    assert reasons(guard, (1.0, INSIDE), (0.0, INSIDE), (0.0, INSIDE)) == [None] * 3


def test_a_cut_is_followed_by_one_reset_however_long_everything_moves() -> None:
    moving = [(0.8, INSIDE)] * 5
    assert reasons(Guard(PLAN), (1.0, INSIDE), *moving) == [None, "cut", None, None, None, None]
    calm = [(0.2, INSIDE)] * 2
    assert reasons(Guard(PLAN), (1.0, INSIDE), *moving, *calm, *moving).count("cut") == 2


def test_inputs_beyond_the_range_are_reset_once_and_counted_always() -> None:
    guard, beyond = Guard(PLAN), {"a": 0.0, "b": 0.31}
    assert guard.exceeds(beyond)
    assert reasons(Guard(PLAN), *[(0.2, beyond)] * 4) == [None, "range", None, None]
    assert not guard.exceeds(INSIDE)


def test_silence_is_ended_again_and_again() -> None:
    quiet = [(0.01, INSIDE)] * 8
    # the frame after a reset is compared with zeros and does not count
    assert reasons(Guard(PLAN), (1.0, INSIDE), *quiet) == [None, None, None, "quiet", None, None, None, "quiet", None]
    assert reasons(Guard(PLAN), (1.0, INSIDE), *[(0.01, INSIDE), (0.01, INSIDE), (0.02, INSIDE)] * 4) == [None] * 13


def test_what_a_plan_leaves_out_is_not_watched() -> None:
    guard = Guard(GuardPlan())
    assert guard.watched == ()
    assert reasons(guard, (1.0, {}), *[(0.0, {})] * 500, (1.0, {})) == [None] * 502


def test_its_state_continues_elsewhere() -> None:
    guard, other = Guard(PLAN), Guard(PLAN)
    for changed in (1.0, 0.0, 0.0):
        guard.take(changed, guard.exceeds(INSIDE))
    np.copyto(other.state, guard.state)
    for one in (guard, other):
        assert reasons(one, (0.0, INSIDE)) == ["quiet"]


def test_an_end_of_the_range_counts_unless_it_is_zero_itself() -> None:
    index = np.array([[0, 0, 1, 4], [9, 9, 9, 8]], np.uint8)
    assert count_clipped(index, LinearQuantizer(0.5, 4, 10)) == 5
    assert count_clipped(index, LinearQuantizer(0.5, 0, 10)) == 3
    assert count_clipped(index, LinearQuantizer(0.5, 9, 10)) == 2


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (GuardPlan(clipped={"z": 0.1}), "the plan reuses no site z: remove it from clipped"),
        (GuardPlan(clipped={"a": 1.5}), "clipped of site a is 1.5: give a share, 0 to 1"),
        (GuardPlan(clipped={"a": float("nan")}), "clipped of site a is nan: give a share"),
        (GuardPlan(changed=-0.1), "changed is -0.1: give a share"),
        (GuardPlan(quiet=QuietPlan(share=2, frames=3)), "quiet: share is 2: give a share"),
        (GuardPlan(quiet=QuietPlan(share=0.1, frames=0)), "quiet: frames is 0: give 1 or more"),
    ],
)
def test_a_guard_that_does_not_fit_is_refused_in_one_line(plan: GuardPlan, message: str) -> None:
    with pytest.raises(PlanError, match=f"^plan: guard: {message}"):
        plan.check({"a", "b"})
