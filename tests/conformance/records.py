"""What became of every test of the suite that stock onnxruntime passes: ``docs/conformance.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

__all__ = ["FILE", "Outcome", "Record", "read", "tools", "write"]

FILE = Path(__file__).resolve().parent.parent.parent / "docs" / "conformance.csv"

Outcome = Literal["alone", "host", "rejected"]


@dataclass(frozen=True)
class Record:
    """One test.

    Parameters
    ----------
    test : str
        Its name, without the device.
    operators : tuple of str
        Those of the model as it is given, each once, sorted.
    sites : int
        Places of the model where reuse applies.
    layers : int
        Layers that the accelerator executes; 0 where loading leaves nothing to compute.
    hosted : tuple of str
        Operators of the nodes that the host executes, each once, sorted.
    outcome : {"alone", "host", "rejected"}
        Passed by the accelerator alone, passed with calls to the host, or not passed.
    """

    test: str
    operators: tuple[str, ...]
    sites: int
    layers: int
    hosted: tuple[str, ...]
    outcome: Outcome


def tools() -> str:
    """The versions that decide which tests there are, and which of them stock onnxruntime passes."""
    return f"onnx {version('onnx')}, onnxruntime {version('onnxruntime')}"


def write(records: Iterable[Record], path: Path = FILE) -> None:
    """Write the versions, a line of names, and a line a record, by name."""
    text = io.StringIO()
    text.write(f"# {tools()}\n")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([field.name for field in fields(Record)])
    for record in sorted(records, key=lambda record: record.test):
        lines.writerow([" ".join(cell) if isinstance(cell, tuple) else cell for cell in astuple(record)])
    path.write_text(text.getvalue())


def read(path: Path = FILE) -> tuple[str, dict[str, Record]]:
    """The versions that a file was written with, and its records by test."""
    first, _, rest = path.read_text().partition("\n")
    records = (
        Record(
            row["test"],
            tuple(row["operators"].split()),
            int(row["sites"]),
            int(row["layers"]),
            tuple(row["hosted"].split()),
            _outcome(row["outcome"]),
        )
        for row in csv.DictReader(io.StringIO(rest))
    )
    return first.removeprefix("# "), {record.test: record for record in records}


def _outcome(text: str) -> Outcome:
    known: tuple[Outcome, ...] = get_args(Outcome)
    return known[known.index(text)]
