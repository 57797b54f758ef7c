"""What recurrent sites keep: from step to step, from run to run, and not from run to run where steps run backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.errors import PlanError, VerificationError
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import QuantizerSpec, TableSpec
from reuse_compiler.profiling import profile
from reuse_compiler.replay import Replay
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites
from reuse_compiler.steps import before_steps
from reuse_compiler.streams import open_stream
from tests.recurrent.cells import Cell, build, feeds, planned

Arrays = dict[str, NDArray[Any]]
Loaded = Callable[[onnx.ModelProto], Model]


def held(values: Arrays, steps: int) -> Arrays:
    """Every step as the first."""
    return {**values, "X": np.ascontiguousarray(np.broadcast_to(values["X"][:1], (steps, *values["X"].shape[1:])))}


@pytest.mark.parametrize(("direction", "second_run"), [("forward", 0), ("reverse", 10)])
def test_an_input_that_stands_still_changes_once(direction: str, second_run: int, loaded: Loaded) -> None:
    cell = Cell("LSTM", direction=direction)
    proto = build(cell)
    model = loaded(proto)
    session = Session(rewrite(model, planned(model, step=2.0**-6)), threads=1)
    values = held(feeds(proto, np.random.default_rng(0)), cell.steps)
    session.run(values)
    first = session.changes["cell.x"]
    session.run(values)
    assert first == np.count_nonzero(np.rint(values["X"][0] * 2**6))
    assert session.changes["cell.x"] == (0 if second_run == 0 else first)


def test_step_by_step_is_as_in_one_run(loaded: Loaded) -> None:
    """A model called step by step with its state as inputs keeps what one run over all steps keeps."""
    whole = Cell("LSTM", steps=8, batch=1, initial=True)
    single = Cell("LSTM", steps=1, batch=1, initial=True)
    generator = np.random.default_rng(4)
    values = feeds(build(whole), generator)
    model = loaded(build(whole))
    together = Session(rewrite(model, planned(model, step=2.0**-6)), threads=1)
    model = loaded(build(single))
    session = Session(rewrite(model, planned(model, step=2.0**-6)), threads=1, state={"H0": "Y_h", "C0": "Y_c"})
    state = {"H0": np.zeros_like(values["H0"]), "C0": np.zeros_like(values["C0"])}
    together.run({"X": values["X"], **state})
    indices = [session.run({"X": step[None]}) and session.indices for step in values["X"]]
    for site in ("cell.x", "cell.h"):
        np.testing.assert_array_equal(np.concatenate([index[site] for index in indices]), together.indices[site])
        np.testing.assert_array_equal(session.linear[site], together.linear[site])


def test_a_fitted_plan_verifies_and_its_profile_counts_what_runs(loaded: Loaded) -> None:
    cell = Cell("GRU", direction="bidirectional", steps=9)
    proto = build(cell)
    model = loaded(proto)
    generator = np.random.default_rng(5)
    frames = [feeds(proto, generator) for _ in range(5)]
    observed = profile(model, open_stream(frames, model.inputs), threads=1)
    plan = fit(model, observed, clusters=4_001)
    session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
    changed = dict.fromkeys((site.node for site in find_sites(model)), 0)
    for number, frame in enumerate(frames):
        outputs = session.run(frame)
        replay.check(frame, session.indices, outputs, start=number == 0, linear=session.linear)
        for site, count in session.changes.items():
            changed[site] += count
    for planned_site in plan.sites:
        assert isinstance(planned_site.quantizer, QuantizerSpec)
        elements = session.indices[planned_site.node].size * len(frames)
        similarity = observed.similarity(planned_site.node, planned_site.quantizer.step).value
        assert similarity == pytest.approx(1 - changed[planned_site.node] / elements, abs=0.02)
    assert sum(site.macs for site in observed.sites) == observed.macs


def test_a_recurrent_layer_has_no_tables(loaded: Loaded) -> None:
    """A fit by k-means gives it equidistant centroids; a plan with a table is refused."""
    proto = build(Cell("RNN", steps=9))
    model = loaded(proto)
    frames = [feeds(proto, np.random.default_rng(5)) for _ in range(3)]
    plan = fit(model, profile(model, open_stream(frames, model.inputs), threads=1), centroids="kmeans")
    assert all(isinstance(site.quantizer, QuantizerSpec) for site in plan.sites)
    plan.sites[0].quantizer = TableSpec(kind="table", centroids=[0.0, 1.0])
    with pytest.raises(PlanError, match=r"site cell\.x: tables are for FC and CONV sites"):
        rewrite(model, plan)


def test_a_deadband_keeps_the_index_of_the_step_before(loaded: Loaded) -> None:
    proto = build(Cell("RNN", steps=20, direction="bidirectional"))
    model = loaded(proto)
    changes = []
    for deadband in (0.0, 0.5):
        plan = planned(model, step=2.0**-6, deadband=deadband)
        session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
        values = feeds(proto, np.random.default_rng(6))
        outputs = session.run(values)
        replay.check(values, session.indices, outputs, start=True, linear=session.linear)
        changes.append(sum(session.changes.values()))
    assert changes[1] < 0.8 * changes[0]


def test_replay_finds_a_wrong_index_and_a_wrong_linear_output(loaded: Loaded) -> None:
    proto = build(Cell("LSTM", direction="bidirectional"))
    model = loaded(proto)
    plan = planned(model, step=2.0**-6)
    session = Session(rewrite(model, plan), threads=1)
    values = feeds(proto, np.random.default_rng(7))
    outputs = session.run(values)
    for site in ("cell.forward.h", "cell.reverse.x"):
        indices = session.indices
        indices[site][3, 1, 2] += 3
        with pytest.raises(VerificationError, match=rf"site {site}"):
            Replay(model, plan, threads=1).check(values, indices, outputs, start=True)
        linear = session.linear
        linear[site][0, 0] += 0.01
        with pytest.raises(VerificationError, match=rf"site {site}: linear output"):
            Replay(model, plan, threads=1).check(values, session.indices, outputs, start=True, linear=linear)


def test_a_layer_is_reused_whole_or_not_at_all(loaded: Loaded) -> None:
    model = loaded(build(Cell("LSTM")))
    plan = planned(model, step=2.0**-6)
    sites = [plan.sites[0], plan.sites[1].model_copy(update={"mode": "dense", "quantizer": None})]
    with pytest.raises(PlanError, match=r"cell\.x and cell\.h are of one layer"):
        rewrite(model, plan.model_copy(update={"sites": sites}))


def test_save_restore_and_fork(loaded: Loaded) -> None:
    proto = build(Cell("GRU", direction="bidirectional", linear_before_reset=1))
    model = loaded(proto)
    session = Session(rewrite(model, planned(model, step=2.0**-6)), threads=1)
    generator = np.random.default_rng(8)
    session.run(feeds(proto, generator))
    twin, state, values = session.fork(), session.save(), feeds(proto, generator)
    first = session.run(values)
    session.restore(state)
    for other in (twin.run(values), session.run(values)):
        for name, array in first.items():
            np.testing.assert_array_equal(other[name], array)


@given(st.integers(1, 6), st.booleans())
def test_before_steps_shifts_by_one(steps: int, reverse: bool) -> None:
    after = np.arange(1, steps + 1)
    order = after[::-1] if reverse else after
    before = before_steps(after, np.array(0), reverse=reverse)
    assert (before[::-1] if reverse else before).tolist() == [0, *order[:-1].tolist()]
