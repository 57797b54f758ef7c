"""Run the blocks of a page in the present folder."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.docs.blocks import Block
from tests.docs.comparing import difference

__all__ = ["Page", "Printed", "commands"]

_PROMPT = "$ "
_OPERATORS = frozenset("|;&<>()")


@dataclass(frozen=True)
class Printed:
    """What a command or a Python block printed, and what the page shows of it, with the lines of the page it is on."""

    block: Block
    command: str
    shown: str
    first: int
    last: int
    printed: str
    error: str | None = None
    unlike: str | None = None


class Page:
    """Runs the blocks of one page, which share a folder, from which they may import, and a module."""

    def __init__(self) -> None:
        self._module = ModuleType("page")
        sys.modules["page"] = self._module
        sys.path.insert(0, str(Path.cwd()))

    def run(self, page: list[Block]) -> Iterator[Printed]:
        """Run in order, writing files where a block is one. Ends behind the first error."""
        for number, block in enumerate(page):
            if block.title is not None and block.mark != "not run":
                Path(block.title).parent.mkdir(parents=True, exist_ok=True)
                Path(block.title).write_text(block.text)
            if not block.runs or block.mark == "not run":
                continue
            behind = page[number + 1] if number + 1 < len(page) else None
            for result in self._console(block) if block.language == "console" else self._python(block, behind):
                yield result
                if result.error is not None:
                    return

    def _console(self, block: Block) -> Iterator[Printed]:
        for command, shown, first, last in commands(block):
            status, printed = _execute(command)
            error = f"exit status {status}\n{printed}" if status else None
            yield Printed(block, command, shown, first, last, printed, error, _unlike(block, shown, printed))

    def _python(self, block: Block, behind: Block | None) -> Iterator[Printed]:
        is_output = behind is not None and behind.language == "text" and behind.first - block.last <= 3
        shown, first, last = (behind.text, behind.first, behind.last) if behind and is_output else ("", 0, 0)
        text = io.StringIO()
        error = None
        try:
            with contextlib.redirect_stdout(text):
                code = compile(block.text, f"<block of line {block.first}>", "exec", dont_inherit=True)
                exec(code, self._module.__dict__)  # noqa: S102 -- pages of this project
        except Exception:  # noqa: BLE001 -- whatever it is, the page is wrong
            error = traceback.format_exc()
        command, printed = block.text.strip().splitlines()[0], text.getvalue()
        yield Printed(block, command, shown, first, last, printed, error, _unlike(block, shown, printed))


def commands(block: Block) -> Iterator[tuple[str, str, int, int]]:
    """Each command of a console block, what is shown of its output, and the lines of the page that show it."""
    lines = block.text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(_PROMPT)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        head = start
        while lines[head].endswith("\\"):
            head += 1
        command = "\n".join(lines[start : head + 1]).removeprefix(_PROMPT)
        shown = "".join(f"{line}\n" for line in lines[head + 1 : end])
        yield command, shown, block.first + head + 1, block.first + end


def _unlike(block: Block, shown: str, printed: str) -> str | None:
    return difference(shown, printed) if shown.strip() and block.mark == "compared" else None


def _execute(command: str) -> tuple[int, str]:
    """Exit status, and what was printed on either stream. `reusec` runs in this process, which saves its start."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    plain = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    plain.whitespace_split = True
    if words[0] == "reusec" and not any(set(word) <= _OPERATORS for word in plain if word):
        return _reusec(words[1:])
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout


def _reusec(arguments: list[str]) -> tuple[int, str]:
    from reuse_compiler.cli.app import app

    text = io.StringIO()
    status: Any = 0
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            app(arguments, prog_name="reusec")
        except SystemExit as end:
            status = end.code or 0
        except Exception:  # noqa: BLE001 -- a traceback is what a user would see
            status = traceback.format_exc()
    return (status, text.getvalue()) if isinstance(status, int) else (1, str(status))
