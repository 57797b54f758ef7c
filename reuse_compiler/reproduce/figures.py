"""The figures of a reproduction, in the shapes of the paper's, with matplotlib (extra `plot`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reuse_compiler.plots import new_figure, require_plot, save_figure
from reuse_compiler.reproduce import paper
from reuse_compiler.reproduce.documents import Reproduction, Setting
from reuse_compiler.reproduce.tables import counted

__all__ = ["draw_figures"]

_COLOURS = {
    "compute": "#4477aa",
    "quantizer": "#ccbb44",
    "special": "#aa3377",
    "edram": "#228833",
    "buffer": "#66ccee",
    "tables": "#ee7733",
    "dram": "#999999",
    "host": "#332288",
}
"""Told apart by people who see colours differently, too (Paul Tol's palettes)."""
_NETWORK_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee")


def draw_figures(reproduction: Reproduction, folder: Path) -> dict[str, Path]:
    """Write every figure that there is data for as SVG into `folder`; their paths by name."""
    require_plot()
    drawn = {}
    for name, (draw, wanted) in _FIGURES.items():
        if wanted(reproduction):
            drawn[name] = folder / f"{name}.svg"
            save_figure(draw(reproduction), drawn[name])
    return drawn


def _axes(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    figure, axes = new_figure(width, height, rows, columns)
    for one in axes.flat:
        one.grid(axis="y", color="#dddddd", linewidth=0.6)
    return figure, axes


def _overview(reproduction: Reproduction) -> Any:
    networks = reproduction.networks
    figure, axes = _axes(9, 3.4, 2)
    left, right = axes[0]
    places, width = np.arange(len(networks)), 0.26
    for number, (key, label, colour) in enumerate(
        (
            ("similarity", "similarity", "#66ccee"),
            ("reuse", "reuse", "#228833"),
            ("reuse_nonzero", "reuse without zeros", "#ccbb44"),
        )
    ):
        values = [100 * getattr(network.runs[0].report.totals, key) for network in networks]
        left.bar(places + (number - 1) * width, values, width, label=label, color=colour)
    left.axhline(100 * paper.MEAN_REUSE.values[0], color="#aa3377", linewidth=1, linestyle="--")
    left.annotate(
        f"paper, mean reuse {100 * paper.MEAN_REUSE.values[0]:.0f} % [{paper.MEAN_REUSE.tag}]",
        (0.01, 100 * paper.MEAN_REUSE.values[0] + 1.5),
        xycoords=("axes fraction", "data"),
        fontsize=7,
        color="#aa3377",
    )
    left.set_ylabel("%")
    left.set_ylim(0, 100)
    left.legend(fontsize=7, frameon=False, loc="upper left", ncols=3)
    speedups = [network.runs[0].report.totals.speedup for network in networks]
    bounds = [1 / (1 - network.runs[0].report.totals.reuse) for network in networks]
    bars = right.bar(places, speedups, 0.5, color="#4477aa", label="speedup over the baseline accelerator")
    right.bar_label(bars, [f"{value:.1f}" for value in speedups], fontsize=8, label_type="center", color="white")
    right.scatter(places, bounds, marker="_", s=400, color="#aa3377", label="1 / (1 - reuse)")
    right.set_ylabel("times")
    right.legend(fontsize=7, frameon=False, loc="upper left")
    right.set_ylim(0, 1.25 * max([*speedups, *bounds]))
    for one in (left, right):
        one.set_xticks(places, [network.name for network in networks], fontsize=8)
    return figure


def _energy(reproduction: Reproduction) -> Any:
    figure, axes = _axes(8, 3.6)
    one = axes[0][0]
    labels: list[str] = []
    place, seen = 0.0, set()
    places = []
    for network in reproduction.networks:
        parts = network.runs[0].report.totals.energy_pj
        whole = sum(parts.baseline.values())
        for kind, spent in (("baseline", parts.baseline), ("reuse", parts.reuse)):
            bottom = 0.0
            for name, value in spent.items():
                share = 100 * value / whole
                one.bar(
                    place, share, 0.8, bottom, color=_COLOURS[name], label=None if name in seen or not value else name
                )
                if value:
                    seen.add(name)
                bottom += share
            one.annotate(f"{bottom:.0f}", (place, bottom + 1), ha="center", fontsize=7)
            places.append(place)
            labels.append(f"{network.name}\n{kind}" if kind == "baseline" else f"\n{kind}")
            place += 1
        place += 0.6
    one.set_xticks(places, labels, fontsize=7)
    one.set_ylabel("% of the baseline's energy")
    one.set_ylim(0, 110)
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    return figure


def _layers(reproduction: Reproduction) -> Any:
    networks = reproduction.networks
    figure, axes = _axes(9, 2.1 * len(networks), 1, len(networks))
    for one, network in zip(axes[:, 0], networks, strict=True):
        found = [layer for layer in network.runs[0].report.layers if layer.similarity is not None]
        places = np.arange(len(found))
        one.bar(
            places - 0.2, [100 * (layer.similarity or 0) for layer in found], 0.4, color="#66ccee", label="similarity"
        )
        one.bar(places + 0.2, [100 * layer.reuse for layer in found], 0.4, color="#228833", label="reuse")
        one.set_xticks(places, [layer.name for layer in found], fontsize=6, rotation=30 if len(found) > 12 else 0)
        one.set_ylim(0, 100)
        one.set_ylabel("%")
        one.set_title(network.name, fontsize=9, loc="left")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", fontsize=8, frameon=False, ncols=2)
    return figure


def _sensitivity(reproduction: Reproduction) -> Any:
    grouped: dict[str, list[Setting]] = {}
    for setting in reproduction.sensitivity:
        if setting.value:
            grouped.setdefault(setting.varied, []).append(setting)
    default = reproduction.sensitivity[0]
    names = [network.name for network in counted(reproduction)]
    figure, axes = _axes(11, 2.8 * 2, -(-len(grouped) // 2), 2)
    for one, (varied, settings) in zip(axes.flat, grouped.items(), strict=False):
        shown = settings if len(settings) > 1 else [default, *settings]
        places = np.arange(len(shown))
        for name, colour in zip(names, _NETWORK_COLOURS, strict=False):
            if not all(name in setting.speedup for setting in shown):
                continue
            values = [setting.speedup[name] for setting in shown]
            one.plot(places, values, "o-", color=colour, label=name, markersize=4, linewidth=1.2)
        one.set_xticks(places, [_short(setting.value) or "default" for setting in shown], fontsize=7)
        one.set_title(varied, fontsize=8, loc="left")
        one.set_ylim(0, 1.1 * one.dataLim.y1)
    for one in list(axes.flat)[len(grouped) :]:
        one.set_visible(False)
    for row in axes:
        row[0].set_ylabel("speedup")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", fontsize=8, frameon=False, ncols=len(names))
    return figure


def _short(value: str) -> str:
    return value.removeprefix("profile ").replace("before the multiply-accumulates", "not overlapped")


_FIGURES: Mapping[str, tuple[Callable[[Reproduction], Any], Callable[[Reproduction], bool]]] = {
    "overview": (_overview, lambda found: bool(found.networks)),
    "energy": (_energy, lambda found: bool(found.networks)),
    "layers": (_layers, lambda found: bool(found.networks)),
    "sensitivity": (_sensitivity, lambda found: bool(found.sensitivity)),
}
