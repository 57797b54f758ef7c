"""The folder of a Pareto front: ``pareto.json``, and ``plan-01.json`` and so on."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reuse_compiler.directory import exchange, replacing_directory
from reuse_compiler.errors import ReuseError
from reuse_compiler.pareto import ParetoFront
from reuse_compiler.plan import Plan

__all__ = ["FRONT_FILE", "check_front_place", "write_front"]

FRONT_FILE = "pareto.json"
_PLAN_FILE = re.compile(r"plan-[0-9]+\.json")


def check_front_place(path: Path) -> None:
    """ReuseError where no front can be written to `path`: the folder that it lies in is missing or read-only, or it is
    there already and neither an empty folder nor an older front."""
    path = path.absolute()
    if path.exists() and not path.is_dir():
        raise ReuseError(f"{path}: is a file: choose a folder")
    if not path.parent.is_dir():
        raise ReuseError(f"{path}: there is no folder {path.parent}: make it first")
    if path.is_dir():
        names = sorted(item.name for item in path.iterdir())
        foreign = [name for name in names if name != FRONT_FILE and not _PLAN_FILE.fullmatch(name)]
        if foreign or (names and FRONT_FILE not in names):
            raise ReuseError(f"{path}: holds {(foreign or names)[0]}, and is no Pareto front: choose another folder")
        if names:
            ParetoFront.load(path / FRONT_FILE)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent):
            pass  # a folder beside it is where a front is written before it takes its place
    except OSError as error:
        raise ReuseError(f"{path}: cannot write: {error.strerror}: choose another folder") from error


def write_front(path: Path, front: ParetoFront, plans: Sequence[Plan]) -> None:
    """Write the front and its plans, in the order of its points, whole or not at all; an older front is replaced.

    Raises ReuseError as :func:`check_front_place` does, or where writing fails.
    """
    check_front_place(path)
    path = path.resolve()
    if not path.is_dir() or not any(path.iterdir()):
        _write(path, front, plans)
        return
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as aside:
            new = Path(aside) / "new"
            _write(new, front, plans)
            exchange(path, new)
    except OSError as error:
        raise ReuseError(f"{path}: cannot write: {error.strerror}: choose another folder") from error


def _write(path: Path, front: ParetoFront, plans: Sequence[Plan]) -> None:
    with replacing_directory(path) as folder:
        front.save(folder / FRONT_FILE)
        for point, plan in zip(front.points, plans, strict=True):
            plan.save(folder / point.plan)
