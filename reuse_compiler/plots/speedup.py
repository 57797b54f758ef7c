"""Speedup of every layer over the baseline accelerator, and where the cycles go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reuse_compiler.plots.chosen_layers import choose_layers, left_out
from reuse_compiler.plots.figure import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    bars_by_layer,
    head,
    is_tall,
    model_name,
    name_values,
    new_figure,
    places_with_model,
    size_by_layer,
    stream_name,
)
from reuse_compiler.report import Report

__all__ = ["Speedup", "draw_speedup", "speedup_of"]


@dataclass(frozen=True)
class Speedup:
    """Every layer that takes cycles, and the model last, under the name ``model``.

    `speedup` is that over the baseline; `bound` is 1 / (1 - reuse), what skipping the multiply-accumulates alone would give,
    and None where there are none; `baseline` and `reuse` are shares of the baseline's cycles of a frame, 1 for the model.
    """

    model: str
    stream: str
    frames: int
    hardware: str
    cycles_baseline: float
    cycles_reuse: float
    names: list[str]
    speedup: list[float]
    bound: list[float | None]
    baseline: list[float]
    reuse: list[float]
    left_out: int


def speedup_of(report: Report) -> Speedup:
    """What `report` says of it; the layers with the most cycles where there are many."""
    totals, frames = report.totals, report.totals.frames
    costly = [layer for layer in report.layers if layer.cycles.baseline > 0 and layer.cycles.reuse > 0]
    chosen = choose_layers(costly, lambda layer: layer.cycles.baseline)
    whole = totals.cycles.baseline or 1.0
    return Speedup(
        model_name(report.model.path),
        stream_name(report.stream.name),
        frames,
        report.hardware.name,
        totals.cycles.baseline / frames,
        totals.cycles.reuse / frames,
        [*(layer.name for layer in chosen), "model"],
        [*(layer.cycles.baseline / layer.cycles.reuse for layer in chosen), totals.speedup],
        [*(_bound(layer.reuse) if layer.macs else None for layer in chosen), _bound(totals.reuse)],
        [*(layer.cycles.baseline / whole for layer in chosen), totals.cycles.baseline / whole],
        [*(layer.cycles.reuse / whole for layer in chosen), totals.cycles.reuse / whole],
        len(costly) - len(chosen),
    )


def _bound(reuse: float) -> float | None:
    return 1 / (1 - reuse) if reuse < 1 else None


def draw_speedup(found: Speedup) -> Any:
    """A bar a layer, with a mark at the bound; and two bars a layer for its cycles."""
    layers = len(found.names)
    tall = is_tall(layers)
    figure, axes = new_figure(*size_by_layer(layers, 2), *((1, 2) if tall else (2, 1)))
    times, cycles = axes.flat
    bars_by_layer(times, found.names, [("speedup", BLUE, found.speedup)], places_with_model(layers))
    _mark_bounds(times, found, tall)
    name_values(times, layers, "times")
    bars_by_layer(
        cycles,
        found.names[:-1],
        [
            ("cycles of the baseline", GREY, [100 * share for share in found.baseline[:-1]]),
            ("cycles with reuse", GREEN, [100 * share for share in found.reuse[:-1]]),
        ],
        np.arange(layers - 1, dtype=float),
    )
    name_values(cycles, layers, "% of the baseline's cycles")
    figure.legend(loc="outside lower left", fontsize=8, frameon=False, ncols=4 if not tall else 2)
    head(
        figure,
        f"{found.model}: {found.speedup[-1]:.2f} times as fast on the accelerator",
        f"{found.cycles_baseline:,.0f} cycles a frame without reuse, {found.cycles_reuse:,.0f} with, on {found.hardware};"
        f" {found.frames:,} frames of {found.stream}{left_out(found.left_out)}",
    )
    return figure


def _mark_bounds(axes: Any, found: Speedup, tall: bool) -> None:
    """A mark at what skipping the multiply-accumulates alone would give, unless that is far above all bars; and at each
    bar, or at a mark right above it, its value."""
    places = places_with_model(len(found.names))
    limit = 1.15 * min(3 * max(found.speedup), max(max(found.speedup), *(value or 0.0 for value in found.bound)))
    marks = [value if value is not None and value <= limit else np.nan for value in found.bound]
    label = "1 / (1 - reuse): if multiply-accumulates were all"
    if tall:
        axes.scatter(marks, places, marker="|", s=60, color=PURPLE, label=label, zorder=3)
        axes.set_xlim(0, limit)
    else:
        axes.scatter(places, marks, marker="_", s=260, color=PURPLE, label=label, zorder=3)
        axes.set_ylim(0, limit)
    for place, value, mark in zip(places, found.speedup, marks, strict=True):
        top = mark if value <= mark <= value + 0.1 * limit else value
        at, offset, side = ((top, place), (4, 0), "left") if tall else ((place, top), (0, 3), "center")
        axes.annotate(
            f"{value:.1f}",
            at,
            offset,
            textcoords="offset points",
            fontsize=7,
            ha=side,
            va="center" if tall else "bottom",
        )
