"""``reusec hardware`` and ``reusec models``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware

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


def test_models_have_files_that_exist_and_a_stream(invoke: Invoke) -> None:
    assert "autopilot" in invoke("models").stdout
    (autopilot,) = json.loads(invoke("models", "--json").stdout)
    assert autopilot["name"] == "autopilot"
    assert Path(autopilot["path"]).is_file() and Path(autopilot["card"]).is_file()
    assert invoke("profile", autopilot["path"], "--stream", autopilot["stream"], "--frames", ":2").status == 0


def test_a_model_shows_the_facts_of_its_card(invoke: Invoke) -> None:
    shown = invoke("models", "autopilot").stdout
    assert "1,595,511" in shown
    assert json.loads(invoke("models", "autopilot", "--json").stdout)["facts"]["parameters"] == "1,595,511"
    assert "autopilot" in invoke("models", "kitt").complaint
