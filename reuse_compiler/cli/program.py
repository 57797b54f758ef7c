"""Find and read a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reuse_compiler.backend.accelerator.program import Program

__all__ = ["load_program"]


def load_program(path: Path) -> tuple[Path, Program]:
    """The program in the file, or in the folder of a compilation, at `path`; and the file."""
    from reuse_compiler.backend.accelerator import program_file
    from reuse_compiler.directory import FILES, CompiledDirectory

    file = CompiledDirectory.open(path).path / FILES[1] if path.is_dir() else path
    return file, program_file.load(file)
