"""Run the suite on the accelerator, and write what became of it: ``docs/conformance.csv`` and ``docs/conformance.md``.

``python -m tests.conformance``, which is ``make conformance``. Exit status 1 where a test is rejected.
"""

from __future__ import annotations

import os
import sys
import unittest
from collections.abc import Iterator
from tempfile import TemporaryDirectory

from tests.conformance.backends import AcceleratorBackend
from tests.conformance.judge import Judge
from tests.conformance.page import page
from tests.conformance.records import FILE, Record, tools, write


def main() -> int:
    """Run everything, one test after the other, and name those that are rejected."""
    with TemporaryDirectory() as folder:
        os.environ["ONNX_HOME"] = folder
        records = {record.test: record for record in _run(Judge(AcceleratorBackend))}
    write(records.values())
    FILE.with_suffix(".md").write_text(page(tools(), records))
    return int(any(record.outcome == "rejected" for record in records.values()))


def _run(judge: Judge) -> Iterator[Record]:
    for case in judge.test_cases.values():
        for function in unittest.defaultTestLoader.getTestCaseNames(case):
            name = function.removesuffix("_cpu")
            result = unittest.TestResult()
            case(function).run(result)
            record = judge.record(name)
            if result.skipped or record is None:
                continue
            for _, trace in (*result.failures, *result.errors):
                print(f"{name}: {trace.strip().splitlines()[-1]}", file=sys.stderr)
            yield record


if __name__ == "__main__":
    sys.exit(main())
