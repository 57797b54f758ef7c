"""``reusec asm``: text to a program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reuse_compiler.cli.console import print_json, print_line
from reuse_compiler.cli.options import Json, require_file_place
from reuse_compiler.cli.program import load_program

__all__ = ["asm"]


def asm(
    text: Annotated[Path, typer.Argument(metavar="TEXT", help="What disasm wrote.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="PROGRAM",
            help="The program, or DIR, that all but the code comes from: constants, layers, places.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="F", help="The program to write.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Make a program of its text, and the data of another."""
    from reuse_compiler.backend.accelerator import program_file
    from reuse_compiler.backend.accelerator.assembler import assemble
    from reuse_compiler.backend.accelerator.validation import check_program
    from reuse_compiler.errors import ProgramError, VerificationError
    from reuse_compiler.files import read_text

    require_file_place(output, text)
    source = read_text(text)
    _, loaded = load_program(data)
    try:
        made = assemble(source, loaded)
        check_program(made)
    except (ProgramError, VerificationError) as error:
        raise ProgramError(f"{text}: {error}") from error
    program_file.save(made, output)
    counts = {"reuse": len(made.reuse.instructions), "baseline": len(made.baseline.instructions)}
    if json:
        print_json({"output": str(output), "sha256": program_file.digest(made), "instructions": counts})
        return
    print_line(f"wrote {output}: {counts['reuse']:,} instructions with reuse, {counts['baseline']:,} without")
