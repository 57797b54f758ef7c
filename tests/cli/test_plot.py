"""``reusec plot``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reuse_compiler.pareto import ParetoFront
from reuse_compiler.plan import ModelRef
from tests.plots.front import front

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke

KINDS = ("similarity", "energy", "speedup", "clusters")


@pytest.fixture
def compiled(compilation: Path) -> Path:
    """The folder of the compilation."""
    return compilation / "compiled"


@pytest.fixture
def front_folder(tmp_path: Path) -> Path:
    """A folder with a front."""
    folder = tmp_path / "front"
    folder.mkdir()
    front("relrmse<=0.1").save(folder / "pareto.json")
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_compilation_is_drawn(invoke: Invoke, compiled: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    place = tmp_path / f"plot.{suffix}"
    done = invoke("plot", kind, compiled, "-o", place)
    assert (done.status, done.stdout, done.stderr) == (0, f"wrote {place}\n", "")
    assert place.read_bytes().startswith(b"\x89PNG" if suffix == "png" else b"<?xml")


def test_a_front_is_drawn(invoke: Invoke, front_folder: Path, tmp_path: Path) -> None:
    assert invoke("plot", "pareto", front_folder, "-o", tmp_path / "p.svg").status == 0
    assert (tmp_path / "p.svg").stat().st_size > 1000


def test_the_figures_are_printed(invoke: Invoke, compiled: Path, front_folder: Path, tmp_path: Path) -> None:
    report = json.loads((compiled / "report.json").read_text())
    shown = json.loads(invoke("plot", "similarity", compiled, "--json").stdout)
    assert shown["reuse"][-1] == report["totals"]["reuse"] and shown["names"][-1] == "model"
    swept = json.loads(invoke("plot", "clusters", compiled, "--json", "-o", tmp_path / "c.svg").stdout)
    assert len(swept["reuse"]) == len(swept["clusters"]) and swept["measured"] == [32, report["totals"]["reuse"]]
    assert (tmp_path / "c.svg").exists()
    assert json.loads(invoke("plot", "pareto", front_folder, "--json").stdout)["plans"][0] == "plan-01.json"


def test_a_file_of_the_folder_will_do(invoke: Invoke, compiled: Path, front_folder: Path) -> None:
    for kind, file in (("energy", compiled / "report.json"), ("clusters", compiled / "profile.json")):
        assert json.loads(invoke("plot", kind, file, "--json").stdout)["model"] == "small"
    assert json.loads(invoke("plot", "pareto", front_folder / "pareto.json", "--json").stdout)["model"] == "net"


def test_a_folder_without_what_is_needed(invoke: Invoke, compiled: Path, front_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "x.svg"

    def complaint(kind: str, folder: Path) -> str:
        said = invoke("plot", kind, folder, "-o", place).complaint
        assert not place.exists()
        return said

    empty = tmp_path / "empty"
    empty.mkdir()
    assert "report.json is missing: compile it with --stream" in complaint("energy", empty)
    assert "profile.json is missing" in complaint("clusters", empty)
    assert "pareto.json is missing: give a folder that fit --pareto wrote" in complaint("pareto", compiled)
    assert "no such folder" in complaint("speedup", tmp_path / "none")
    for kind in KINDS:
        assert "a Pareto front, with no" in complaint(kind, front_folder)
    assert "not a report" in complaint("similarity", compiled / "plan.json")
    nothing = ParetoFront(model=ModelRef(path="m", sha256=""), budget="relrmse<=0", objective="macs", points=[])
    nothing.save(front_folder / "pareto.json")
    assert "nothing to plot" in complaint("pareto", front_folder)


def test_a_target_that_cannot_be_written(invoke: Invoke, compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.svg").mkdir()
    for place, why in (
        (tmp_path / "none/x.svg", "there is no folder"),
        (tmp_path / "folder.svg", "is a folder"),
        (tmp_path / "x.pdf", "no format of a plot"),
        (compiled / "x", "no suffix"),
    ):
        assert why in invoke("plot", "energy", compiled, "-o", place).complaint
    report = compiled / "report.json"
    before = report.read_bytes()
    assert "this command reads it" in invoke("plot", "energy", report, "-o", report).complaint
    assert report.read_bytes() == before


def test_matplotlib_is_asked_for_before_the_folder_is_read(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    complaint = invoke("plot", "energy", tmp_path / "none", "-o", tmp_path / "x.svg").complaint
    assert "matplotlib is not installed: pip install 'reuse-compiler[plot]'" in complaint


def test_numbers_need_no_matplotlib(invoke: Invoke, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert invoke("plot", "energy", compiled, "--json").status == 0


def test_usage(invoke: Invoke, compiled: Path) -> None:
    assert invoke("plot", "energy", compiled).status == 2
    assert invoke("plot", "loss", compiled, "-o", "x.svg").status == 2
