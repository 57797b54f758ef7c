"""The site builds without a warning, and asks for nothing from a network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reuse_compiler

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    assert "WARNING" not in build.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()


def test_no_page_asks_for_anything_from_a_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.search(r"<(?:script|img|iframe|source)[^>]+src=\"?https?:", text), page.name
        assert not re.search(r"<link[^>]+rel=\"?(?:stylesheet|preconnect|preload)[^>]+href=\"?https?:", text), page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\"?https?:", style.read_text()), style.name


def test_the_api_page_has_every_public_name(site: Path) -> None:
    text = (site / "python-api.html").read_text()
    for name in reuse_compiler.__all__:
        if name != "__version__":
            assert re.search(rf'id="reuse_compiler\.(?:[\w.]+\.)?{name}"', text), name


def test_no_docstring_shows_the_marks_of_another_tool(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not re.search(r":(?:class|func|meth|mod|data|attr):", page.read_text()), page.name
