"""``reusec bench``. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reuse_compiler.backend.cpu import library
from reuse_compiler.bench.report import BenchReport
from reuse_compiler.cpu_costs import CpuCosts
from reuse_compiler.machine_costs import calibration_path, machine_costs
from tests.cli.conftest import recording

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


@pytest.fixture
def compiled(compilation: Path) -> Path:
    """The folder of the compilation."""
    return compilation / "compiled"


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Its stream, there and back: 12 frames."""
    np.savez(tmp_path / "drive.npz", image=np.concatenate([recording(), recording()[::-1]]))
    return tmp_path / "drive.npz"


def test_the_table_has_layers_total_loss_and_alternatives(invoke: Invoke, compiled: Path, drive: Path) -> None:
    done = invoke("bench", compiled, "--stream", drive, "--threads", 1, "--no-adaptive")
    assert (done.status, done.stderr) == (0, "")
    first = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert {"conv", "fc1", "fc2", "other", "whole", "stream", "stock", "reuse", "speedup", "loss", "instead"} <= set(
        first
    )
    assert "run one frame of" in done.stdout and "skip frames" in done.stdout
    conv = next(line for line in done.stdout.splitlines() if line.startswith("conv "))
    assert "cheaper" in conv if library() else conv.split()[-3:] == ["-", "-", "-"]


def test_calibrate_measures_this_machine_and_keeps_it(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = invoke("bench", "--calibrate")
    if library() is None:
        assert "no kernel library" in done.complaint
        return
    assert str(calibration_path()) in done.stdout
    assert machine_costs() != CpuCosts()
    calibration_path().write_text("{")
    assert machine_costs() == CpuCosts()


def test_json_is_the_report(invoke: Invoke, compiled: Path, drive: Path) -> None:
    done = invoke("bench", compiled, "--stream", drive, "--threads", 1, "--frames", "2:", "--json")
    assert (done.status, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    report = BenchReport.model_validate(shown)
    assert (report.threads, report.frames) == (1, 10)
    assert [layer.name for layer in report.layers] == ["conv", "fc1", "fc2", "other nodes"]
    assert list(shown)[:6] == ["threads", "frames", "dense_ms", "reuse_ms", "speedup", "spread"]


def test_too_few_frames(invoke: Invoke, compiled: Path, drive: Path) -> None:
    assert "7 frames are too few" in invoke("bench", compiled, "--stream", drive, "--frames", "0:7").complaint


def test_threads_below_one(invoke: Invoke, compiled: Path, drive: Path) -> None:
    assert "threads is 0" in invoke("bench", compiled, "--stream", drive, "--threads", 0).complaint


def test_a_folder_that_compile_did_not_write(invoke: Invoke, drive: Path, tmp_path: Path) -> None:
    assert "is missing" in invoke("bench", tmp_path, "--stream", drive).complaint
    assert "no such folder" in invoke("bench", tmp_path / "none", "--stream", drive).complaint


def test_a_state_that_is_not_the_plan_s(invoke: Invoke, compiled: Path, drive: Path) -> None:
    assert "--state" in invoke("bench", compiled, "--stream", drive, "--state", "image=score").complaint


def test_a_stream_or_a_model_that_is_missing(invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path) -> None:
    assert "none.npz" in invoke("bench", compiled, "--stream", tmp_path / "none.npz").complaint
    assert "--model" in invoke("bench", compiled, "--stream", drive, "--model", tmp_path / "none.onnx").complaint
