"""``reusec run``."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reuse_compiler.backend.accelerator import program_file
from reuse_compiler.report import Report

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


@pytest.fixture
def compiled(compilation: Path) -> Path:
    """The folder of the compilation."""
    return compilation / "compiled"


@pytest.fixture
def drive(compilation: Path) -> Path:
    """Its stream."""
    return compilation / "stream.npz"


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return dict(arrays)


def test_the_report_is_shown(invoke: Invoke, compiled: Path, drive: Path) -> None:
    done = invoke("run", compiled, "--stream", drive)
    assert done.status == 0
    first = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert {"conv", "fc1", "fc2", "total", "loss", "state"} <= set(first)
    assert done.stderr == ""


def test_executors_give_the_same_outputs_and_indices(
    invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path
) -> None:
    for executor in ("accelerator", "portable"):
        places = "--outputs", tmp_path / f"{executor}.npz", "--indices", tmp_path / f"{executor}-indices.npz"
        assert invoke("run", compiled, "--stream", drive, "--executor", executor, *places).status == 0
    outputs = _arrays(tmp_path / "accelerator.npz")
    assert outputs["score"].shape == (6, 1, 2)
    np.testing.assert_allclose(_arrays(tmp_path / "portable.npz")["score"], outputs["score"], rtol=1e-4, atol=1e-5)
    indices = _arrays(tmp_path / "accelerator-indices.npz")
    assert set(indices) == {"conv", "fc1", "fc2"}
    assert indices["conv"].dtype == np.uint8
    np.testing.assert_array_equal(_arrays(tmp_path / "portable-indices.npz")["conv"], indices["conv"])


def test_json_goes_to_a_file_or_to_stdout(invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path) -> None:
    done = invoke("run", compiled, "--stream", drive, "--json", tmp_path / "report.json")
    assert "total" in done.stdout
    written = Report.load(tmp_path / "report.json")
    assert written.totals.frames == 6
    for arguments in (
        ("run", compiled, "--stream", drive, "--json"),
        ("run", compiled, "--json", "--stream", drive),
        ("run", "--json", compiled, "--stream", drive),
        ("run", compiled, "--stream", drive, "--json", "-"),
    ):
        assert json.loads(invoke(*arguments).stdout)["totals"]["macs"] == written.totals.macs


def test_portable_reports_similarity_and_time(invoke: Invoke, compiled: Path, drive: Path) -> None:
    given = "run", compiled, "--stream", drive, "--executor", "portable"
    shown = json.loads(invoke(*given, "--json").stdout)
    assert shown["executor"] == "portable"
    assert [site["node"] for site in shown["sites"]] == ["conv", "fc1", "fc2"]
    assert "ms a frame" in invoke(*given).stdout


def test_native_kernels_run_the_same_file(invoke: Invoke, compiled: Path, drive: Path) -> None:
    native, portable = (
        json.loads(invoke("run", compiled, "--stream", drive, "--executor", executor, "--json").stdout)
        for executor in ("native", "portable")
    )
    assert (native["executor"], portable["executor"]) == ("native", "portable")
    assert native["similarity"] == pytest.approx(portable["similarity"], abs=1e-3)


def test_native_says_what_is_missing(
    invoke: Invoke, compiled: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reuse_compiler.session.library", lambda: None)
    complaint = invoke("run", compiled, "--stream", drive, "--executor", "native").complaint
    assert "no kernel library" in complaint and "portable" in complaint


def test_a_trace_is_written(invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path) -> None:
    done = invoke("run", compiled, "--stream", drive, "--trace", tmp_path / "trace.safetensors")
    assert f"wrote {tmp_path / 'trace.safetensors'}" in done.stdout
    assert (tmp_path / "trace.safetensors").stat().st_size > 0


def test_a_timeline_is_written_to_a_json(invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path) -> None:
    given = "run", compiled, "--stream", drive, "--trace", tmp_path / "t.json", "--json", tmp_path / "report.json"
    done = invoke(*given)
    assert f"wrote {tmp_path / 't.json'}" in done.stdout
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    frames = [event for event in events if event.get("cat") == "frame" and event["pid"] == 1]
    spent = sum(event["dur"] for event in frames if event["name"] != "setup")
    assert spent == Report.load(tmp_path / "report.json").totals.cycles.reuse


def test_tables_are_written(invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = invoke("run", compiled, "--stream", drive, "--csv", tmp_path / "tables", "--json", report)
    assert [line for line in done.stdout.splitlines() if line.startswith("wrote ")] == [
        f"wrote {tmp_path / 'tables/layers.csv'}",
        f"wrote {tmp_path / 'tables/frames.csv'}",
        f"wrote {report}",
    ]
    for name, rows in (("layers", Report.load(report).layers), ("frames", range(6))):
        with (tmp_path / f"tables/{name}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == len(rows)


def test_tables_and_timelines_are_of_the_accelerator(
    invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path
) -> None:
    for option in ("--csv", "--trace"):
        done = invoke("run", compiled, "--stream", drive, "--executor", "portable", option, tmp_path / "t.json")
        assert done.status == 2 and option in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_places_of_tables_are_looked_at_before_the_work(
    invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "there").mkdir()
    given = "run", compiled, "--stream", drive, "--csv"
    assert "is a file: choose a folder" in invoke(*given, tmp_path / "file").complaint
    assert "there is no folder" in invoke(*given, tmp_path / "none/below").complaint
    place = tmp_path / "there/frames.csv"
    assert "two results" in invoke(*given, tmp_path / "there", "--outputs", place).complaint
    assert invoke(*given, tmp_path / "new", "--frames", "9:9").complaint
    assert not (tmp_path / "new").exists()


def test_another_hardware_costs_otherwise(invoke: Invoke, compiled: Path, drive: Path, tmp_path: Path) -> None:
    own = json.loads(invoke("run", compiled, "--stream", drive, "--json").stdout)
    other = json.loads(invoke("run", compiled, "--stream", drive, "--hardware", "isca18-macro", "--json").stdout)
    assert (own["hardware"]["name"], other["hardware"]["name"]) == ("isca18", "isca18-macro")
    assert own["totals"]["energy_pj"] != other["totals"]["energy_pj"]
    assert own["totals"]["macs_computed"] == other["totals"]["macs_computed"]


@pytest.mark.parametrize("option", ["--hardware", "--trace"])
def test_portable_has_no_use_for_costs(invoke: Invoke, compiled: Path, drive: Path, option: str) -> None:
    done = invoke("run", compiled, "--stream", drive, "--executor", "portable", option, "isca18")
    assert done.status == 2
    assert option in done.stderr


def test_the_original_may_have_moved_but_not_changed(
    invoke: Invoke, compilation: Path, drive: Path, tmp_path: Path
) -> None:
    shutil.copytree(compilation / "compiled", tmp_path / "compiled")
    plan = tmp_path / "compiled/plan.json"
    plan.write_text(plan.read_text().replace(str(compilation), "/nowhere"))
    given = "run", tmp_path / "compiled", "--stream", drive
    assert "--model" in invoke(*given).complaint
    assert invoke(*given, "--model", compilation / "small.onnx").status == 0
    changed = tmp_path / "changed.onnx"
    changed.write_bytes((compilation / "small.onnx").read_bytes() + b"\x32\x00")
    assert "hash" in invoke(*given, "--model", changed).complaint


def test_a_folder_that_compile_did_not_write(invoke: Invoke, drive: Path, tmp_path: Path) -> None:
    assert "is missing" in invoke("run", tmp_path, "--stream", drive).complaint
    assert "no such folder" in invoke("run", tmp_path / "none", "--stream", drive).complaint


def test_a_program_for_hardware_that_is_not_built_in_needs_its_file(
    invoke: Invoke, compilation: Path, drive: Path, tmp_path: Path
) -> None:
    import dataclasses

    shutil.copytree(compilation / "compiled", tmp_path / "compiled")
    path = tmp_path / "compiled/program.safetensors"
    program = program_file.load(path)
    tiling = dataclasses.replace(program.tiling, hardware="mine")
    program_file.save(dataclasses.replace(program, tiling=tiling), path)
    given = "run", tmp_path / "compiled", "--stream", drive
    assert "--hardware FILE.toml" in invoke(*given).complaint
    assert invoke(*given, "--hardware", "isca18").status == 0


def test_a_run_that_fails_writes_nothing(invoke: Invoke, compiled: Path, tmp_path: Path) -> None:
    images = np.zeros((4, 2, 6, 6), np.float32)
    images[3, 0, 0, 0] = np.nan
    np.savez(tmp_path / "bad.npz", image=images)
    (tmp_path / "outputs.npz").write_text("older")
    places = [f"--{name}={tmp_path / name}" for name in ("indices", "trace", "json")]
    done = invoke("run", compiled, "--stream", tmp_path / "bad.npz", "--outputs", tmp_path / "outputs.npz", *places)
    assert "frame 3" in done.complaint
    assert (tmp_path / "outputs.npz").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.npz", "outputs.npz"]
