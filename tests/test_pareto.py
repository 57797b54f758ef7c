"""The Pareto front: plans for shares and multiples of a limit."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

from reuse_compiler.budget import parse_budget
from reuse_compiler.budget_fit import FitSettings, ParetoFit, fit_pareto, fit_to_budget
from reuse_compiler.errors import ReuseError
from reuse_compiler.frontend import Model, load
from reuse_compiler.pareto import ParetoFront
from reuse_compiler.pareto_folder import check_front_place, write_front
from reuse_compiler.plan import Plan
from reuse_compiler.scaled_budget import scaled_budget
from reuse_compiler.streams import Stream, open_stream
from tests.cli.conftest import small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small_model(), path)
    return load(path)


def _stream(model: Model) -> Stream:
    generator = np.random.default_rng(0)
    steps = generator.standard_normal((24, 1, 2, 6, 6)) * (generator.random((24, 1, 2, 6, 6)) < 0.2) * 0.2
    images = (np.cumsum(steps, axis=0) + generator.standard_normal((1, 2, 6, 6))).astype(np.float32)
    return open_stream([{"image": image} for image in images], model.inputs)


@pytest.fixture(scope="module")
def found(model: Model) -> ParetoFit:
    settings = FitSettings(rounds=0, jobs=1, guard=False)
    return fit_pareto(model, _stream(model), "relrmse<=0.1", settings, factors=(0.25, 1, 4))


def test_each_plan_keeps_its_own_budget_on_both_parts(found: ParetoFit) -> None:
    assert [point.budget for point in found.front.points] == ["relrmse<=0.025", "relrmse<=0.1", "relrmse<=0.4"]
    for point, plan in zip(found.front.points, found.plans, strict=True):
        assert plan.budget is not None and plan.budget.text == point.budget
        for part, record in (
            (point.calibration, plan.budget.calibration),
            (point.verification, plan.budget.verification),
        ):
            assert record.loss <= 1
            assert part.reuse == record.reuse
            assert part.loss == pytest.approx(record.loss * point.factor)
            [bound] = part.bounds
            assert bound.loss == pytest.approx(part.loss * 0.1)


def test_points_are_sorted_and_none_beats_another(found: ParetoFit) -> None:
    points = found.front.points
    assert [point.plan for point in points] == [f"plan-0{number}.json" for number in range(1, len(points) + 1)]
    for narrow, wide in pairwise(points):
        assert narrow.reuse < wide.reuse and narrow.loss < wide.loss


def test_the_plan_for_the_limit_itself_is_that_of_a_plain_fit(model: Model, found: ParetoFit) -> None:
    plain = fit_to_budget(model, _stream(model), "relrmse<=0.1", rounds=0, jobs=1, guard=False)
    assert found.plan == plain == found.plans[1]


def test_where_nothing_keeps_any_limit_the_front_is_empty(model: Model) -> None:
    settings = FitSettings(rounds=0, jobs=1, guard=False)
    found = fit_pareto(model, _stream(model), "relrmse<=0", settings)
    assert (found.front.points, found.plans) == ([], [])
    assert {site.mode for site in found.plan.sites} == {"dense"}


@pytest.mark.parametrize(
    ("text", "factor", "scaled"),
    [
        ("relrmse<=0.1", 0.5, "relrmse<=0.05"),
        ("f1@0.7:score[...,1] <= 0.01; relrmse<=2", 4, "f1@0.7:score[...,1] <= 0.04; relrmse<=8"),
        ("sqnr>=40", 0.1, "sqnr>=60"),
        ("argmax<=0.3", 4, None),
        ("sqnr>=6", 4, None),
    ],
)
def test_limits_are_scaled_and_shares_end_at_one(model: Model, text: str, factor: float, scaled: str | None) -> None:
    bounds = parse_budget(text, model.outputs)
    assert scaled_budget(text, factor, bounds) == scaled
    if scaled is not None:
        for bound, other in zip(bounds, parse_budget(scaled, model.outputs), strict=True):
            assert other.limit == pytest.approx(bound.limit * factor)


def test_a_front_is_written_whole_and_replaces_an_older_one(found: ParetoFit, tmp_path: Path) -> None:
    folder = tmp_path / "front"
    write_front(folder, found.front, found.plans)
    assert ParetoFront.load(folder / "pareto.json") == found.front
    assert [Plan.load(folder / point.plan) for point in found.front.points] == found.plans
    fewer = found.front.model_copy(update={"points": found.front.points[:1]})
    write_front(folder, fewer, found.plans[:1])
    assert sorted(path.name for path in folder.iterdir()) == ["pareto.json", "plan-01.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["front"]


def test_what_is_no_front_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("years")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pareto.json").write_text("{}")
    for name, complaint in {
        "file": "is a file: choose a folder",
        "folder": "holds thesis.tex, and is no Pareto front",
        "other": "not a Pareto front",
        "missing/front": "make it first",
    }.items():
        with pytest.raises(ReuseError, match=complaint):
            check_front_place(tmp_path / name)
