"""``reusec compile``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from reuse_compiler.plan import Plan
from reuse_compiler.report import Report
from tests.cli.conftest import recording

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke, Save

_ALL = ["model.reuse.onnx", "plan.json", "profile.json", "program.safetensors", "report.json"]


@pytest.fixture
def plan(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> Path:
    """A plan for the small model."""
    path = tmp_path / "plan.json"
    assert invoke("fit", model, "--stream", stream, "--exclude", "fc2", "-o", path).status == 0
    return path


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_from_a_stream_everything_is_written(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> None:
    done = invoke("compile", model, "--stream", stream, "--clusters", 16, "-o", tmp_path / "out")
    assert done.status == 0
    assert _files(tmp_path / "out") == _ALL
    assert {site.quantizer.clusters for site in Plan.load(tmp_path / "out/plan.json").sites if site.quantizer} == {16}
    assert any(line.startswith("total") for line in done.stdout.splitlines())
    assert "3 of 3 sites reuse" in done.stdout
    onnx.checker.check_model(tmp_path / "out/model.reuse.onnx")


def test_json_holds_the_report(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> None:
    shown = json.loads(invoke("compile", model, "--stream", stream, "-o", tmp_path / "out", "--json").stdout)
    assert shown["files"] == _ALL
    assert shown["report"] == json.loads((tmp_path / "out/report.json").read_text())
    assert shown["report"]["totals"]["frames"] == 6


def test_from_a_plan_alone_nothing_is_run(invoke: Invoke, model: Path, plan: Path, tmp_path: Path) -> None:
    done = invoke("compile", model, "--plan", plan, "-o", tmp_path / "out")
    assert done.status == 0
    assert _files(tmp_path / "out") == ["model.reuse.onnx", "plan.json", "program.safetensors"]
    assert "2 of 3 sites reuse" in done.stdout


def test_no_run_verifies_and_writes_no_report(
    invoke: Invoke, model: Path, plan: Path, stream: Path, tmp_path: Path
) -> None:
    done = invoke("compile", model, "--plan", plan, "--stream", stream, "--no-run", "-o", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["report"] is None
    assert "report.json" not in _files(tmp_path / "out")


def test_with_a_plan_the_stream_is_costed(
    invoke: Invoke, model: Path, plan: Path, stream: Path, tmp_path: Path
) -> None:
    invoke("compile", model, "--plan", plan, "--stream", stream, "--hardware", "isca18-macro", "-o", tmp_path / "out")
    report = Report.load(tmp_path / "out/report.json")
    assert report.hardware.name == "isca18-macro"
    assert {layer.name: layer.backend for layer in report.layers}["fc2"] == "dense"


def test_a_compilation_is_replaced(invoke: Invoke, model: Path, plan: Path, stream: Path, tmp_path: Path) -> None:
    invoke("compile", model, "--stream", stream, "-o", tmp_path / "out")
    assert invoke("compile", model, "--plan", plan, "-o", tmp_path / "out").status == 0
    assert "report.json" not in _files(tmp_path / "out")


def test_a_folder_with_something_else_is_left_alone(invoke: Invoke, model: Path, plan: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("years")
    assert "thesis.tex" in invoke("compile", model, "--plan", plan, "-o", tmp_path / "out").complaint
    assert _files(tmp_path / "out") == ["thesis.tex"]


@pytest.mark.parametrize(
    "arguments",
    [(), ("--plan", "p", "--clusters", 8), ("--plan", "p", "--exclude", "a"), ("--state", "a", "--plan", "p")],
)
def test_options_that_do_not_go_together(
    invoke: Invoke, model: Path, tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    assert invoke("compile", model, "-o", tmp_path / "out", *arguments).status == 2


def test_a_state_that_the_plan_lacks(invoke: Invoke, model: Path, plan: Path, tmp_path: Path) -> None:
    done = invoke("compile", model, "--plan", plan, "--state", "image=score", "-o", tmp_path / "out")
    assert "not that of the plan" in done.complaint


def test_unknown_hardware_is_told_with_the_known(invoke: Invoke, model: Path, plan: Path, tmp_path: Path) -> None:
    done = invoke("compile", model, "--plan", plan, "--hardware", "abacus", "-o", tmp_path / "out")
    assert "abacus" in done.complaint and "isca18" in done.complaint
    assert not (tmp_path / "out").exists()


def test_to_a_budget(invoke: Invoke, model: Path, save: Save, tmp_path: Path) -> None:
    """The plan of the folder is the one that fit gives."""
    stream = save(image=recording(24))
    done = invoke("compile", model, "--stream", stream, "--budget", "relrmse<=0.1", "-o", tmp_path / "out")
    assert "budget    relrmse<=0.1\nchosen    on 16 frames: reuse " in done.stdout
    assert "budget    relrmse<=0.1 is kept on this stream: output score has 0." in done.stdout
    accuracy = json.loads((tmp_path / "out/report.json").read_text())["accuracy"]
    assert (accuracy["metric"], accuracy["budget"], accuracy["kept"]) == ("relrmse", 0.1, True)
    assert 0 < accuracy["value"] <= 0.1
    fitted = json.loads(invoke("fit", model, "--stream", stream, "--budget", "relrmse<=0.1", "--json").stdout)
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    assert (plan["sites"], plan["budget"]) == (fitted["sites"], fitted["budget"])
    assert {site["mode"] for site in plan["sites"]} == {"reuse"}
    assert (tmp_path / "out/profile.json").is_file()


def test_to_a_budget_with_an_objective(invoke: Invoke, model: Path, save: Save, tmp_path: Path) -> None:
    stream = save(image=recording(24))
    budget = ("--stream", stream, "--budget", "relrmse<=0.1", "--effort", 0, "--objective", "energy")
    done = invoke("compile", model, *budget, "--no-run", "-o", tmp_path / "out")
    assert "saving    energy\n" in done.stdout
    plan = Plan.load(tmp_path / "out/plan.json")
    assert plan.budget is not None and plan.budget.objective == "energy"
    (tmp_path / "here").mkdir()
    inside = invoke("compile", model, *budget, "--journal", tmp_path / "here/j", "-o", tmp_path / "here")
    assert "which is written as a whole" in inside.complaint


def test_a_budget_chooses_and_a_plan_has_its_own(invoke: Invoke, model: Path, plan: Path, stream: Path) -> None:
    budget = ("--budget", "relrmse<=0.1", "-o", model.parent / "out")
    given = {
        "a plan, or a stream": ("compile", model, *budget),
        "the plan says it": ("compile", model, "--plan", plan, *budget),
        "the budget chooses it": ("compile", model, "--stream", stream, "--clusters", 16, *budget),
    }
    for complaint, arguments in given.items():
        done = invoke(*arguments)
        assert (done.status, complaint in done.stderr) == (2, True), done.stderr
    assert "6 frames are too few" in invoke("compile", model, "--stream", stream, *budget).complaint
    assert not (model.parent / "out").exists()


def test_a_run_that_exceeds_the_budget_says_so(invoke: Invoke, model: Path, save: Save, tmp_path: Path) -> None:
    stream = save(image=recording(24))
    assert invoke("compile", model, "--stream", stream, "--budget", "relrmse<=0.1", "-o", tmp_path / "out").status == 0
    np.savez(tmp_path / "loud.npz", image=40 * recording(6))
    for executor in ("accelerator", "portable"):
        done = invoke("run", tmp_path / "out", "--stream", tmp_path / "loud.npz", "--executor", executor)
        assert "budget    relrmse<=0.1 is NOT kept on this stream: output score has " in done.stdout


def test_bounds_whose_labels_the_stream_lacks_are_said_to_be_unjudged(
    invoke: Invoke, model: Path, save: Save, tmp_path: Path
) -> None:
    labelled = save(image=recording(24), __labels__=np.zeros((24, 1), np.int64))
    budget = ("--budget", "labels.argmax<=0.5", "--effort", 0)
    assert invoke("compile", model, "--stream", labelled, *budget, "--no-run", "-o", tmp_path / "out").status == 0
    np.savez(tmp_path / "plain.npz", image=recording(6))
    run = ("run", tmp_path / "out", "--stream", tmp_path / "plain.npz")
    words = "budget    labels.argmax<=0.5 is not judged: this stream has no labels of output score: give __labels_OUTPUT__ or"
    assert words in invoke(*run).stdout
    again = ("compile", model, "--plan", tmp_path / "out/plan.json", "--stream", tmp_path / "plain.npz")
    assert words in invoke(*again, "-o", tmp_path / "again").stdout
    accuracy = json.loads(invoke(*run, "--json").stdout)["accuracy"]
    assert (accuracy["kept"], accuracy["bounds"]) == (None, [])
    assert accuracy["unjudged"] == [{"text": "labels.argmax<=0.5", "output": "score"}]
