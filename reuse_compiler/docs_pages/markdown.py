"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["code", "table"]


def code(text: str) -> str:
    """`text` in the type of code."""
    return f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars inside cells are written so that they do not end them. A heading that ends in a colon is of a column
    of numbers."""
    lines = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in rows]
    names = f"| {' | '.join(name.removesuffix(':') for name in head)} |"
    rule = "".join("---:|" if name.endswith(":") else "---|" for name in head)
    return "\n".join([names, f"|{rule}", *lines])
