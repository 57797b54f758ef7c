"""Write the generated pages: ``python -m reuse_compiler.docs_pages [FOLDER]``, by default ``docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from reuse_compiler.docs_pages import cost_model, report_keys
from reuse_compiler.files import write_text

PAGES = {"cost-model.md": cost_model.page, "report-keys.md": report_keys.page}
"""By file name."""


def main(arguments: list[str]) -> None:
    """Write every page."""
    folder = Path(arguments[0] if arguments else "docs")
    for name, page in PAGES.items():
        write_text(folder / name, page())


if __name__ == "__main__":
    main(sys.argv[1:])
