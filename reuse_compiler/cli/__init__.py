"""The command line, ``reusec``: one file a command. It reads what a user typed, calls the library, and prints.

Exit status: 0 done; 1 the input was at fault, with one line on stderr; 2 the command could not be parsed; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command in `sys.argv` and exit."""
    try:
        from reuse_compiler.cli.app import app

        app(prog_name="reusec")
    except KeyboardInterrupt:
        _leave()
    except SystemExit as done:
        if done.code == _INTERRUPTED:
            _leave()
        raise


def _leave() -> None:
    """At once: threads that are still inside of onnxruntime would abort a Python that shuts down around them."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(_INTERRUPTED)
