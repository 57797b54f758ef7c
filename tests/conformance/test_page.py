"""The documented outcome of the suite."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.page import page
from tests.conformance.records import FILE, Record, read, tools, write

RECORDS = [
    Record("test_b", ("Add", "Relu"), 0, 2, (), "alone"),
    Record("test_a", ("Relu", "ai.onnx.ml.Scaler"), 2, 1, ("ai.onnx.ml.Scaler",), "host"),
    Record("test_c", ("Add",), 0, 0, (), "rejected"),
]


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    write(RECORDS, tmp_path / "records.csv")
    assert read(tmp_path / "records.csv") == (tools(), {record.test: record for record in RECORDS})


def test_an_operator_has_a_row_with_every_test_of_it() -> None:
    text = page("onnx 1", {record.test: record for record in RECORDS})
    assert "| `Add` | 2 | 1 |  |  | 1 |  |" in text
    assert "| `Relu` | 2 | 1 | 1 |  |  | 1 |" in text
    assert "| `ai.onnx.ml.Scaler` | 1 |  | 1 | 1 |  | 1 |" in text
    assert "| rejected | 1 |" in text


def test_the_page_is_what_the_records_add_up_to() -> None:
    assert FILE.with_suffix(".md").read_text() == page(*read()), "run `make conformance`"
