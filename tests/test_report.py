"""The report as a file: read as it was written, or refused in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from reuse_compiler.document import ModelRef
from reuse_compiler.errors import ReuseError
from reuse_compiler.report import (
    Accuracy,
    Components,
    HardwareRef,
    LayerReport,
    OutputAccuracy,
    Pair,
    Report,
    RunStatistics,
    Setup,
    StateBytes,
    StreamStatistics,
    Totals,
)

PAIR = Pair(baseline=2.0, reuse=1.0)


@pytest.fixture
def report() -> Report:
    return Report(
        model=ModelRef(path="/m.onnx", sha256="ab" * 32),
        stream=StreamStatistics(name="s.npz", frames=3, sequences=1),
        hardware=HardwareRef(name="isca18", description="", constants=[]),
        totals=Totals(
            frames=3,
            macs=30,
            macs_computed=10,
            similarity=0.5,
            reuse=2 / 3,
            reuse_nonzero=0.5,
            speedup=2.0,
            energy_saving=0.5,
            cycles=PAIR,
            energy_pj=Components(baseline={"compute": 1.5}, reuse={"compute": 1.0}),
            area_mm2=PAIR,
            host_share=0.0,
        ),
        setup=Setup(cycles=PAIR, energy_pj=PAIR),
        state=StateBytes(buffer=1, dram=2, indices=1, linear=2),
        accuracy=Accuracy(
            metric="relrmse", value=math.inf, outputs={"y": OutputAccuracy(relrmse=math.inf, rmse=1e-30, max_abs=0.1)}
        ),
        layers=[
            LayerReport(
                name="a/b",
                op="Conv",
                backend="reuse",
                macs=30,
                macs_computed=10,
                inputs=6,
                similarity=0.5,
                reuse=2 / 3,
                clusters=32,
                step=0.1,
                deadband=[0.0, 0.25],
                cycles=PAIR,
                energy_pj=PAIR,
            )
        ],
        run=RunStatistics(seconds=0.1, macs_per_second=300.0, peak_memory_bytes=1 << 20),
    )


def test_a_report_is_read_as_it_was_written(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "r.json")
    assert Report.load(tmp_path / "r.json") == report


def test_it_has_the_keys_that_others_rely_on(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    assert {"tool", "model", "stream", "hardware", "totals", "accuracy", "layers", "setup", "run"} <= data.keys()
    assert data["tool"]["name"] == "reuse-compiler" and data["tool"]["version"]
    assert {"metric", "value", "budget"} <= data["accuracy"].keys()
    assert data["totals"]["cycles"] == {"baseline": 2.0, "reuse": 1.0}
    assert data["totals"]["energy_pj"] == {"baseline": {"compute": 1.5}, "reuse": {"compute": 1.0}}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"frames": 3', '"frames": "three"', "not a report: stream.frames: Input should be a valid integer"),
        ('"format_version": 1', '"format_version": 2', "report format 2, this version reads 1: run it again"),
        (
            '"backend": "reuse"',
            '"backend": "magic"',
            "not a report: layers.0.backend: Input should be 'reuse', 'dense' or",
        ),
        ('"setup": {', '"set_up": {', "not a report: setup: Field required"),
        ("{", "", "not a report: file: Invalid JSON"),
    ],
)
def test_what_is_no_report_is_refused(old: str, new: str, message: str, report: Report, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    report.save(path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ReuseError) as caught:
        Report.load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)
