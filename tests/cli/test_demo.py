"""``reusec demo``, on a short drive."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reuse_compiler.frontend import load
from reuse_compiler.models.autopilot import path, stream
from reuse_compiler.reference import Reference
from reuse_compiler.report import Report
from reuse_compiler.streams import open_stream

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke

_FRAMES = 6


@pytest.fixture(autouse=True)
def short_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo on a few frames, in an empty folder."""
    script = tmp_path / "drive.py"
    script.write_text(
        f"from reuse_compiler.models.autopilot import stream\ndef frames():\n    return stream({_FRAMES})\n"
    )
    monkeypatch.setattr("reuse_compiler.cli.demo._STREAM", f"{script}:frames")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_it_ends_with_the_table_and_can_be_run_again(invoke: Invoke) -> None:
    for _ in range(2):
        done = invoke("demo")
        assert done.status == 0
        lines = done.stdout.splitlines()
        assert sum(line.startswith("total ") for line in lines) == 1
        assert sum(line.startswith("steering error against fp32: ") for line in lines) == 1
    assert sorted(str(file) for file in Path("demo").iterdir()) == [
        "demo/compiled",
        "demo/outputs.npz",
        "demo/plan.json",
        "demo/profile.json",
        "demo/report.html",
        "demo/report.json",
    ]


def test_the_commands_that_it_prints_do_the_same(invoke: Invoke) -> None:
    shown = invoke("demo").stdout
    report = Report.load("demo/report.json")
    commands = [shlex.split(line)[2:] for line in shown.splitlines() if line.startswith("$ reusec ")]
    assert [command[0] for command in commands] == ["check", "profile", "fit", "compile", "inspect", "run", "report"]
    for command in commands:
        assert invoke(*command).status == 0, command
    again = Report.load("demo/report.json")
    assert again.totals == report.totals
    assert again.accuracy == report.accuracy


def test_the_steering_error_is_that_of_the_outputs(invoke: Invoke) -> None:
    shown = invoke("demo").stdout
    model = load(path())
    reference = Reference(model, {})
    exact = [reference.run(frame)["steering"] for frame in open_stream(lambda: stream(_FRAMES), model.inputs)]
    with np.load("demo/outputs.npz") as outputs:
        error = np.degrees(outputs["steering"].astype(float) - np.array(exact, float))
    (line,) = [line for line in shown.splitlines() if line.startswith("steering error")]
    assert f"{np.sqrt(np.mean(error**2)):.3f} degrees RMS" in line
    assert line.endswith(f"at most {np.abs(error).max():.3f}")


def test_json_is_the_report(invoke: Invoke) -> None:
    assert json.loads(invoke("demo", "--json", "-o", "elsewhere").stdout) == json.loads(
        Path("elsewhere/report.json").read_text()
    )


def test_a_folder_of_somebody_else_is_left_alone(invoke: Invoke) -> None:
    Path("demo").mkdir()
    Path("demo/tape.txt").write_text("music")
    assert "demo: holds tape.txt" in invoke("demo").complaint
    assert [file.name for file in Path("demo").iterdir()] == ["tape.txt"]
    Path("file").write_text("")
    assert "is a file" in invoke("demo", "-o", "file").complaint
