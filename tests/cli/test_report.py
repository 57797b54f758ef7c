"""``reusec report``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


def test_a_page_without_a_stream(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    shown = invoke("report", compilation / "compiled", "-o", tmp_path / "page.html").stdout
    assert shown.startswith(f"wrote {tmp_path / 'page.html'}: ")
    assert shown.endswith(" KB, 9 boxes before and 6 after\n")
    assert '"recording":null' in (tmp_path / "page.html").read_text()


def test_a_page_with_a_stream(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    stream = compilation / "stream.npz"
    options = ("--stream", stream, "--frames", "1:5", "-o", tmp_path / "page.html")
    shown = invoke("report", compilation / "compiled", *options).stdout
    assert shown.endswith(f"after, 4 frames of {stream}\n")
    assert "data:image/jpeg;base64," in (tmp_path / "page.html").read_text()


def test_json_says_where_and_how_large(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = json.loads(invoke("report", compilation / "compiled", "-o", page, "--json").stdout)
    assert shown == {"page": str(page), "bytes": page.stat().st_size, "boxes": [9, 6], "frames": 0}


def test_another_report_of_the_same_model(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    compiled, other = compilation / "compiled", tmp_path / "other.json"
    invoke("run", compiled, "--stream", compilation / "stream.npz", "--frames", "0:2", "--json", other)
    invoke("report", compiled, "--report", other, "-o", tmp_path / "page.html")
    assert '"frames":2,"sequences":1' in (tmp_path / "page.html").read_text()


def copied(compilation: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compilation / "compiled", tmp_path / "copy"))


def test_a_folder_without_a_report(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    folder = copied(compilation, tmp_path)
    (folder / "report.json").unlink()
    complaint = invoke("report", folder, "-o", tmp_path / "page.html").complaint
    assert complaint.startswith(f"reusec: {folder}: report.json is missing: compile with --stream")
    assert not (tmp_path / "page.html").exists()


def test_a_report_of_another_version(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    folder = copied(compilation, tmp_path)
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps({**report, "format_version": 7}))
    complaint = invoke("report", folder, "-o", tmp_path / "page.html").complaint
    assert complaint == f"reusec: {folder / 'report.json'}: report format 7, this version reads 1: run it again"


def test_a_report_that_lacks_a_constant(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    folder = copied(compilation, tmp_path)
    report = json.loads((folder / "report.json").read_text())
    del report["hardware"]["constants"][0]
    (folder / "report.json").write_text(json.dumps(report))
    assert "lacks a constant of this version" in invoke("report", folder, "-o", tmp_path / "page.html").complaint


def test_a_report_from_before_reuse_without_zeros_was_kept(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    folder = copied(compilation, tmp_path)
    report = json.loads((folder / "report.json").read_text())
    for layer in report["layers"]:
        del layer["reuse_nonzero"]
    (folder / "report.json").write_text(json.dumps(report))
    assert invoke("report", folder, "-o", tmp_path / "page.html").status == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    complaint = invoke("report", compilation / "compiled", "-o", tmp_path / "page.html").complaint
    assert "cannot write" in complaint


def test_a_target_that_cannot_be_written(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    assert (
        "is a folder: give the name of a file" in invoke("report", compilation / "compiled", "-o", tmp_path).complaint
    )
    missing = tmp_path / "no" / "page.html"
    assert "make it first" in invoke("report", compilation / "compiled", "-o", missing).complaint
    assert "cannot write" in invoke("report", compilation / "compiled", "-o", "/proc/page.html").complaint


@pytest.mark.parametrize("name", ["plan.json", "report.json", "profile.json"])
def test_what_it_reads_is_not_written_over(invoke: Invoke, compilation: Path, name: str) -> None:
    place = compilation / "compiled" / name
    assert "this command reads it" in invoke("report", compilation / "compiled", "-o", place).complaint


def test_a_model_that_has_moved(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    folder = copied(compilation, tmp_path)
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps({**plan, "model": {**plan["model"], "path": "/gone/small.onnx"}}))
    assert "give its place with --model" in invoke("report", folder, "-o", tmp_path / "page.html").complaint
    given = ("--model", compilation / "small.onnx")
    assert invoke("report", folder, *given, "-o", tmp_path / "page.html").status == 0


def test_no_such_folder(invoke: Invoke, tmp_path: Path) -> None:
    assert "no such folder" in invoke("report", tmp_path / "gone", "-o", tmp_path / "page.html").complaint


@pytest.mark.parametrize("option", ["--frames=0:2", "--preprocess=settings.toml"])
def test_options_of_a_stream_without_one(invoke: Invoke, compilation: Path, tmp_path: Path, option: str) -> None:
    done = invoke("report", compilation / "compiled", option, "-o", tmp_path / "page.html")
    assert done.status == 2
    assert "there is no --stream" in done.stderr
