"""A page with a section for each machine: measuring on one replaces its own section and leaves those of others."""

from __future__ import annotations

import datetime
from pathlib import Path

from reuse_compiler.backend.cpu import instruction_set
from reuse_compiler.machine_costs import machine_name

__all__ = ["write_section"]

_MARK = "\n## "


def write_section(page: Path, head: str, body: str, library: Path) -> None:
    """Write `head` and below it what was measured where: `body` under the name of this machine, and what the page holds of
    others. Headings in `body` are of the third level."""
    others = page.read_text().split(_MARK)[1:] if page.exists() else []
    title = f"{machine_name()}, {instruction_set(library)}"
    own = f"{title}\n\nMeasured on {datetime.date.today()}.\n\n{body.strip()}\n"
    sections = [own, *(f"{other.rstrip()}\n" for other in others if other.partition("\n")[0] != title)]
    page.write_text(head.rstrip() + "\n" + "".join(f"{_MARK}{section}" for section in sorted(sections)))
