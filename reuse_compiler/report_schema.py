"""The JSON schema of report.json, for those who read it with other tools.

``python -m reuse_compiler.report_schema > docs/report.schema.json`` writes the published one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from reuse_compiler.report import Report

__all__ = ["report_schema", "schema_text"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def report_schema() -> dict[str, Any]:
    """The schema, in the dialect of 2020-12. Fields that reports of earlier versions lack are not required."""
    schema = Report.model_json_schema()
    del schema["$defs"]["ToolRef"]["properties"]["version"]["default"]  # this version's: the schema is for all
    return {"$schema": _DIALECT, "title": "report.json of reuse-compiler", **_plain(schema)}


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


def _plain(part: Any) -> Any:
    """`part` with every description, which comes from a docstring, in one line, and without titles, which say no more than
    the names."""
    if isinstance(part, dict):
        return {
            key: " ".join(value.split()) if key == "description" and isinstance(value, str) else _plain(value)
            for key, value in part.items()
            if key != "title" or not isinstance(value, str)
        }
    return [_plain(item) for item in part] if isinstance(part, list) else part


if __name__ == "__main__":
    sys.stdout.write(schema_text())
