"""The page itself: one HTML file with its style, its scripts and its data inside, that asks for nothing else."""

from __future__ import annotations

import html
import json
import math
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from reuse_compiler.files import write_text
from reuse_compiler.report_page.contents import Contents

__all__ = ["SCRIPTS", "page", "write_page"]

SCRIPTS = (
    "dom",
    "format",
    "chosen",
    "palette",
    "summary",
    "measures",
    "viewport",
    "graph_view",
    "graphs",
    "histogram",
    "details",
    "energy",
    "layers",
    "timeline",
    "frames",
    "roofline",
    "constants",
    "start",
)
"""The scripts in the order that they are joined in; `static/NAME.js`."""
_STYLES = ("page", "graph", "charts", "print")


def page(contents: Contents) -> str:
    """The page as HTML. Names from the model and the stream are data; scripts show them as text alone."""
    data = json.dumps(_finite(asdict(contents)), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    parts = {
        "title": html.escape(f"{Path(contents.report['model']['path']).name} · reuse report"),
        "style": "\n".join(_static(f"{name}.css") for name in _STYLES),
        "data": data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
        "script": "\n".join(_static(f"{name}.js") for name in SCRIPTS),
    }
    text = _static("page.html")
    for name, part in parts.items():
        before, mark, after = text.partition(f"<!--{name}-->")
        assert mark, name
        text = f"{before}{part}{after}"
    return text


def write_page(contents: Contents, path: str | Path) -> int:
    """Write the page to `path`, whole or not at all; its size in bytes. Raises ReuseError where it cannot be written."""
    text = page(contents)
    write_text(path, text)
    return len(text.encode())


def _static(name: str) -> str:
    return (resources.files(__package__) / "static" / name).read_text(encoding="utf-8")


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
