"""A bench as a table: both executors, per layer and in all, and below it what is simpler than reuse."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from reuse_compiler.cli.console import Column, print_line, print_table
from reuse_compiler.cli.report_table import print_accuracy
from reuse_compiler.cli.text import Scale, counted, number, percent, scale, times

if TYPE_CHECKING:
    from reuse_compiler.bench.report import (
        Alternatives,
        BenchReport,
        EveryNth,
        LayerBench,
        Quartiles,
        SkipStill,
        TimeSpread,
    )

__all__ = ["print_bench"]

_UNKNOWN = "-"
_TIMES = (("µs", 1e-3), ("ms", 1))
_MEASURES = {"max": "no element moved by more than", "mean": "the mean element moved by at most"}


def print_bench(report: BenchReport, stream: str) -> None:
    """The table, and the lines below it."""
    unit = scale(max(report.dense_ms, report.reuse_ms), _TIMES, 1e4)
    columns = (
        Column("layer", "name"),
        Column("op", "text", spare=2),
        Column("similar\n%"),
        Column(f"{unit.unit} a frame\nstock"),
        Column("\nreuse"),
        Column("speedup\ntimes"),
        Column("path", "text", spare=1),
        Column("reason", "text", spare=3),
    )
    print_table(
        columns,
        [_row(layer, unit) for layer in report.layers],
        (
            "whole model",
            "",
            percent(report.similarity),
            unit.show(report.dense_ms),
            unit.show(report.reuse_ms),
            times(report.speedup),
            "",
            "",
        ),
    )
    print_line()
    print_line(
        f"stream    {stream}: {counted(report.frames, 'frame')}, in turns of sixteen, the first four of each not timed; medians"
    )
    print_line(f"stock     {_spread(report.dense_ms, report.spread.dense_ms, unit)}")
    print_line(f"reuse     {_spread(report.reuse_ms, report.spread.reuse_ms, unit)}")
    print_line(
        f"speedup   {times(report.speedup)} times, {_between(report.spread.speedup)} in half of the frames, with"
        f" {counted(report.threads, 'thread')}"
    )
    print_line(_executor(report))
    print_accuracy(report.accuracy)
    _print_alternatives(report.alternatives)


def _executor(report: BenchReport) -> str:
    with_what = "native kernels" if report.executor == "native" else "function bodies: this build has no kernel library"
    dense = f", {counted(report.dense_frames, 'frame')} without reuse" if report.dense_frames else ""
    return f"executor  {with_what}{dense}"


def _row(layer: LayerBench, unit: Scale) -> tuple[str, ...]:
    return (
        layer.name,
        layer.op,
        percent(layer.similarity),
        _shown(layer.dense_ms, unit),
        _shown(layer.reuse_ms, unit),
        times(layer.dense_ms / layer.reuse_ms) if layer.dense_ms and layer.reuse_ms else _UNKNOWN,
        layer.path or _UNKNOWN,
        layer.reason or "",
    )


def _shown(milliseconds: float | None, unit: Scale) -> str:
    return _UNKNOWN if milliseconds is None else unit.show(milliseconds)


def _spread(median: float, spread: TimeSpread, unit: Scale) -> str:
    half = f"{unit.show(spread.lower)} to {unit.show(spread.upper)}"
    return f"{unit.show(median)} {unit.unit} a frame, {half} in half of the frames, {unit.show(spread.mean)} on average"


def _between(quartiles: Quartiles) -> str:
    return f"{times(quartiles.lower)} to {times(quartiles.upper)}"


def _print_alternatives(alternatives: Alternatives) -> None:
    lines = [
        _every_nth(alternatives.every_nth),
        *(_still(one) for one in (alternatives.skip_max, alternatives.skip_mean)),
    ]
    for position, line in enumerate(line for line in lines if line):
        print_line(f"{'' if position else 'instead':<10}{line}")


def _every_nth(found: EveryNth | None) -> str:
    if found is None:
        return ""
    verdict = "" if found.kept else ": more than reuse may lose"
    return f"run one frame of {found.n}: {times(found.speedup)} times, {found.metric} {number(found.loss)}{verdict}"


def _still(found: SkipStill | None) -> str:
    if found is None:
        return ""
    if not found.skipped:
        return f"skip frames where {_MEASURES[found.measure]} a threshold: none can be skipped at this accuracy"
    which = f"frames where {_MEASURES[found.measure]} {number(found.threshold)}"
    if found.threshold == inf:
        which = "all frames but the first"
    return (
        f"skip {which}:"
        f" {times(found.speedup)} times, {percent(found.skipped)} % skipped, {found.metric} {number(found.loss)}"
    )
