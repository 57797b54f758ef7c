"""What a plot reads from the folder that it is given."""

from __future__ import annotations

from pathlib import Path

from reuse_compiler.directory import FILES
from reuse_compiler.errors import ReuseError
from reuse_compiler.model_profile import Profile
from reuse_compiler.pareto import ParetoFront
from reuse_compiler.pareto_folder import FRONT_FILE
from reuse_compiler.report import Report

__all__ = ["read_front", "read_measured", "read_profile", "read_report"]

_PROFILE, _REPORT = FILES[3], FILES[4]


def read_report(path: Path) -> Report:
    """The report in the folder `path`, or in the file. Raises ReuseError in one line where there is none."""
    file = _found(path, _REPORT, f"compile it with --stream, or: reusec run {path} --stream S --json {path / _REPORT}")
    report = Report.load(file)
    if not report.totals.frames:
        raise ReuseError(f"{file}: a report of no frames: run it on a stream")
    return report


def read_profile(path: Path) -> Profile:
    """The profile in the folder `path`, or in the file. Raises ReuseError in one line where there is none, or it has no
    site."""
    file = _found(
        path, _PROFILE, f"compile it without --plan, or: reusec profile MODEL --stream S -o {path / _PROFILE}"
    )
    profile = Profile.load(file)
    if not profile.sites:
        raise ReuseError(f"{file}: the model has no site where reuse can apply: reusec check says why")
    return profile


def read_measured(path: Path) -> Report | None:
    """The report that lies beside a profile in the folder `path`, if one does."""
    file = path / _REPORT
    return Report.load(file) if file.is_file() else None


def read_front(path: Path) -> ParetoFront:
    """The front in the folder `path`, or in the file. Raises ReuseError in one line where there is none, or it has no
    plan."""
    front = ParetoFront.load(_found(path, FRONT_FILE, "give a folder that fit --pareto wrote"))
    if not front.points:
        raise ReuseError(f"{path}: no plan that reuses keeps any limit of {front.budget}: there is nothing to plot")
    return front


def _found(path: Path, name: str, remedy: str) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise ReuseError(f"{path}: no such folder")
    if (path / name).is_file():
        return path / name
    if name != FRONT_FILE and (path / FRONT_FILE).is_file():
        raise ReuseError(f"{path}: a Pareto front, with no {name}: plot pareto, or compile one of its plans")
    raise ReuseError(f"{path}: {name} is missing: {remedy}")
