"""The structure that ARCHITECTURE.md draws: who may import whom, what is public, and what static tools see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import reuse_compiler

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "reuse_compiler": ROOT / "reuse_compiler",
    "reuse_compiler.passes": ROOT / "passes",
    "reuse_compiler.backend": ROOT / "backend",
    "reuse_compiler.models": ROOT / "models",
}
# What flows and what is computed from it alone: every folder may use these.
GROUND = {
    "document",
    "errors",
    "files",
    "geometry",
    "macs",
    "operators",
    "plan",
    "quantizers",
    "recurrent",
    "runtime_errors",
    "slots",
    "state_layout",
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def imported(path: Path) -> set[str]:
    """Modules of this project that the file imports when it runs."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "reuse_compiler"}


def upper(name: str) -> bool:
    """Whether a module of reuse_compiler is above the folders beside it."""
    parts = name.split(".")
    return len(parts) > 1 and parts[1] not in {*GROUND, "passes", "backend", "models", "__version__"}


MODULES = dict(modules())


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("reuse_compiler.backend")])
def test_a_backend_knows_nothing_of_profiling_passes_or_the_command_line(name: str) -> None:
    used = imported(MODULES[name])
    assert not {other for other in used if upper(other)}
    assert not {other for other in used if other.startswith(("reuse_compiler.passes", "reuse_compiler.models"))}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("reuse_compiler.passes")])
def test_passes_know_nothing_of_a_backend(name: str) -> None:
    assert not {other for other in imported(MODULES[name]) if other.startswith("reuse_compiler.backend")}


def test_the_cost_model_knows_nothing_of_values() -> None:
    for name in ("events", "timing", "energy", "area", "cost", "accounting", "trace"):
        used = imported(MODULES[f"reuse_compiler.backend.accelerator.{name}"])
        assert not {other for other in used if "interpreter" in other or "lowering" in other}


def test_only_the_command_line_imports_the_command_line() -> None:
    for name, path in MODULES.items():
        if not name.startswith("reuse_compiler.cli"):
            assert not {other for other in imported(path) if other.startswith("reuse_compiler.cli")}, name


def test_static_tools_see_every_module() -> None:
    shown = {path.name: path.resolve() for path in (ROOT / "typings" / "reuse_compiler").iterdir()}
    for path in (ROOT / "reuse_compiler").iterdir():
        if path.name != "__pycache__":
            assert shown.get(path.name) == path, (
                f"link typings/reuse_compiler/{path.name} to ../../reuse_compiler/{path.name}"
            )
    for folder in ("passes", "backend", "models"):
        assert shown[folder] == ROOT / folder


def test_the_public_names() -> None:
    assert reuse_compiler.__all__ == [
        "ReuseError",
        "Session",
        "__version__",
        "fit",
        "fit_to_budget",
        "load",
        "load_hardware",
        "lower",
        "open_stream",
        "profile",
        "rewrite",
        "simulate",
    ]
    for name in reuse_compiler.__all__:
        assert getattr(reuse_compiler, name) is not None
