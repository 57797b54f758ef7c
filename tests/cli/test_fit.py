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
from reuse_compiler.plan import Plan
from tests.cli.conftest import recording

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


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
    unknown = invoke("fit", model, "--stream", stream, "--budget", "rmse<=0.1")
    assert unknown.status == 1
    assert "no metric is called rmse" in unknown.stderr


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
