"""The guard that a fit gives a plan: silent on the frames that the plan was fitted on, loud where the stream leaves them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.frontend import Model
from reuse_compiler.guard import count_clipped
from reuse_compiler.guard_calibration import SiteShares, calibrate_guard
from reuse_compiler.guard_observation import observe_guard
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.session import Session
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial
from tests.small_network import small_model, walk
from tests.test_trial import NETWORK, QUANTIZERS, RECURRENT, RECURRENT_SHAPES, SHAPES, load, plan_for, slow_frames

STATE = {"h": "hn"}


@pytest.fixture(scope="module")
def plain() -> tuple[Model, Trial]:
    """Two readers of one tensor, and a state that is fed back; sums are exact."""
    model = load(NETWORK, SHAPES)
    return model, Trial(model)


@pytest.fixture(scope="module")
def recurrent() -> tuple[Model, Trial]:
    """A layer of each direction."""
    model = load(RECURRENT, RECURRENT_SHAPES)
    return model, Trial(model)


def guarded(
    model: Model, quantizers: Mapping[str, LinearQuantizer], state: Mapping[str, str], guard: GuardPlan | None
) -> Session:
    plan = plan_for(model, quantizers, state).model_copy(update={"guard": guard})
    return Session(rewrite(model, plan), threads=1)


def counted(
    model: Model, quantizers: Mapping[str, LinearQuantizer], frames: list[Frame], state: Mapping[str, str]
) -> GuardPlan:
    """The guard by the counts of a session."""
    session = guarded(model, quantizers, state, None)
    built = plan_for(model, quantizers, state).quantizers()
    changed: dict[str, list[float]] = {site: [] for site in built}
    clipped: dict[str, list[float]] = {site: [] for site in built}
    sizes: dict[str, int] = {}
    for frame in frames:
        if frame.start:
            session.reset()
        session.run(frame.inputs)
        changes = session.changes
        for site, index in session.indices.items():
            sizes[site] = index.size
            changed[site].append(changes[site] / index.size)
            clipped[site].append(count_clipped(index, built[site]) / index.size)
    return calibrate_guard(
        {site: SiteShares(sizes[site], np.array(changed[site]), np.array(clipped[site])) for site in built},
        memory=any(quantizer.has_memory for quantizer in built.values()),
        starts=[number for number, frame in enumerate(frames) if frame.start],
    )


def resets(session: Session, frames: list[Frame]) -> int:
    """How often the guard acts, or finds a frame beyond the range."""
    for frame in frames:
        if frame.start:
            session.reset()
        session.run(frame.inputs)
    return sum(session.statistics.guard_resets.values()) + session.statistics.frames_beyond_range


@settings(max_examples=10, deadline=None)
@given(
    data=st.data(),
    chosen=st.sets(st.sampled_from(["x", "b", "g"]), min_size=1),
    starts=st.sets(st.integers(1, 11), max_size=2),
    seed=st.integers(0, 99),
)
def test_it_is_what_a_session_counts_and_silent_on_it(
    plain: tuple[Model, Trial], data: st.DataObject, chosen: set[str], starts: set[int], seed: int
) -> None:
    model, trial = plain
    quantizers = {tensor: data.draw(QUANTIZERS) for tensor in sorted(chosen)}
    frames = slow_frames((1, 2, 6, 5), starts, seed)
    guard = observe_guard(trial, quantizers, frames, STATE)
    assert guard is not None
    assert_same(guard, counted(model, quantizers, frames, STATE))
    assert resets(guarded(model, quantizers, STATE, guard), frames) == 0


def assert_same(guard: GuardPlan, other: GuardPlan) -> None:
    """Sites may be listed in another order, and shares added up."""
    assert guard.clipped == other.clipped
    assert guard.changed == (None if other.changed is None else pytest.approx(other.changed, rel=1e-12))
    assert (guard.quiet is None) == (other.quiet is None)
    if guard.quiet is not None and other.quiet is not None:
        assert guard.quiet.share == pytest.approx(other.quiet.share, rel=1e-12)
        assert guard.quiet.frames == other.quiet.frames


@settings(max_examples=6, deadline=None)
@given(quantizer=QUANTIZERS, seed=st.integers(0, 99))
def test_steps_of_recurrent_layers_count_each(
    recurrent: tuple[Model, Trial], quantizer: LinearQuantizer, seed: int
) -> None:
    model, trial = recurrent
    quantizers = {slot.tensor: quantizer for slot in trial.slots}
    frames = slow_frames((4, 2, 3), {5}, seed, frames=8)
    guard = observe_guard(trial, quantizers, frames, STATE)
    assert guard is not None
    assert guard.clipped.keys() == counted(model, quantizers, frames, STATE).clipped.keys()
    assert resets(guarded(model, quantizers, STATE, guard), frames) == 0


def test_a_cut_and_inputs_beyond_the_range_are_noticed() -> None:
    model = small_model()
    trial = Trial(model)
    reach = {"x": 3.0, "b": 12.0, "s": 1.0, "f": 4.0, "h": 30.0}
    quantizers = {
        tensor: LinearQuantizer(np.float32(reach[tensor] / 100).item(), 100, 201, 0.1 * reach[tensor])
        for tensor in {slot.tensor for slot in trial.slots} & reach.keys()
    }
    calm = [Frame({"x": x}, not number) for number, x in enumerate(walk(30, share=0.1))]
    guard = observe_guard(trial, quantizers, calm, {})
    session = guarded(model, quantizers, {}, guard)
    assert resets(session, calm) == 0
    cut = [Frame({"x": x}, False) for x in walk(3, share=0.1, seed=5)]
    loud = [Frame({"x": 4 * frame.inputs["x"]}, False) for frame in cut]
    assert resets(session, cut) > 0
    assert session.statistics.guard_resets["cut"] == 1
    assert session.statistics.frames_beyond_range == 0
    resets(session, loud)
    assert session.statistics.frames_beyond_range > 0


def test_nothing_is_watched_where_nothing_reuses(plain: tuple[Model, Trial]) -> None:
    assert observe_guard(plain[1], {}, slow_frames((1, 2, 6, 5), set(), 0), STATE) is None
