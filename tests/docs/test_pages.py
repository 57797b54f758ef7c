"""Every command and snippet of the documentation runs, and prints what the page shows.

``tests/docs/blocks.py`` has the conventions. A page that is out of date: ``python -m tests.docs --update PAGE``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks
from tests.docs.readme import readme_blocks

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), README]


def runnable(page: Path) -> list[Block]:
    return [block for block in (readme_blocks(page) if page == README else blocks(page)) if block.runs]


WITH_BLOCKS = [page for page in PAGES if runnable(page)]


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs_and_prints_what_it_shows(page: Path) -> None:
    # A process for each: pages register instructions and import files of their own.
    run = subprocess.run(
        [sys.executable, "-m", "tests.docs", str(page)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout


def test_what_is_not_run_or_not_compared_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    marked = [(page, block) for page in WITH_BLOCKS for block in runnable(page) if block.mark != "compared"]
    with capsys.disabled():
        print()
        for page, block in marked:
            print(f"{page.relative_to(ROOT)}:{block.first}: {block.mark}: {block.reason}")
        count = sum(len(runnable(page)) for page in WITH_BLOCKS)
        print(f"{count} blocks on {len(WITH_BLOCKS)} pages, {len(marked)} of them not run or not compared")
    assert all(len(block.reason) > 4 for _, block in marked)


def test_no_command_hides_in_a_block_that_is_never_run() -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.language in ("sh", "bash", "shell", "pycon"):
                pytest.fail(f"{page.name}:{block.first}: write console or python, so that it runs")
            if block.language in ("", "text"):
                assert "$ reusec" not in block.text, f"{page.name}:{block.first}: a command outside of console"
