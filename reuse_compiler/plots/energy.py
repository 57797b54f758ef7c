"""Energy by component and by layer, beside that of the baseline accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from reuse_compiler.plots.chosen_layers import choose_layers, left_out
from reuse_compiler.plots.figure import (
    COMPONENTS,
    GREEN,
    GREY,
    bars_by_layer,
    head,
    is_tall,
    new_figure,
    percent_axis,
    size_by_layer,
)
from reuse_compiler.report import Report

__all__ = ["Energy", "draw_energy", "energy_of"]

_BAR = 3.0  # inches for the two bars of the components


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
        PurePath(report.model.path).stem,
        report.stream.name,
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
    widths = [_BAR, width - 0.5]
    figure, axes = new_figure(sum(widths), max(height, 4.2), 1, 2, width_ratios=widths)
    stacked, by_layer = axes[0]
    _stack(stacked, found)
    bars_by_layer(
        by_layer,
        found.names,
        [
            ("baseline", GREY, [100 * share for share in found.baseline]),
            ("with reuse", GREEN, [100 * share for share in found.reuse]),
        ],
    )
    percent_axis(by_layer, layers, "% of the baseline's energy", 100)
    by_layer.set_title("by layer", fontsize=9, loc="left")
    by_layer.legend(fontsize=8, frameon=False, loc="center right" if is_tall(layers) else "upper center")
    figure.legend(*stacked.get_legend_handles_labels(), loc="outside lower left", fontsize=8, frameon=False, ncols=4)
    head(
        figure,
        f"{found.model}: {100 * (1 - found.reuse[-1]):.1f} % of the accelerator's energy saved",
        f"{found.baseline_pj / 1e6:,.2f} µJ a frame without reuse, {found.reuse_pj / 1e6:,.2f} with, on {found.hardware};"
        f" {found.frames:,} frames of {found.stream}{left_out(found.left_out)}",
    )
    return figure


def _stack(axes: Any, found: Energy) -> None:
    """The components of the baseline and of the reuse machine, one on another."""
    for place, parts in enumerate((found.components_baseline, found.components_reuse)):
        bottom = 0.0
        for name, share in parts.items():
            other = found.components_reuse if place == 0 else found.components_baseline
            if not share and not other.get(name):
                continue
            colour, label = COMPONENTS.get(name, (GREY, name))
            axes.bar(place, 100 * share, 0.7, bottom, color=colour, label=label if place == 0 else None)
            bottom += 100 * share
        axes.annotate(f"{bottom:.0f} %", (place, bottom + 1), ha="center", fontsize=8)
    axes.set_xticks([0, 1], ["baseline", "with reuse"], fontsize=8)
    axes.set_ylabel("% of the baseline's energy", fontsize=8)
    axes.set_ylim(0, 1.08 * max(100.0, 100 * sum(found.components_reuse.values())))
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_title("by component", fontsize=9, loc="left")
