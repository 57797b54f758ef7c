"""Run pages: ``python -m tests.docs PAGE.md..``; with ``--update`` also write into them what their commands print.

Each page runs in a folder of its own, in which are ``model.onnx``, ``drive.mp4`` and ``other.mp4``. An update keeps the form of
what is shown: as many lines before ``...``, and as many behind it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.docs.blocks import Block, Mark, blocks
from tests.docs.readme import own_files, readme_blocks
from tests.docs.running import Page, Printed


def main(arguments: list[str]) -> int:
    """Exit status 1 where a page fails."""
    pages = [Path(argument).resolve() for argument in arguments if argument != "--update"]
    return max((_run(page, update="--update" in arguments) for page in pages), default=0)


def _run(page: Path, *, update: bool) -> int:
    found = readme_blocks(page) if page.name == "README.md" else blocks(page)
    results = _results(found)
    wrong = [result for result in results if result.error or (result.unlike and not update)]
    for result in wrong:
        print(f"{page.name}:{result.block.first}: {result.command}\n{result.error or result.unlike}\n")
    if update:
        _update(page, results)
    for block in found:
        if block.mark != "compared":
            print(f"{page.name}:{block.first}: {block.mark}: {block.reason}")
    counts = Counter(block.mark for block in found if block.runs)
    print(f"{page.name}: {len(results)} commands and snippets in {counts.total()} blocks; " + _text(counts))
    return int(bool(wrong))


def _text(counts: Counter[Mark]) -> str:
    return ", ".join(f"{counts[mark]} {mark}" for mark in ("compared", "varies", "not run"))


def _results(found: list[Block]) -> list[Printed]:
    start = Path.cwd()
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        os.environ.pop("COLUMNS", None)  # tables in full
        work = Path(folder) / "work"
        work.mkdir()
        own_files(work)
        os.chdir(work)
        try:
            return list(Page().run(found))
        finally:
            os.chdir(start)


def _update(page: Path, results: list[Printed]) -> None:
    lines = page.read_text().splitlines()
    for result in reversed(results):
        if result.shown.strip() and not result.error:
            lines[result.first : result.last] = _like(result.shown.splitlines(), result.printed.rstrip().splitlines())
    page.write_text("\n".join(lines) + "\n")


def _like(shown: list[str], printed: list[str]) -> list[str]:
    printed = [line.rstrip() for line in printed]
    if "..." not in shown:
        return printed
    if shown.count("...") > 1:
        return shown
    cut = shown.index("...")
    behind = len(shown) - cut - 1
    return [*printed[:cut], "...", *(printed[len(printed) - behind :] if behind else [])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
