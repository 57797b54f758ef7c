"""The fenced blocks of a page, and what is to be done with each.

A page is run from top to bottom in one folder. What happens with a block depends on its language:

``console``
    Lines that begin with ``$`` are commands, the others what they print. What is printed is compared, unless nothing is
    shown. A line of ``...`` stands for any lines.
``python``
    Runs, in one namespace for the page. A ``text`` block right behind it shows what it prints, and is compared.
any, with ``title="NAME"``
    Is written to the file NAME and not run.
others
    Are pictures, formulas and pieces of files: nothing happens.

A comment in the line before a block changes that, and gives the reason: ``<!-- varies: REASON -->`` runs it and compares
nothing, ``<!-- not run: REASON -->`` does not run it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Block", "Mark", "blocks"]

Mark = Literal["compared", "varies", "not run"]

_FENCE = re.compile(r"^( *)(```+)(\w*)(.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_COMMENT = re.compile(r"^ *<!-- (varies|not run): (.+) -->$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, title, text, and the number of the line that it begins on, from 0."""

    language: str
    title: str | None
    text: str
    first: int
    last: int
    mark: Mark
    reason: str

    @property
    def runs(self) -> bool:
        """Whether it is of a kind that is executed."""
        return self.title is None and self.language in ("console", "python")


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    return list(_blocks(page.read_text().splitlines()))


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        indent, fence, language, rest = opening.groups()
        end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == fence)
        title = _TITLE.search(rest)
        comment = _COMMENT.match(lines[number - 1]) if number else None
        yield Block(
            language=language,
            title=title[1] if title else None,
            text="".join(f"{line.removeprefix(indent)}\n" for line in lines[number + 1 : end]),
            first=number + 1,
            last=end,
            mark=_mark(comment[1]) if comment else "compared",
            reason=comment[2] if comment else "",
        )
        number = end + 1


def _mark(text: str) -> Mark:
    return "varies" if text == "varies" else "not run"
