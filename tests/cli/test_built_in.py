"""``reusec hardware`` and ``reusec models``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware
from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import load
from reuse_compiler.models import autopilot

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


def test_hardware_lists_all_that_is_built_in(invoke: Invoke) -> None:
    shown = invoke("hardware").stdout
    assert all(any(line.split()[:1] == [name] for line in shown.splitlines()) for name in builtin_names())
    assert [entry["name"] for entry in json.loads(invoke("hardware", "--json").stdout)] == builtin_names()


def test_every_constant_is_shown_with_unit_and_source(invoke: Invoke) -> None:
    constants = load_hardware("isca18").constants()
    shown = invoke("hardware", "isca18").stdout
    for name, _, unit, source in constants:
        assert any(name in line and unit in line and source in line for line in shown.splitlines()), name
    listed = json.loads(invoke("hardware", "isca18", "--json").stdout)["constants"]
    assert [(c["name"], c["value"], c["unit"], c["source"]) for c in listed] == constants


def test_hardware_of_a_file(invoke: Invoke, tmp_path: Path) -> None:
    assert "no such file" in invoke("hardware", tmp_path / "none.toml").complaint
    (tmp_path / "bad.toml").write_text("name = ")
    assert "not TOML" in invoke("hardware", tmp_path / "bad.toml").complaint
    (tmp_path / "short.toml").write_text('name = "short"\ndescription = ""')
    assert "clock" in invoke("hardware", tmp_path / "short.toml").complaint


def test_models_have_files_or_say_how_to_get_them_and_a_stream(invoke: Invoke) -> None:
    shown = invoke("models").stdout
    listed = {model["name"]: model for model in json.loads(invoke("models", "--json").stdout)}
    assert list(listed) == ["autopilot", "c3d", "c3d-small", "eesen", "kaldi"]
    for name, model in listed.items():
        assert name in shown and Path(model["card"]).is_file()
        assert (model["path"] is None) != (model["missing"] is None)
        assert model["path"] is None or Path(model["path"]).is_file()
    assert listed["c3d"]["missing"] == "made on demand: reusec models c3d -o c3d.onnx"
    first = listed["autopilot"]
    assert invoke("profile", first["path"], "--stream", first["stream"], "--frames", ":2").status == 0


def test_a_model_is_written_where_one_wants_it(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("models", "autopilot", "-o", tmp_path / "a.onnx").stdout == f"wrote {tmp_path / 'a.onnx'}\n"
    assert load(tmp_path / "a.onnx").sha256 == load(autopilot.path()).sha256
    assert "give a name" in invoke("models", "-o", tmp_path / "b.onnx").complaint
    assert "there is no folder" in invoke("models", "autopilot", "-o", tmp_path / "none" / "b.onnx").complaint


def test_missing_weights_are_listed_with_what_to_run(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise ModelError("autopilot.onnx: missing: run python -m reuse_compiler.models.autopilot.train")

    monkeypatch.setattr(autopilot, "path", missing)
    assert "autopilot: autopilot.onnx: missing: run python -m" in invoke("models").stdout
    assert "autopilot.train" in invoke("models", "autopilot").stdout
    assert "autopilot.train" in invoke("models", "autopilot", "-o", "a.onnx").complaint


def test_a_model_shows_the_facts_of_its_card(invoke: Invoke) -> None:
    shown = invoke("models", "autopilot").stdout
    assert "1,595,511" in shown
    assert json.loads(invoke("models", "autopilot", "--json").stdout)["facts"]["parameters"] == "1,595,511"
    assert "autopilot" in invoke("models", "kitt").complaint
