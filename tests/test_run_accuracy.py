"""A run is judged by the budget of its plan, on the stream that it saw."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.errors import BudgetError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import BudgetRecord, PartRecord, Plan
from reuse_compiler.reference import Reference
from reuse_compiler.run_accuracy import RunAccuracy
from reuse_compiler.running import run_session
from reuse_compiler.session import Session
from reuse_compiler.streams import Frame, open_stream
from tests.small_network import SITES, small_model, small_plan


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


def with_budget(model: Model, text: str) -> Plan:
    part = PartRecord(frames=9, reuse=0.5, loss=0.5)
    record = BudgetRecord(text=text, calibration=part, verification=part)
    return small_plan(model).model_copy(update={"budget": record})


def rows(*values: float) -> dict[str, object]:
    return {"y": np.array([values], np.float32)}


@pytest.mark.parametrize("planned", [True, False])
def test_without_a_budget_it_is_the_relative_error(model: Model, planned: bool) -> None:
    accuracy = RunAccuracy(model, small_plan(model) if planned else None)
    accuracy.add(rows(1, 2, 3, 4), rows(1, 2, 3, 4.5))
    found = accuracy.report()
    assert (found.metric, found.budget, found.kept, found.bounds) == ("relrmse", None, None, [])
    assert found.value == found.outputs["y"].relrmse == pytest.approx(0.25 / math.sqrt(1.25))


def test_the_bound_that_is_used_most_stands_for_the_budget(model: Model) -> None:
    accuracy = RunAccuracy(model, with_budget(model, "relrmse<=0.5; decision@2.5:y[..., 2:]<=0.75"))
    accuracy.add(rows(1, 2, 3, 4), rows(1, 2, 2, 4))
    found = accuracy.report()
    relative, decision = found.bounds
    assert (decision.loss, decision.limit, decision.output, decision.kept) == (0.5, 0.75, "y", True)
    assert relative.loss == pytest.approx(0.5 / math.sqrt(1.25)) and relative.kept
    assert (found.metric, found.value, found.budget) == ("relrmse", relative.loss, 0.5)
    accuracy.add(rows(1, 2, 3, 4), rows(1, 2, 2, 2))
    found = accuracy.report()
    assert (found.metric, found.value, found.budget) == ("relrmse", found.outputs["y"].relrmse, 0.5)
    assert found.kept is False
    only = RunAccuracy(model, with_budget(model, "relrmse<=50; decision@2.5:y[..., 2:]<=0.25"))
    only.add(rows(1, 2, 3, 4), rows(1, 2, 2, 4))
    assert (only.report().metric, only.report().value, only.report().budget) == ("decision@2.5:y[..., 2:]", 0.5, 0.25)
    assert [bound.kept for bound in only.report().bounds] == [True, False] and only.report().kept is False


def test_a_limit_of_zero_is_kept_by_no_loss_alone(model: Model) -> None:
    accuracy = RunAccuracy(model, with_budget(model, "argmax<=0"))
    accuracy.add(rows(1, 2, 3, 4), rows(0, 0, 0, 4))
    assert (accuracy.report().kept, accuracy.report().bounds[0].share) == (True, 0)
    accuracy.add(rows(1, 2, 3, 4), rows(5, 0, 0, 4))
    assert (accuracy.report().kept, accuracy.report().bounds[0].share) == (False, math.inf)


def test_a_budget_of_another_model_is_one_line(model: Model) -> None:
    with pytest.raises(BudgetError, match="the model has no output z"):
        RunAccuracy(model, with_budget(model, "relrmse:z<=1"))
    with pytest.raises(StreamError, match="output y of the fp32 model is not finite"):
        RunAccuracy(model, with_budget(model, "relrmse<=1")).add(rows(1, 2, 3, math.nan), rows(1, 2, 3, 4))


def test_a_signal_to_noise_ratio_is_named_without_its_limit(model: Model) -> None:
    accuracy = RunAccuracy(model, with_budget(model, "sqnr:y >= 20"))
    accuracy.add(rows(3, 4, 0, 0), rows(3, 4, 0.3, 0.4))
    found = accuracy.report()
    assert (found.metric, found.budget) == ("sqnr:y", 0.1)
    assert found.value == pytest.approx(0.1)


def test_labels_are_judged_where_the_stream_has_them(model: Model) -> None:
    plan = with_budget(model, "labels.argmax<=0.5; rmse<=1")
    labels = {"__labels__": np.array([3])}
    accuracy = RunAccuracy(model, plan)
    accuracy.add(rows(1, 2, 3, 4), rows(1, 2, 4, 3), labels)
    found = accuracy.report()
    assert (found.metric, found.value, found.kept) == ("labels.argmax", 1, False)
    assert [(bound.text, bound.kept) for bound in found.bounds] == [("labels.argmax<=0.5", False), ("rmse<=1", True)]
    with pytest.raises(BudgetError, match="frame 1 of the stream has no labels"):
        accuracy.add(rows(1, 2, 3, 4), rows(1, 2, 4, 3))
    for scale, kept in ((1, None), (10, False)):
        without = RunAccuracy(model, plan)
        without.add(rows(1, 2, 3, 4), rows(1, 2, 3, 4 * scale))
        assert [bound.text for bound in without.report().bounds] == ["rmse<=1"]
        assert without.report().kept is kept  # what was not judged is not said to be kept
        assert [(bound.text, bound.output) for bound in without.report().unjudged] == [("labels.argmax<=0.5", "y")]
    assert found.unjudged == []


def test_a_function_of_the_users_own_sees_the_whole_run(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "losses.py"
    file.write_text(
        "def loss(references, outputs):\n    return sum(r['y'][0, 3] != o['y'][0, 3] for r, o in zip(references, outputs))\n"
    )
    accuracy = RunAccuracy(model, with_budget(model, f"{file}:loss<=2"))
    reused = np.zeros((1, 4), np.float32)  # as an executor does that writes into the arrays of the frame before
    for value in (4, 5, 4):
        reused[0, 3] = value
        accuracy.add(rows(1, 2, 3, 4), {"y": reused})
    found = accuracy.report()
    assert (found.metric, found.value, found.kept) == (f"{file}:loss", 1, True)
    assert [bound.output for bound in found.bounds] == ["y"]
    with pytest.raises(BudgetError, match="no such file"):
        RunAccuracy(model, with_budget(model, f"{tmp_path}/other.py:loss<=2"))


def test_both_executors_judge_it(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    generator = np.random.default_rng(5)
    x = np.cumsum(generator.standard_normal((8, 1, 2, 8, 8)) * 0.1, axis=0).astype(np.float32)
    stream = open_stream([{"x": frame} for frame in x], model.inputs)
    plan = with_budget(model, "relrmse<=1e-6")
    report = compile_model(model, plan, folder, stream=stream, hardware=load_hardware("isca18"), threads=1)
    assert report is not None
    portable = run_session(CompiledDirectory.open(folder), stream, model=model, threads=1)
    for accuracy in (report.accuracy, portable.accuracy):
        assert (accuracy.metric, accuracy.budget, accuracy.kept) == ("relrmse", 1e-6, False)
        assert accuracy.value == accuracy.outputs["y"].relrmse > 1e-6


@pytest.mark.parametrize("executor", ["accelerator", "portable"])
@pytest.mark.parametrize(("right", "loss"), [(True, 0.0), (False, 1.0)])
def test_each_executor_judges_the_labels_of_its_stream(
    model: Model, tmp_path: Path, executor: str, right: bool, loss: float
) -> None:
    """Labels are what fp32 says: a dense plan loses nothing, and one of three centroids all on the one frame that has a
    label, which it gets wrong."""
    x = np.random.default_rng(7).standard_normal((24, 1, 2, 8, 8)).astype(np.float32)
    reference = Reference(model, {}, threads=1)
    classes = [int(reference.run(Frame({"x": frame}, True))["y"].argmax()) for frame in x]
    coarse = small_plan(model, clusters=3)
    session = Session(rewrite(model, coarse), threads=1)
    taken = [int(session.run({"x": frame})["y"].argmax()) for frame in x]
    missed = next(number for number, (a, b) in enumerate(zip(classes, taken, strict=True)) if a != b)
    labels = classes if right else [label if at == missed else -1 for at, label in enumerate(classes)]
    samples = [{"x": frame, "__labels__": np.array([label])} for frame, label in zip(x, labels, strict=True)]
    stream = open_stream(samples, model.inputs)
    plan = small_plan(model, dense=SITES) if right else coarse
    plan = plan.model_copy(update={"budget": with_budget(model, "labels.argmax<=0.5").budget})
    report = compile_model(
        model,
        plan,
        tmp_path / "out",
        stream=stream if executor == "accelerator" else None,
        hardware=load_hardware("isca18"),
        threads=1,
    )
    if executor == "portable":
        found = run_session(CompiledDirectory.open(tmp_path / "out"), stream, model=model, threads=1).accuracy
    else:
        assert report is not None
        found = report.accuracy
    assert (found.metric, found.value, found.kept) == ("labels.argmax", loss, right)
    assert list(found.outputs) == ["y"]
