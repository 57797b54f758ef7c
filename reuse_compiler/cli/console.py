"""What is printed: tables and text on stdout, progress on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from reuse_compiler.cli.text import printable, shorten

__all__ = [
    "Cell",
    "Column",
    "Progress",
    "print_json",
    "print_line",
    "print_styled",
    "print_table",
    "progress_bar",
    "status_line",
]

Progress = Callable[[str, int, int | None], None]
Cell = str | tuple[str, str]
"""Text, or text with a style."""

# Columns two spaces apart, a rule below the header and above the total.
_BOX = "    \n    \n ── \n    \n ── \n    \n    \n    \n"
_PIPE_WIDTH = 1_000_000
_LONG_NAME = 30
_SHORTEST_NAME = 12
_SHORTEST_TEXT = 16
_GAP = 2


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    header : str
        With the unit; may have several lines.
    kind : {"number", "name", "text"}
        Numbers stand at the right, whole. Names are shortened in the middle where the terminal is narrow, texts are
        folded.
    spare : int
        Columns with the largest number above 0 go first where the terminal is too narrow for all.
    """

    header: str
    kind: Literal["number", "name", "text"] = "number"
    spare: int = 0


def print_json(value: Any) -> None:
    """Print `value` as JSON, and nothing else; a number that JSON does not have, an infinity or NaN, is null."""
    sys.stdout.write(json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_line(text: str = "") -> None:
    """Print a line of text as it is, but for characters that a terminal would obey."""
    sys.stdout.write(printable(text) + "\n")


def print_styled(text: str, style: str) -> None:
    """Print a line of text, in a style where stdout is a terminal."""
    from rich.text import Text

    _write(Text(printable(text), style), _PIPE_WIDTH)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], total: Sequence[Cell] | None = None) -> None:
    """Print a table, `total` as its last row below a line; as wide as the terminal at most, in a pipe as wide as it is."""
    from rich.box import Box
    from rich.table import Table
    from rich.text import Text

    width = _width()
    body = [[_plain(cell) for cell in row] for row in [*rows, *([total] if total else [])]]
    kept = _kept(columns, body, width)
    widths = _widths([columns[i] for i in kept], [[row[i] for i in kept] for row in body], width)
    table = Table(
        box=Box(_BOX),
        show_header=any(column.header for column in columns),
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    for i, size in zip(kept, widths, strict=True):
        column = columns[i]
        table.add_column(
            Text(column.header),
            justify="right" if column.kind == "number" else "left",
            vertical="top",
            width=size,
            no_wrap=column.kind != "text",
            overflow="fold",
        )
    for position, row in enumerate(rows):
        table.add_row(
            *(_text(row[i], columns[i], size) for i, size in zip(kept, widths, strict=True)),
            end_section=total is not None and position == len(rows) - 1,
        )
    if total is not None:
        table.add_row(*(_text(total[i], columns[i], size) for i, size in zip(kept, widths, strict=True)), style="bold")
    needed = sum(widths) + _GAP * (len(widths) - 1)
    _write(table, max(width, needed))


def _write(renderable: Any, width: int) -> None:
    """Write to stdout itself: rich would take a broken pipe for itself and exit."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
    with console.capture() as capture:
        console.print(renderable)
    sys.stdout.write(capture.get())


def _width() -> int:
    """Columns of the terminal; in a pipe, those that COLUMNS says, or no limit."""
    if sys.stdout.isatty():
        import shutil

        return shutil.get_terminal_size().columns
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) else _PIPE_WIDTH


def _plain(cell: Cell) -> str:
    return printable(cell if isinstance(cell, str) else cell[0])


def _text(cell: Cell, column: Column, width: int) -> Any:
    from rich.text import Text

    text = _plain(cell)
    return Text(shorten(text, width) if column.kind == "name" else text, "" if isinstance(cell, str) else cell[1])


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(max(map(len, column.header.split("\n"))), max((len(row[i]) for row in rows), default=0))
        for i, column in enumerate(columns)
    ]


def _shortest(column: Column, natural: int, name: int) -> int:
    """The least width of a column whose longest cell has `natural` characters, with names of `name` characters."""
    limit = {"number": natural, "name": name, "text": _SHORTEST_TEXT}[column.kind]
    return min(natural, limit)


def _kept(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Numbers of the columns that fit into `width` when names and texts are as short as they may be."""
    natural = _natural(columns, rows)
    kept = list(range(len(columns)))
    while sum(_shortest(columns[i], natural[i], _SHORTEST_NAME) + _GAP for i in kept) - _GAP > width:
        least = max(kept, key=lambda i: columns[i].spare)
        if not columns[least].spare:
            break
        kept.remove(least)
    return kept


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Widths that fit into `width`: texts and long names give way first, the widest of them at each step."""
    natural = _natural(columns, rows)
    widths = list(natural)
    excess = sum(widths) + _GAP * (len(columns) - 1) - width
    for name in (_LONG_NAME, _SHORTEST_NAME):
        shortest = [_shortest(column, size, name) for column, size in zip(columns, natural, strict=True)]
        while excess > 0 and (giving := [i for i, size in enumerate(widths) if size > shortest[i]]):
            widths[max(giving, key=lambda i: widths[i])] -= 1
            excess -= 1
    return widths


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """A function to report progress to, shown on stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report


@contextmanager
def status_line() -> Iterator[Callable[[str], None] | None]:
    """A function to say what is being done, shown on one line of stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda what: bars.update(task, description=what)
