"""The folder that `compile` writes: reuse model, program, plan, profile and report.

Weights of a reuse model above 2 GiB lie in a file of their own beside it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reuse_compiler.backend.accelerator import program_file
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.errors import ModelError, ReuseError
from reuse_compiler.frontend import Model, load
from reuse_compiler.model_profile import Profile
from reuse_compiler.onnx_file import read_model
from reuse_compiler.onnx_writer import data_name
from reuse_compiler.plan import Plan
from reuse_compiler.report import Report

__all__ = ["FILES", "CompiledDirectory", "check_directory_place", "exchange", "replacing_directory"]

FILES = ("model.reuse.onnx", "program.safetensors", "plan.json", "profile.json", "report.json")
_WRITTEN = (*FILES, data_name(FILES[0]))


@dataclass(frozen=True)
class CompiledDirectory:
    """What a compilation left; files are read when they are asked for.

    Parameters
    ----------
    path : Path
        The folder.
    model : Path, optional
        The original model, where it has moved since.
    """

    path: Path
    model: Path | None = None

    @classmethod
    def open(cls, path: str | Path, model: str | Path | None = None) -> CompiledDirectory:
        """Raises ReuseError where the folder is missing or is not one that `compile` wrote."""
        folder = Path(path)
        if not folder.is_dir():
            raise ReuseError(f"{folder}: no such folder: give the one that compile wrote")
        missing = [name for name in FILES[:3] if not (folder / name).is_file()]
        if missing:
            raise ReuseError(f"{folder}: {missing[0]} is missing: give a folder that compile wrote")
        return cls(folder, None if model is None else Path(model))

    @property
    def reuse_model(self) -> Path:
        """The rewritten ONNX file."""
        return self.path / FILES[0]

    @cached_property
    def program(self) -> Program:
        """The program. Raises ProgramError where the file is damaged."""
        return program_file.load(self.path / FILES[1])

    @cached_property
    def plan(self) -> Plan:
        """The plan. Raises PlanError where the file is not one."""
        return Plan.load(self.path / FILES[2])

    @cached_property
    def profile(self) -> Profile | None:
        """The profile, or None where the plan came without one."""
        path = self.path / FILES[3]
        return Profile.load(path) if path.is_file() else None

    @cached_property
    def report(self) -> Report | None:
        """The report, or None where nothing was run."""
        path = self.path / FILES[4]
        return Report.load(path) if path.is_file() else None

    def original(self) -> Model:
        """The model that was compiled, found by its path and its hash.

        Raises ModelError where it is gone, or is another one by now; the message has both hashes.
        """
        path = self.model or Path(self.plan.model.path)
        if not path.is_file():
            raise ModelError(
                f"{path}: the model that {self.path} was compiled from is gone: give its place with --model"
            )
        _, digest = read_model(path)
        if digest != self.plan.model.sha256:
            raise ModelError(
                f"{path}: its hash is {digest}, {self.path} was compiled from {self.plan.model.sha256}: compile again, or"
                " give the right file with --model"
            )
        return load(path, shapes={binding.name: binding.shape for binding in self.program.reuse.inputs})


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; it takes the place of `path` when the block ends without an error,
    and else `path` is as it was.

    An existing folder is replaced only if it is empty or holds what a compilation wrote and nothing else. Raises
    ReuseError otherwise, or where it or the parent is missing or not writable.
    """
    path = path.resolve()
    temporary = _made_beside(path)
    try:
        yield temporary
        temporary.chmod(0o755)
        exchange(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_directory_place(path: Path) -> None:
    """Raises ReuseError where :func:`replacing_directory` would; leaves nothing."""
    _made_beside(path.resolve()).rmdir()


def _made_beside(path: Path) -> Path:
    """An empty folder beside `path`, which may be replaced."""
    if path.is_dir():
        foreign = sorted(item.name for item in path.iterdir() if item.name not in _WRITTEN)
        if foreign:
            raise ReuseError(f"{path}: holds {foreign[0]}, which compile did not write: choose another folder")
        if alone := _not_compiled(path):
            raise ReuseError(f"{path}: holds {alone}, and no program: compile did not write it: choose another folder")
        if not os.access(path, os.W_OK):
            raise ReuseError(f"{path}: cannot write: the folder is read-only: choose another folder")
    elif path.exists():
        raise ReuseError(f"{path}: is a file: choose a folder")
    try:
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise ReuseError(f"{path}: cannot write: {error.strerror}: choose another folder") from error


def _not_compiled(path: Path) -> str | None:
    """A file of a folder that has the names of a compilation's files, but is none; None where the folder is empty."""
    present = [name for name in _WRITTEN if (path / name).exists()]
    return None if FILES[1] in present or not present else present[0]


def exchange(path: Path, new: Path) -> None:
    """Put the folder `new` in the place of `path`, which is put back where that fails; an OSError goes on."""
    if not path.is_dir():
        new.replace(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    path.replace(old)
    try:
        new.replace(path)
    except BaseException:
        old.replace(path)
        raise
    shutil.rmtree(old)
