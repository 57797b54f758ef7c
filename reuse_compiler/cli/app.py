"""The commands, and what becomes of an error."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from reuse_compiler import __version__
from reuse_compiler.cli.asm import asm
from reuse_compiler.cli.bench import bench
from reuse_compiler.cli.check import check
from reuse_compiler.cli.compile import compile_
from reuse_compiler.cli.demo import demo
from reuse_compiler.cli.disasm import disasm
from reuse_compiler.cli.fit import fit
from reuse_compiler.cli.hardware import hardware
from reuse_compiler.cli.inspect import inspect
from reuse_compiler.cli.models import models
from reuse_compiler.cli.plot import plot
from reuse_compiler.cli.profile import profile
from reuse_compiler.cli.report import report
from reuse_compiler.cli.reproduce import reproduce
from reuse_compiler.cli.run import RunCommand, run
from reuse_compiler.cli.text import one_line
from reuse_compiler.errors import ReuseError

__all__ = ["app"]

_INPUT_AT_FAULT = 1
_INTERRUPTED = 130
_BROKEN_PIPE = 141


class Commands(TyperGroup):
    """The group of all commands: it says in one line what was wrong with the input."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error of the user becomes a line on stderr and an exit status."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except ReuseError as error:
            _complain(str(error))
            raise typer.Exit(_INPUT_AT_FAULT) from error
        except BrokenPipeError as error:
            _abandon_stdout()
            raise typer.Exit(_BROKEN_PIPE) from error
        except OSError as error:
            where = error.filename or "file"
            _complain(f"{where}: {error.strerror or error}: check the place and its permissions")
            raise typer.Exit(_INPUT_AT_FAULT) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(_INTERRUPTED) from error


def _complain(message: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(f"reusec: {one_line(message)}", file=sys.stderr, flush=True)


def _abandon_stdout() -> None:
    """Whoever read it is gone: what Python still holds for it must not fail again when it exits."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"reusec {__version__}")
        raise typer.Exit


@app.callback()
def reusec(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the work that a neural network repeats from frame to frame, and compile it away.

    Start with `reusec demo`, or with `reusec check MODEL.onnx`.
    """


app.command()(check)
app.command()(profile)
app.command()(fit)
app.command(name="compile")(compile_)
app.command()(inspect)
app.command()(disasm)
app.command()(asm)
app.command(cls=RunCommand)(run)
app.command()(plot)
app.command()(bench)
app.command()(report)
app.command()(reproduce)
app.command()(hardware)
app.command()(models)
app.command()(demo)
