"""Hooks of the site's build (mkdocs): files of the root as pages, their links, and references in docstrings.

A page that consists of ``<!-- file: NAME -->`` shows the file NAME of the root.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["on_page_content", "on_page_markdown"]

_ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"^<!-- file: (\S+) -->$", re.MULTILINE)
_ROLE = re.compile(r":\w+:<code>~?([\w.]+)</code>")
_LINKS = {
    "](docs/": "](",
    "](ARCHITECTURE.md)": "](architecture.md)",
    "](SUPPORTED_OPS.md)": "](supported-ops.md)",
}
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:examples|models|LICENSE)\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put files in; links of theirs lead to pages, or are no links."""
    if not _FILE.search(markdown):
        return markdown
    markdown = _FILE.sub(lambda match: (_ROOT / match[1]).read_text(), markdown)
    for link, page in _LINKS.items():
        markdown = markdown.replace(link, page)
    return _OUTSIDE.sub(r"\1", markdown)


def on_page_content(html: str, **_: object) -> str:
    """A reference in a docstring, ``:class:`~package.module.Name```, becomes the name that it ends in."""
    return _ROLE.sub(lambda match: f"<code>{match[1].rpartition('.')[2]}</code>", html)
