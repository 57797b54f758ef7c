"""Energy by component and by layer, beside that of the baseline accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reuse_compiler.plots.chosen_layers import choose_layers, left_out
from reuse_compiler.plots.figure import (
    COMPONENTS,
    GREEN,
    GREY,
    bars_by_layer,
    head,
    is_tall,
    model_name,
    name_values,
    new_figure,
    size_by_layer,
    stream_name,
)
from reuse_compiler.report import Report

__all__ = ["Energy", "draw_energy", "energy_of"]

_ACROSS, _ALONG = 3.0, 1.6  # inches for the two bars of the components, beside those of layers or above them


@dataclass(frozen=True)
class Energy:
    """Shares of the baseline's energy: of each component by its name, and of every layer that takes any, and of the model
    last, under the name ``model``. `*_pj` are picojoules of a frame."""

    model: str
    stream: str
    frames: int
    hardware: str
    baseline_pj: float
    reuse_pj: float
    components_baseline: dict[str, float]
    components_reuse: dict[str, float]
    names: list[str]
    baseline: list[float]
    reuse: list[float]
    left_out: int


def energy_of(report: Report) -> Energy:
    """What `report` says of it; the layers with the most energy where there are many."""
    totals = report.totals
    costly = [layer for layer in report.layers if layer.energy_pj.baseline > 0 or layer.energy_pj.reuse > 0]
    chosen = choose_layers(costly, lambda layer: layer.energy_pj.baseline + layer.energy_pj.reuse)
    spent, kept = sum(totals.energy_pj.baseline.values()), sum(totals.energy_pj.reuse.values())
    whole = spent or 1.0
    return Energy(
        model_name(report.model.path),
        stream_name(report.stream.name),
        totals.frames,
        report.hardware.name,
        spent / totals.frames,
        kept / totals.frames,
        {name: value / whole for name, value in totals.energy_pj.baseline.items()},
        {name: value / whole for name, value in totals.energy_pj.reuse.items()},
        [*(layer.name for layer in chosen), "model"],
        [*(layer.energy_pj.baseline / whole for layer in chosen), spent / whole],
        [*(layer.energy_pj.reuse / whole for layer in chosen), kept / whole],
        len(costly) - len(chosen),
    )


def draw_energy(found: Energy) -> Any:
    """Two bars of stacked components, and two bars a layer."""
    layers = len(found.names)
    width, height = size_by_layer(layers)
    if is_tall(layers):
        ratios = [_ALONG, height - 0.8]
        figure, axes = new_figure(width + 1.2, sum(ratios) + 0.8, 2, 1, height_ratios=ratios)
    else:
        ratios = [_ACROSS, width - 0.5]
        figure, axes = new_figure(sum(ratios), max(height, 4.2), 1, 2, width_ratios=ratios)
    stacked, by_layer = axes.flat
    _stack(stacked, found, is_tall(layers))
    bars_by_layer(
        by_layer,
        found.names[:-1],
        [
            ("baseline", GREY, [100 * share for share in found.baseline[:-1]]),
            ("with reuse", GREEN, [100 * share for share in found.reuse[:-1]]),
        ],
        np.arange(layers - 1, dtype=float),
    )
    name_values(by_layer, layers, "% of the baseline's energy")
    by_layer.set_title("by layer", fontsize=9, loc="left")
    by_layer.legend(fontsize=8, frameon=False)
    figure.legend(*stacked.get_legend_handles_labels(), loc="outside lower left", fontsize=8, frameon=False, ncols=4)
    head(
        figure,
        f"{found.model}: {100 * (1 - found.reuse[-1]):.1f} % of the accelerator's energy saved",
        f"{found.baseline_pj / 1e6:,.2f} µJ a frame without reuse, {found.reuse_pj / 1e6:,.2f} with, on {found.hardware};"
        f" {found.frames:,} frames of {found.stream}{left_out(found.left_out)}",
    )
    return figure


def _stack(axes: Any, found: Energy, tall: bool) -> None:
    """The components of the baseline and of the reuse machine, one on another, or one after another."""
    kinds = {"baseline": found.components_baseline, "with reuse": found.components_reuse}
    ends = np.zeros(len(kinds))
    for name in found.components_baseline:
        shares = np.array([100 * parts.get(name, 0.0) for parts in kinds.values()])
        if shares.any():
            colour, label = COMPONENTS.get(name, (GREY, name))
            (axes.barh if tall else axes.bar)([0, 1], shares, 0.7, ends, color=colour, label=label)
            ends += shares
    for place, end in enumerate(ends):
        at, side, middle = ((end + 1, place), "left", "center") if tall else ((place, end + 1), "center", "bottom")
        axes.annotate(f"{end:.0f} %", at, ha=side, va=middle, fontsize=8)
    (axes.set_yticks if tall else axes.set_xticks)([0, 1], list(kinds), fontsize=8)
    (axes.set_xlim if tall else axes.set_ylim)(0, 1.1 * max(ends))
    if tall:
        axes.invert_yaxis()
    else:
        axes.set_ylabel("% of the baseline's energy", fontsize=8)
    axes.grid(axis="x" if tall else "y", color="#dddddd", linewidth=0.6)
    axes.set_title("by component", fontsize=9, loc="left")
