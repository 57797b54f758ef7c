"""The published schema of report.json."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reuse_compiler.report import Report
from reuse_compiler.report_schema import report_schema, schema_text
from tests.watched_run import watched_run

PUBLISHED = Path(__file__).resolve().parent.parent / "docs/report.schema.json"

Validate = Callable[[Any], list[str]]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A report as it is written."""
    written: dict[str, Any] = json.loads(watched_run().run(frames=3).model_dump_json())
    return written


@pytest.fixture(scope="module")
def problems() -> Validate:
    """What is wrong with a report by the published schema, a line each."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return lambda document: [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def test_the_published_schema_is_that_of_this_version() -> None:
    assert PUBLISHED.read_text() == schema_text(), (
        "run: .venv/bin/python -m reuse_compiler.report_schema > docs/report.schema.json"
    )


def test_every_part_is_described() -> None:
    schema = report_schema()
    assert all(part["description"] for part in schema["$defs"].values())
    assert all("\n" not in part["description"] for part in schema["$defs"].values())
    assert set(schema["properties"]) == set(Report.model_fields)


def test_a_report_is_valid(report: dict[str, Any], problems: Validate) -> None:
    assert report["guard"] is not None and report["layers"]
    assert problems(report) == []


def test_a_report_of_an_earlier_version_is_valid(report: dict[str, Any], problems: Validate) -> None:
    earlier = copy.deepcopy(report)
    for name in ("verification", "refresh_estimate", "guard"):
        del earlier[name]
    for layer in earlier["layers"]:
        del layer["reuse_nonzero"]
    assert problems(earlier) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda report: report["totals"].pop("speedup"), "$.totals: 'speedup' is a required property"),
        (lambda report: report["totals"].update(speedup="twice"), "$.totals.speedup: 'twice' is not of type 'number'"),
        (lambda report: report.update(format_version=2), "$.format_version: 1 was expected"),
        (lambda report: report["layers"][0].update(backend="gpu"), "$.layers[0].backend: 'gpu' is not one of"),
        (lambda report: report.update(more=1), "$: Additional properties are not allowed ('more' was unexpected)"),
    ],
)
def test_what_is_wrong_is_named(
    report: dict[str, Any], problems: Validate, change: Callable[[dict[str, Any]], Any], complaint: str
) -> None:
    damaged = copy.deepcopy(report)
    change(damaged)
    [found] = problems(damaged)
    assert found.startswith(complaint)
    with pytest.raises(ValueError, match="Report"):
        Report.model_validate(damaged)
