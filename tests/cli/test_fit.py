"""``reusec fit``."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reuse_compiler.cli.fit import fit as fit_command
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import load
from reuse_compiler.pareto import ParetoFront
from reuse_compiler.plan import BudgetRecord, ModelRef, PartRecord, Plan, QuantizerSpec, SitePlan
from tests.cli.conftest import recording

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke, Save


@pytest.fixture
def profile(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> Path:
    """A profile of the small model."""
    path = tmp_path / "profile.json"
    assert invoke("profile", model, "--stream", stream, "-o", path).status == 0
    return path


def test_the_plan_is_written_and_shown(invoke: Invoke, model: Path, profile: Path, tmp_path: Path) -> None:
    done = invoke("fit", model, "--profile", profile, "--clusters", 16, "-o", tmp_path / "plan.json")
    assert done.status == 0
    plan = Plan.load(tmp_path / "plan.json")
    assert [(site.node, site.mode) for site in plan.sites] == [("conv", "reuse"), ("fc1", "reuse"), ("fc2", "reuse")]
    assert {site.quantizer.clusters for site in plan.sites if site.quantizer} == {16}
    assert "conv" in done.stdout and "16" in done.stdout


def test_json_is_the_plan(invoke: Invoke, model: Path, profile: Path, tmp_path: Path) -> None:
    done = invoke("fit", model, "--profile", profile, "-o", tmp_path / "plan.json", "--json")
    assert json.loads(done.stdout) == json.loads((tmp_path / "plan.json").read_text())


def test_options_reach_the_sites(invoke: Invoke, model: Path, profile: Path) -> None:
    done = invoke(
        "fit", model, "--profile", profile, "--site", "fc1=300", "--exclude", "fc2", "--deadband", 0.75, "--json"
    )
    conv, fc1, fc2 = json.loads(done.stdout)["sites"]
    assert conv["quantizer"]["clusters"] == 32
    assert conv["quantizer"]["deadband"] == pytest.approx(0.75 * conv["quantizer"]["step"])
    assert fc1["quantizer"]["clusters"] == 300
    assert (fc2["mode"], fc2["quantizer"]) == ("dense", None)


def test_kmeans_makes_tables(invoke: Invoke, model: Path, profile: Path) -> None:
    done = invoke("fit", model, "--profile", profile, "--centroids", "kmeans", "--clusters", 16, "--json")
    quantizers = [site["quantizer"] for site in json.loads(done.stdout)["sites"]]
    assert {(quantizer["kind"], len(quantizer["centroids"])) for quantizer in quantizers} == {("table", 16)}
    shown = invoke("fit", model, "--profile", profile, "--centroids", "kmeans", "--clusters", 16)
    assert shown.status == 0
    assert "table" in shown.stdout


def test_clip_narrows_a_range_or_keeps_it(invoke: Invoke, model: Path, profile: Path) -> None:
    def steps(clip: str) -> list[float]:
        done = invoke("fit", model, "--profile", profile, "--clusters", 4, "--clip", clip, "--json")
        return [site["quantizer"]["step"] for site in json.loads(done.stdout)["sites"]]

    assert all(mse <= minmax for mse, minmax in zip(steps("mse"), steps("minmax"), strict=True))
    assert steps("mse") != steps("minmax")


def test_without_a_profile_the_stream_is_profiled(invoke: Invoke, model: Path, stream: Path, profile: Path) -> None:
    direct = invoke("fit", model, "--stream", stream, "--json")
    assert json.loads(direct.stdout) == json.loads(invoke("fit", model, "--profile", profile, "--json").stdout)


def test_a_stream_beside_a_profile_is_said_to_be_unread(invoke: Invoke, model: Path, profile: Path) -> None:
    done = invoke("fit", model, "--profile", profile, "--stream", "nothing", "--json")
    assert done.status == 0
    assert "nothing is not read" in done.stderr


def test_defaults_are_those_of_the_library() -> None:
    command, library = inspect.signature(fit_command).parameters, inspect.signature(fit).parameters
    for name in ("clusters", "clip", "deadband"):
        assert command[name].default == library[name].default, name


@pytest.mark.parametrize("clusters", [-1, 0, 1, 65_536])
def test_clusters_out_of_range(invoke: Invoke, model: Path, profile: Path, tmp_path: Path, clusters: int) -> None:
    plan = tmp_path / "plan.json"
    given = ("fit", model, "--profile", profile, "-o", plan)
    assert "2 to 65,535" in invoke(*given, "--clusters", clusters).complaint
    assert "2 to 65,535" in invoke(*given, "--site", f"fc1={clusters}").complaint
    assert not plan.exists()


@pytest.mark.parametrize("arguments", [("--site", "fc1"), ("--site", "fc1=x"), ("--clusters", "many"), ("--clip", "x")])
def test_what_cannot_be_parsed_is_a_usage_error(
    invoke: Invoke, model: Path, profile: Path, arguments: tuple[str, str]
) -> None:
    done = invoke("fit", model, "--profile", profile, *arguments)
    assert done.status == 2
    assert arguments[0] in done.stderr


def test_a_site_that_is_none(invoke: Invoke, model: Path, profile: Path) -> None:
    assert "relu9" in invoke("fit", model, "--profile", profile, "--exclude", "relu9").complaint


def test_neither_profile_nor_stream_is_a_usage_error(invoke: Invoke, model: Path) -> None:
    assert invoke("fit", model).status == 2


def test_a_plan_is_no_profile(invoke: Invoke, model: Path, profile: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    invoke("fit", model, "--profile", profile, "-o", plan)
    before = plan.read_bytes()
    assert "not a profile" in invoke("fit", model, "--profile", plan, "-o", tmp_path / "other.json").complaint
    assert "this command reads it" in invoke("fit", model, "--profile", plan, "-o", plan).complaint
    assert "this command reads it" in invoke("fit", model, "--profile", profile, "-o", model).complaint
    assert plan.read_bytes() == before
    assert not (tmp_path / "other.json").exists()


def test_a_budget_is_kept_or_the_plan_is_dense(invoke: Invoke, model: Path, tmp_path: Path) -> None:
    """On a drift with a little noise something is reused at ten percent, and nothing at none."""
    generator = np.random.default_rng(0)
    [name] = [spec.name for spec in load(model).inputs]
    [first] = [spec.shape for spec in load(model).inputs]
    drift = np.cumsum(generator.standard_normal((24, *first)) * 0.02, axis=0) + generator.standard_normal(first)
    np.savez(tmp_path / "s.npz", **{name: drift.astype(np.float32)})  # type: ignore[arg-type]
    done = invoke("fit", model, "--stream", tmp_path / "s.npz", "--budget", "relrmse<=0.1", "-o", tmp_path / "p.json")
    assert done.status == 0
    assert {site.mode for site in Plan.load(tmp_path / "p.json").sites} == {"reuse"}
    assert "budget    relrmse<=0.1\nchosen    on 16 frames: reuse " in done.stdout
    assert "verified  on 8 frames: reuse " in done.stdout
    dense = invoke("fit", model, "--stream", tmp_path / "s.npz", "--budget", "relrmse<=0", "--json")
    assert {site["mode"] for site in json.loads(dense.stdout)["sites"]} == {"dense"}


def test_a_budget_needs_a_stream_and_chooses_the_rest(invoke: Invoke, model: Path, stream: Path, profile: Path) -> None:
    without = invoke("fit", model, "--profile", profile, "--budget", "relrmse<=0.1")
    assert (without.status, "a budget is tried on a stream" in without.stderr) == (2, True)
    both = invoke("fit", model, "--stream", stream, "--budget", "relrmse<=0.1", "--clusters", 16)
    assert (both.status, "the budget chooses it" in both.stderr) == (2, True)
    unknown = invoke("fit", model, "--stream", stream, "--budget", "nmse<=0.1")
    assert unknown.status == 1
    assert "no metric is called nmse" in unknown.stderr


def test_guard_and_refresh_go_with_a_budget(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> None:
    for option in (("--no-guard",), ("--guard",), ("--refresh", 9)):
        for command in ("fit", "compile"):
            done = invoke(command, model, "--stream", stream, "-o", tmp_path / "new", *option)
            assert (done.status, "goes with a budget" in done.stderr) == (2, True)
    images = np.repeat(recording(1), 15, axis=0)
    images[:, 0, 0, 0] += np.arange(15, dtype=np.float32) / 64
    np.savez(tmp_path / "s.npz", image=images)
    budget = ("--stream", tmp_path / "s.npz", "--budget", "relrmse<=0.1", "--json")
    plan = json.loads(invoke("fit", model, *budget, "--refresh", 9).stdout)
    assert plan["refresh"] == {"every": 9} and set(plan["guard"]["clipped"]) == {"conv", "fc1", "fc2"}
    bare = json.loads(invoke("fit", model, *budget, "--no-guard").stdout)
    assert (bare["refresh"], bare["guard"], bare["sites"]) == (None, None, plan["sites"])
    assert "every is 0" in invoke("fit", model, *budget, "--refresh", 0).complaint


@pytest.fixture
def drift(save: Save) -> Path:
    """24 frames in which a fifth of the elements move a little."""
    generator = np.random.default_rng(0)
    steps = generator.standard_normal((24, 2, 6, 6)) * (generator.random((24, 2, 6, 6)) < 0.2) * 0.2
    return save(image=(np.cumsum(steps, axis=0) + generator.standard_normal((2, 6, 6))).astype(np.float32))


def test_a_front_of_plans_is_written_and_compile_takes_any(
    invoke: Invoke, model: Path, drift: Path, tmp_path: Path
) -> None:
    fit = ("fit", model, "--stream", drift, "--budget", "relrmse<=0.1", "--effort", 0, "--threads", 1)
    done = invoke(*fit, "--pareto", tmp_path / "front", "-o", tmp_path / "plan.json")
    assert done.status == 0, done.stderr
    front = ParetoFront.load(tmp_path / "front" / "pareto.json")
    assert len(front.points) > 2
    for point in front.points:
        assert f"{point.plan}  {point.budget}" in done.stdout
    assert f"wrote {tmp_path / 'front'}" in done.stdout
    [own] = [point.plan for point in front.points if point.factor == 1]
    assert (tmp_path / "front" / own).read_text() == (tmp_path / "plan.json").read_text()
    plan = tmp_path / "front" / front.points[-1].plan
    assert invoke("compile", model, "--plan", plan, "-o", tmp_path / "out").status == 0


def test_an_effort_that_cut_the_search_short_is_shown_and_kept(
    invoke: Invoke, model: Path, drift: Path, tmp_path: Path
) -> None:
    fit = ("fit", model, "--stream", drift, "--budget", "relrmse<=0.1", "-o", tmp_path / "plan.json")
    words = "effort    0 s cut the search short: without --effort, or with more, a plan may save more\n"
    assert words in invoke(*fit, "--effort", 0, "--pareto", tmp_path / "front").stdout
    for path in (tmp_path / "plan.json", *(tmp_path / "front").glob("plan-*.json")):
        assert words in invoke("inspect", path).stdout
    assert "effort " not in invoke(*fit, "--effort", 600).stdout
    record = Plan.load(tmp_path / "plan.json").budget
    assert record is not None and record.cut_short_seconds is None


def test_an_objective_is_shown(invoke: Invoke, model: Path, drift: Path) -> None:
    fit = ("fit", model, "--stream", drift, "--budget", "relrmse<=0.1", "--effort", 0, "--objective", "cycles")
    shown = invoke(*fit)
    assert "saving    cycles\n" in shown.stdout
    assert "% weighed by cycles), " in shown.stdout
    record = json.loads(invoke(*fit, "--hardware", "isca18-macro", "--json").stdout)["budget"]
    assert record["objective"] == "cycles"
    assert 0 < record["calibration"]["weighed"] < 1


@pytest.mark.parametrize(
    "option",
    [
        ("--objective", "energy"),
        ("--hardware", "isca18"),
        ("--effort", 1),
        ("--journal", "j"),
        ("--pareto", "front"),
        ("--refresh", 3),
        ("--no-guard",),
    ],
)
def test_options_of_a_budget_need_one(invoke: Invoke, model: Path, stream: Path, option: tuple[object, ...]) -> None:
    done = invoke("fit", model, "--stream", stream, *option)
    assert (done.status, "goes with a budget" in done.stderr) == (2, True)


def test_a_journal_is_kept_and_read(invoke: Invoke, model: Path, drift: Path, tmp_path: Path) -> None:
    fit = ("fit", model, "--stream", drift, "--budget", "relrmse<=0.1", "--effort", 0, "--json")
    first = invoke(*fit, "--journal", tmp_path / "journal.jsonl")
    lines = (tmp_path / "journal.jsonl").read_text()
    assert first.status == 0 and lines
    assert invoke(*fit, "--journal", tmp_path / "journal.jsonl").stdout == first.stdout == invoke(*fit).stdout
    assert (tmp_path / "journal.jsonl").read_text() == lines


@pytest.fixture
def noisy() -> Plan:
    """A plan to a budget with a site that reuses and one that does not."""
    part = PartRecord(frames=16, reuse=0.5, loss=0.9, weighed=0.4)
    return Plan(
        model=ModelRef(path="model.onnx", sha256="0" * 64),
        budget=BudgetRecord(text="relrmse<=0.1", calibration=part, verification=part, objective="cycles"),
        sites=[
            SitePlan(
                node="fc",
                input="x",
                op="Gemm",
                mode="reuse",
                quantizer=QuantizerSpec(step=0.1, zero=0, clusters=8),
                reason="relrmse<=0.1 on 16 frames",
            ),
            SitePlan(
                node="conv",
                input="n",
                op="Conv",
                mode="dense",
                reason="dense: 268.4 cycles a frame with reuse, 262.0 without",
            ),
        ],
    )


def test_a_site_that_does_not_pay_is_shown_with_its_reason(invoke: Invoke, tmp_path: Path, noisy: Plan) -> None:
    """Why sites reuse is said once, by the budget above the table."""
    noisy.save(tmp_path / "plan.json")
    shown = invoke("inspect", tmp_path / "plan.json").stdout
    assert "dense: 268.4 cycles a frame with reuse, 262.0 without" in shown
    assert "relrmse<=0.1 on 16 frames" not in shown
