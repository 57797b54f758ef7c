"""A plan fitted to a budget keeps it on both parts of its recording, or is dense and says so."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.accuracy import OutputError
from reuse_compiler.budget_fit import MIN_FRAMES, fit_to_budget
from reuse_compiler.budget_problem import BudgetProblem, FitSettings
from reuse_compiler.errors import BudgetError, PlanError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.reference import Reference
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.session import Session
from reuse_compiler.streams import Frame, Stream, open_stream

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[3, 1, 6] x, float[1, 1, 5] h) => (float[1, 2] y, float[1, 1, 5] hn, float[1] fixed) {
    all, hn = GRU <hidden_size = 5, linear_before_reset = 1> (x, W, R, , , h)
    flat = Flatten (hn)
    y = MatMul (flat, W2)
    fixed = Identity (K)
}"""
SHAPES = {"W": (1, 15, 6), "R": (1, 15, 5), "W2": (5, 2), "K": (1,)}
STATE = {"h": "hn"}


@pytest.fixture(scope="module")
def model() -> Model:
    generator = np.random.default_rng(0)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in SHAPES.items():
        array = generator.standard_normal(shape).astype(np.float32) / 2
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


def walk(frames: int) -> NDArray[np.float32]:
    """Each element rests, or jumps: [frames, 3, 1, 6]."""
    generator = np.random.default_rng(1)
    steps = generator.standard_normal((3 * frames, 1, 6)) * (generator.random((3 * frames, 1, 6)) < 0.2) * 0.3
    return np.cumsum(steps, axis=0).astype(np.float32).reshape(frames, 3, 1, 6) + np.float32(0.5)


def recording(model: Model, x: NDArray[np.float32]) -> Stream:
    return open_stream([{"x": frame} for frame in x], model.inputs, state=STATE)


def loss_of(model: Model, session: Session, x: NDArray[np.float32], whole: NDArray[np.float32]) -> float:
    """RMSE of y from a cold start, over its deviation in the fp32 model on the whole recording."""
    reference, error = Reference(model, STATE, threads=1), OutputError()
    session.reset()
    for number, frame in enumerate(x):
        error.add(reference.run(Frame({"x": frame}, number == 0))["y"], session.run({"x": frame})["y"])
    exact = [reference.run(Frame({"x": frame}, number == 0))["y"] for number, frame in enumerate(whole)]
    return error.rmse / float(np.std(exact))


def test_the_plan_keeps_the_budget_on_both_parts(model: Model) -> None:
    x = walk(45)
    plan = fit_to_budget(model, recording(model, x), "relrmse:y<=0.05", state=STATE, rounds=1)
    assert {site.mode for site in plan.sites} == {"reuse"}
    assert "relrmse:y<=0.05 on 30 frames, verified on 15 others" in plan.sites[0].reason
    session = Session(rewrite(model, plan), threads=1)
    assert 0 < loss_of(model, session, x[:30], x) <= 0.05 * (1 + 1e-3)
    assert 0 < loss_of(model, session, x[30:], x) <= 0.05 * (1 + 1e-3)


def test_parts_are_judged_by_what_the_fp32_model_gives_from_where_they_start(model: Model) -> None:
    """Outputs are fed back: the verification begins with another state than the recording had there, and without a
    quantizer loses nothing all the same."""
    found = BudgetProblem.of(model, recording(model, walk(24)), "relrmse:y<=0.05", FitSettings(state=STATE, jobs=1))
    dense = Candidate({})
    assert [judge.evaluate(dense).loss for judge in found.judging()] == pytest.approx([0, 0, 0], abs=1e-4)


def test_quantizers_cover_what_comes_after_the_calibration(model: Model) -> None:
    x = walk(24)
    x[-1] *= 20
    found = BudgetProblem.of(model, recording(model, x), "relrmse:y<=0.05", FitSettings(state=STATE, jobs=1))
    low, high = found.ranges[next(site.input for site in found.sites if site.operand == "x")]
    assert low <= x.min() and x.max() <= high


def test_a_site_knows_what_more_would_have_come_to(model: Model) -> None:
    x = walk(45)
    plan = fit_to_budget(model, recording(model, x), "relrmse:y<=0.05", state=STATE, rounds=0)
    assert plan.budget is not None and plan.budget.dense_because is None
    steps = {site.input: site.next for site in plan.sites}
    assert all(step is not None and step.factor == pytest.approx(2**0.5) for step in steps.values())
    known = [step for step in steps.values() if step is not None]
    assert max(step.reuse for step in known) > 0  # wider quantizers repeat more,
    assert max(step.loss for step in known) > 0  # and lose more
    assert len({(step.reuse, step.loss) for step in known}) == len(steps)


def test_nothing_that_it_was_fitted_on_sets_off_its_guard(model: Model) -> None:
    x = walk(45)
    plan = fit_to_budget(model, recording(model, x), "relrmse:y<=0.05", state=STATE, rounds=0, refresh=7)
    assert plan.guard is not None and plan.guard.clipped.keys() == plan.quantizers().keys()
    assert plan.refresh is not None and plan.refresh.every == 7
    for seen in (x, x[30:]):
        session = Session(rewrite(model, plan), threads=1)
        loss_of(model, session, seen, x)
        assert (session.statistics.guard_resets, session.statistics.frames_beyond_range) == ({}, 0)
    loss_of(model, session, 20 * x, x)
    assert session.statistics.frames_beyond_range > 0
    without = fit_to_budget(model, recording(model, x), "relrmse:y<=0.05", state=STATE, rounds=0, guard=False)
    assert (without.guard, without.refresh, without.sites) == (None, None, plan.sites)


def test_where_nothing_keeps_it_the_plan_is_dense(model: Model) -> None:
    plan = fit_to_budget(model, recording(model, walk(20)), "relrmse:y<=0", state=STATE, rounds=0)
    assert {site.mode for site in plan.sites} == {"dense"}
    assert (plan.guard, plan.refresh) == (None, None)
    assert [site.next for site in plan.sites] == [None] * len(plan.sites)
    assert plan.sites[0].reason.startswith("dense: no plan keeps relrmse:y<=0 on 13 frames")


def test_a_fit_that_was_stopped_goes_on_where_it_was(model: Model, tmp_path: Path) -> None:
    """Nothing is tried again; times that were measured are not measured again."""
    journal = tmp_path / "journal.jsonl"

    def fit() -> Plan:
        return fit_to_budget(
            model,
            recording(model, walk(18)),
            "relrmse:y<=0.1",
            state=STATE,
            rounds=0,
            jobs=1,
            seconds=0,
            journal=journal,
            objective="cpu_time",
        )

    first, lines = fit(), journal.read_text().splitlines()
    assert fit() == first
    assert journal.read_text().splitlines() == lines
    journal.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    assert fit() == first


def test_bad_input_is_one_line(model: Model) -> None:
    x = walk(MIN_FRAMES)
    with pytest.raises(StreamError, match=f"{MIN_FRAMES - 1} frames are too few to calibrate and to verify"):
        fit_to_budget(model, recording(model, x[1:]), "relrmse:y<=0.1", state=STATE)
    with pytest.raises(BudgetError, match="output fixed of the fp32 model is one value throughout"):
        fit_to_budget(model, recording(model, x), "relrmse:fixed<=0.1", state=STATE)
    with pytest.raises(PlanError, match="refresh: every is 0"):
        fit_to_budget(model, recording(model, x), "relrmse:y<=0.1", state=STATE, refresh=0)
    with pytest.raises(BudgetError, match="seconds is -1: give"):
        fit_to_budget(model, recording(model, x), "relrmse:y<=0.1", state=STATE, seconds=-1)
    with pytest.raises(BudgetError, match="jobs is 0: give 1 or more"):
        fit_to_budget(model, recording(model, x), "relrmse:y<=0.1", state=STATE, jobs=0)
    with pytest.raises(BudgetError, match="no objective is called speed: give one of macs, cycles"):
        fit_to_budget(model, recording(model, x), "relrmse:y<=0.1", state=STATE, objective="speed")  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="the model has no output z"):
        fit_to_budget(model, recording(model, x), "relrmse:z<=0.1", state=STATE)
