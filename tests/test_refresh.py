"""The rolling refresh: fair turns, no index changed, no drift left, and a place that is saved with the state."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError, PlanError
from reuse_compiler.frontend import Model, load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.refresh import RefreshPlan, RefreshSchedule
from reuse_compiler.replay import Replay
from reuse_compiler.session import Session
from reuse_compiler.session_state import SessionState
from tests.recurrent.cells import Cell, build, feeds, planned
from tests.small_network import SITES, small_model, small_plan, walk


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


def session_of(model: Model, every: int | None, **options: Any) -> Session:
    refresh = None if every is None else RefreshPlan(every=every)
    return Session(rewrite(model, small_plan(model, refresh=refresh, **options)), threads=1)


costs = st.lists(st.integers(0, 10**9), min_size=1, max_size=60)


@given(costs, st.integers(1, 400))
def test_every_site_has_one_turn_and_no_turn_much_more_work_than_it_must(work: list[int], every: int) -> None:
    macs = {f"site{number}": cost for number, cost in enumerate(work)}
    schedule = RefreshSchedule.of(RefreshPlan(every=every), macs)
    assert list(schedule.frames) == list(macs)
    assert all(0 <= frame < every for frame in schedule.frames.values())
    assert sorted(site for turn in schedule.turns.values() for site in turn) == sorted(macs)
    loads = [sum(macs[site] for site in turn) for turn in schedule.turns.values()]
    assert max(loads) - min(loads) <= max(work)
    assert RefreshSchedule.from_metadata(schedule.to_metadata(), macs) == schedule


def test_fewer_sites_than_frames_are_spread_over_the_round() -> None:
    schedule = RefreshSchedule.of(RefreshPlan(every=100), dict.fromkeys("abcd", 5))
    assert sorted(schedule.frames.values()) == [0, 25, 50, 75]


def test_the_schedule_is_the_same_each_time_and_in_the_file(model: Model) -> None:
    one, other = (rewrite(model, small_plan(model, refresh=RefreshPlan(every=3))) for _ in range(2))
    text = one.metadata_props["reuse.refresh"]
    assert text == other.metadata_props["reuse.refresh"]
    frames = RefreshSchedule.from_metadata(text, dict.fromkeys(SITES)).frames
    assert sorted(set(frames.values())) == [0, 1, 2]
    assert list(frames.values()).count(frames["c"]) == 1  # it has over half of the work, so its turn is its own


def spoil(session: Session) -> None:
    """Add one to every linear output."""
    state = session.save()
    arrays = {name: value + 1 if name.startswith("past_linear") else value for name, value in state.arrays.items()}
    session.restore(SessionState(state.model_sha256, arrays))


def wrong(session: Session, exact: Session) -> set[str]:
    """The sites whose linear outputs are off; both sessions have the same indices."""
    exact.refresh()
    right = exact.linear
    return {site for site, held in session.linear.items() if np.abs(held - right[site]).max() > 0.5}


@pytest.mark.parametrize("every", [1, 3, 7])
def test_each_site_is_computed_anew_once_in_a_round(model: Model, every: int) -> None:
    session, still = session_of(model, every), walk(1)[0]
    frames = RefreshSchedule.from_metadata(rewrite_text(model, every), dict.fromkeys(SITES)).frames
    for _ in range(every):
        session.run({"x": still})
    assert session.statistics.refreshed == len(SITES)
    seen: Counter[str] = Counter()
    for number in range(every):
        twin = session.fork()
        spoil(twin)
        twin.run({"x": still})
        right = set(SITES) - wrong(twin, twin.fork())
        assert right == {site for site, frame in frames.items() if frame == number}
        seen.update(right)
        session.run({"x": still})
    assert seen == Counter(SITES)


def rewrite_text(model: Model, every: int) -> str:
    return rewrite(model, small_plan(model, refresh=RefreshPlan(every=every))).metadata_props["reuse.refresh"]


def test_a_spoiled_output_is_right_again_within_a_round(model: Model) -> None:
    still = walk(1)[0]
    one_layer = small_plan(model, refresh=RefreshPlan(every=4), dense=SITES[1:])  # what it computes feeds no other site
    session = Session(rewrite(model, one_layer), threads=1)
    exact = Session(rewrite(model, small_plan(model, dense=SITES[1:])), threads=1)
    for runner in (session, exact):
        for _ in range(5):
            runner.run({"x": still})
    spoil(session)
    off = []
    for _ in range(4):
        session.run({"x": still})
        off.append(bool(wrong(session, exact)))
    assert off == [True, True, True, False]


def largest_error(session: Session, frames: list[NDArray[np.float32]], last: int) -> float:
    """How far the linear output of site a is from what its indices give, as a share of its largest, over the last frames."""
    found = 0.0
    for number, x in enumerate(frames):
        session.run({"x": x})
        if number >= len(frames) - last:
            exact = session.fork()
            exact.refresh()
            held, right = session.linear["a"], exact.linear["a"]
            found = max(found, float(np.abs(held - right).max() / np.abs(right).max()))
    return found


def test_thousands_of_frames_leave_a_drift_that_a_refresh_bounds(model: Model) -> None:
    frames = walk(3000, share=0.3)
    plan = small_plan(model, dense=SITES[1:])
    drifting = largest_error(Session(rewrite(model, plan), threads=1), frames, 20)
    refreshed_plan = plan.model_copy(update={"refresh": RefreshPlan(every=8)})
    refreshed = largest_error(Session(rewrite(model, refreshed_plan), threads=1), frames, 20)
    assert refreshed < 8 * 2.0**-24
    assert drifting > 4 * refreshed


def test_no_index_of_the_first_site_changes_and_the_rest_keeps_the_replay_contract(model: Model) -> None:
    plan = small_plan(model, deadband=0.05, refresh=RefreshPlan(every=3))
    session, plain = Session(rewrite(model, plan), threads=1), session_of(model, None, deadband=0.05)
    replay = Replay(model, plan, threads=1)
    for number, x in enumerate(walk(40)):
        outputs = session.run({"x": x})
        plain.run({"x": x})
        np.testing.assert_array_equal(session.indices["a"], plain.indices["a"])
        replay.check({"x": x}, session.indices, outputs, start=number == 0, linear=session.linear)
    assert session.statistics.refreshed == 40 // 3 * 5 + sum(
        frame < 40 % 3
        for frame in RefreshSchedule.from_metadata(rewrite_text(model, 3), dict.fromkeys(SITES)).frames.values()
    )
    assert session.statistics.frames == 40
    assert 0 < session.statistics.similarity < 1


def test_the_place_in_the_round_is_saved_restored_and_forked(model: Model) -> None:
    frames = walk(12)
    session = session_of(model, 5)
    for x in frames[:7]:
        session.run({"x": x})
    state = session.save()
    twins = [session.fork(), session_of(model, 5)]
    twins[1].restore(state)
    for x in frames[7:]:
        session.run({"x": x})
        for twin in twins:
            twin.run({"x": x})
            for name, value in twin.save().arrays.items():
                np.testing.assert_array_equal(value, session.save().arrays[name])
    assert state.arrays["reuse.refresh"].tolist() == [2]
    session.reset()
    assert session.save().arrays["reuse.refresh"].tolist() == [0]


def test_a_recurrent_layer_refreshes_its_last_step_and_a_backward_one_has_nothing_to_refresh(tmp_path: Path) -> None:
    proto = build(Cell("LSTM", direction="bidirectional"))
    onnx.save(proto, tmp_path / "model.onnx")
    model = load(tmp_path / "model.onnx")
    plan = planned(model, step=0.01).model_copy(update={"refresh": RefreshPlan(every=2)})
    session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
    generator = np.random.default_rng(0)
    for number in range(6):
        inputs = feeds(proto, generator)
        outputs = session.run(inputs)
        replay.check(inputs, session.indices, outputs, start=number == 0, linear=session.linear)
    assert len(session.indices) == 4
    assert session.statistics.refreshed == 6  # one of the two sites of the forward layer, a frame


@pytest.mark.parametrize("every", [0, -3])
def test_a_round_needs_a_frame(model: Model, every: int) -> None:
    with pytest.raises(PlanError, match=f"^plan: refresh: every is {every}: give a number of frames, 1 or more"):
        rewrite(model, small_plan(model, refresh=RefreshPlan(every=every)))


@pytest.mark.parametrize("every", ["1.5", "true", '"3"', "null"])
def test_a_plan_file_whose_round_is_no_number_is_refused_in_one_line(model: Model, tmp_path: Path, every: str) -> None:
    text = small_plan(model, refresh=RefreshPlan(every=3)).model_dump_json()
    (tmp_path / "plan.json").write_text(text.replace('"refresh":{"every":3}', f'"refresh":{{"every":{every}}}'))
    with pytest.raises(PlanError, match=r"plan\.json: not a plan: refresh\.every: ") as refused:
        Plan.load(tmp_path / "plan.json")
    assert "\n" not in str(refused.value)


def test_a_plan_without_refresh_stays_what_it_was(model: Model) -> None:
    reuse = rewrite(model, small_plan(model))
    assert not {"reuse.refresh", "reuse.guard"} & reuse.metadata_props.keys()
    assert Plan.model_validate_json(small_plan(model).model_dump_json()).refresh is None


@pytest.mark.parametrize(
    "text", ["{", '{"every": 2}', '{"every": 0, "frames": {}}', '{"every": 2, "frames": {"a": 0}}', "[]"]
)
def test_a_damaged_schedule_is_refused(model: Model, text: str) -> None:
    reuse = rewrite(model, small_plan(model, refresh=RefreshPlan(every=2)))
    reuse.metadata_props["reuse.refresh"] = text
    with pytest.raises(ModelError, match=r"reuse\.refresh.*compile it again$"):
        Session(reuse, threads=1)
