"""``reusec reproduce``: the page that it writes, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reuse_compiler.errors import ModelError
from reuse_compiler.models import autopilot
from reuse_compiler.reproduce.workloads import WORKLOADS

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


def test_the_command_writes_the_page(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("reproduce", "autopilot", "--quick", "-o", tmp_path / "page.md")
    assert done.status == 0 and "What reuse brings" in done.stdout
    text = (tmp_path / "page.md").read_text()
    for picture in re.findall(r"]\((.*\.svg)\)", text):
        assert (tmp_path / picture).is_file()
    assert json.loads((tmp_path / "page.json").read_text())["quick"] is True


def test_an_unknown_network_is_one_line_that_lists_them(invoke: Invoke) -> None:
    complaint = invoke("reproduce", "alexnet").complaint
    assert "alexnet" in complaint and all(name in complaint for name in WORKLOADS)


def test_missing_weights_say_what_to_run(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise ModelError("autopilot.onnx: missing: run python -m reuse_compiler.models.autopilot.train")

    monkeypatch.setattr(autopilot, "path", missing)
    assert "autopilot.train" in invoke("reproduce", "autopilot", "--quick").complaint


def test_a_missing_extra_says_what_to_install(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    complaint = invoke("reproduce", "autopilot", "--quick", "-o", tmp_path / "page.md").complaint
    assert "pip install 'reuse-compiler[plot]'" in complaint
    assert not any(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_told_before_the_work(invoke: Invoke, tmp_path: Path) -> None:
    assert "ends in .md" in invoke("reproduce", "autopilot", "-o", tmp_path / "page.html").complaint
    assert "there is no folder" in invoke("reproduce", "autopilot", "-o", tmp_path / "none" / "page.md").complaint
    (tmp_path / "page").write_text("")
    assert "figures need a folder" in invoke("reproduce", "autopilot", "-o", tmp_path / "page.md").complaint


def test_a_recording_that_is_none_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "drive.mp4").write_text("no video")
    complaint = invoke("reproduce", "autopilot", "--quick", "--recording", tmp_path / "drive.mp4").complaint
    assert "drive.mp4" in complaint and "video is what c3d, c3d-small, autopilot take" in complaint


def test_a_file_of_another_kind_is_not_overwritten(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"format_version": 1}')
    assert "not a reproduction" in invoke("reproduce", "autopilot", "--quick", "-o", tmp_path / "plan.md").complaint
    assert (tmp_path / "plan.json").read_text() == '{"format_version": 1}'
    assert not (tmp_path / "plan.md").exists()
