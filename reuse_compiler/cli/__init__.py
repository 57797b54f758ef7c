"""The command line, ``reusec``: one file a command. It reads what a user typed, calls the library, and prints.

Exit status: 0 done; 1 the input was at fault, with one line on stderr; 2 the command could not be parsed; 130 interrupted.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command in `sys.argv` and exit."""
    try:
        from reuse_compiler.cli.app import app

        app(prog_name="reusec")
    except KeyboardInterrupt:
        sys.exit(130)
