"""The page ``docs/conformance.md``: what ``docs/conformance.csv`` adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from tests.conformance.records import Record

__all__ = ["page"]

_INTRODUCTION = """\
# Conformance

<!-- Written by `make conformance` from docs/conformance.csv, which has a line a test. -->

The conformance suite of ONNX (`onnx.backend.test`, {tools}) runs twice in the tests: once
through the reuse model in stock onnxruntime, once through the accelerator's interpreter. A test counts if stock
onnxruntime itself passes it; which those are is found in the same run. Weights, shapes, axes and other parameters that a
test gives as inputs are put into the model first, as they are in the files that people have. A model with a place where
reuse applies runs on three frames, its input, a perturbed copy and its input again, and every frame is verified by
replay; with one such place, the outputs are also held against the suite's own within what the quantizer's step allows
beyond the suite's tolerance.

| tests | |
|---|---:|
{totals}

A test counts below for every operator of its model. *alone*: passed, and all that is computed runs on the accelerator;
*with host*: passed, and some node runs on the host through onnxruntime; *itself on the host*: a node of this operator
does; *rejected*: not passed.

| operator | tests | alone | with host | itself on the host | rejected | with reuse |
|---|---:|---:|---:|---:|---:|---:|
{operators}
"""


def page(tools: str, records: Mapping[str, Record]) -> str:
    """The whole page, in Markdown."""
    every = records.values()
    operators = sorted({op for record in every for op in record.operators})
    rows = "\n".join(_row(op, [record for record in every if op in record.operators]) for op in operators)
    return _INTRODUCTION.format(tools=tools, totals=_totals(every), operators=rows)


def _totals(records: Collection[Record]) -> str:
    counts = Counter[str](record.outcome for record in records)
    rows = {
        "passed by stock onnxruntime": len(records),
        "passed by the accelerator alone": counts["alone"],
        "passed with calls to the host": counts["host"],
        "rejected": counts["rejected"],
        "with a place where reuse applies": sum(record.sites > 0 for record in records),
        "of these, with several": sum(record.sites > 1 for record in records),
    }
    return "\n".join(f"| {name} | {count:,} |" for name, count in rows.items())


def _row(op: str, records: Collection[Record]) -> str:
    counts = Counter[str](record.outcome for record in records)
    itself = sum(op in record.hosted for record in records)
    reuse = sum(record.sites > 0 for record in records)
    cells = (len(records), counts["alone"], counts["host"], itself, counts["rejected"], reuse)
    return f"| `{op}` | " + " | ".join(str(cell or "") for cell in cells) + " |"
