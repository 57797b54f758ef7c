"""What runs the pages finds what is wrong with one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.docs.comparing import difference
from tests.docs.running import commands

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, text: str) -> tuple[int, str]:
    page = folder / "page.md"
    page.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs", str(page)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "shown",
    [
        "speed  1.00 times",
        "...\nwrote a",
        "speed  1.00 times\n...",
        "speed  1.00 times\n...\nwrote a",
        "speed 1.01 times\n────\n100 of 27,000 in 3.0 s\nwrote a",
        "...\n100 of 27,000 in 12 s\n...",
    ],
)
def test_alike(shown: str) -> None:
    printed = "speed  1.00 times\n──────\n101 of 27,001 in 0.5 s\nwrote a\n"
    cut = shown if "..." in shown or "\n" in shown else f"{shown}\n..."
    assert difference(cut, printed) is None


@pytest.mark.parametrize(
    "shown",
    [
        "speed 1.10 times\n...",
        "...\nwrote b",
        "speed 1.00 times\nwrote a",
        "...\n110 of 27,000 in 0.5 s\n...",
        "...\n101 of 26,000 in 0.5 s\n...",
        "speed 1.00 times\n──────\n101 of 27,001 in 0.5 s\nwrote a\nand more",
    ],
)
def test_unlike(shown: str) -> None:
    printed = "speed  1.00 times\n──────\n101 of 27,001 in 0.5 s\nwrote a\n"
    assert difference(shown, printed)


def test_commands_go_on_behind_a_backslash_and_have_the_output_below_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo a \\\n    b\na b\n$ true\n```\n")
    [block] = blocks(page)
    found = list(commands(block))
    assert [(command, shown) for command, shown, _, _ in found] == [("echo a \\\n    b", "a b\n"), ("true", "")]
    lines = page.read_text().splitlines()
    assert [lines[first:last] for _, _, first, last in found] == [["a b"], []]


def test_a_page_that_is_right(tmp_path: Path) -> None:
    text = """
```toml title="my.toml"
a = 1
```

```console
$ cat my.toml
a = 1
$ reusec --version
```

```python
x = 2
```

```python
print(x + 1)
```

```text
3
```
"""
    status, printed = run(tmp_path, text)
    assert (status, printed) == (0, "page.md: 4 commands and snippets in 3 blocks; 3 compared, 0 varies, 0 not run\n")


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ reusec check nothing.onnx\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo 1\n2\n```\n",
        "```python\nraise ValueError\n```\n",
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
    ],
)
def test_a_page_that_is_wrong(tmp_path: Path, text: str) -> None:
    assert run(tmp_path, text)[0] == 1


def test_a_block_that_varies_runs_and_one_that_is_marked_does_not(tmp_path: Path) -> None:
    status, printed = run(
        tmp_path,
        "<!-- varies: by chance -->\n```console\n$ echo 1\n2\n```\n\n<!-- not run: too long -->\n```console\n$ false\n```\n",
    )
    assert status == 0
    assert "page.md:2: varies: by chance\n" in printed
    assert "page.md:8: not run: too long\n" in printed
    assert run(tmp_path, "<!-- varies: by chance -->\n```console\n$ false\n```\n")[0] == 1
