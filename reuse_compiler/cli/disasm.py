"""``reusec disasm``: a program as text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reuse_compiler.cli.console import print_json, print_line
from reuse_compiler.cli.options import Json, require_file_place
from reuse_compiler.cli.program import load_program

__all__ = ["disasm"]


def disasm(
    program: Annotated[
        Path, typer.Argument(metavar="PROGRAM", help="A program, or the DIR that holds one.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="TEXT", help="Write the text there instead of printing it.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the code of a program as text."""
    from reuse_compiler.backend.accelerator.assembler import disassemble
    from reuse_compiler.files import write_text

    require_file_place(output, program)
    path, loaded = load_program(program)
    text = disassemble(loaded)
    if output is not None:
        write_text(output, text)
    if json:
        print_json({"program": str(path), "output": None if output is None else str(output), "text": text.splitlines()})
    elif output is not None:
        print_line(f"wrote {output}")
    else:
        typer.echo(text, nl=False)
