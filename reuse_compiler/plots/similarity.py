"""Similarity and reuse of every layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reuse_compiler.plots.chosen_layers import choose_layers, left_out
from reuse_compiler.plots.figure import (
    CYAN,
    GREEN,
    bars_by_layer,
    head,
    model_name,
    name_values,
    new_figure,
    places_with_model,
    size_by_layer,
    stream_name,
)
from reuse_compiler.report import Report

__all__ = ["Similarity", "draw_similarity", "similarity_of"]


@dataclass(frozen=True)
class Similarity:
    """Shares of every layer that reuses, and of the model last, under the name ``model``.

    `similarity` is the share of inputs that keep their centroid, `reuse` that of multiply-accumulates that are skipped.
    """

    model: str
    stream: str
    frames: int
    names: list[str]
    similarity: list[float]
    reuse: list[float]
    left_out: int


def similarity_of(report: Report) -> Similarity:
    """What `report` says of it; layers with the most multiply-accumulates where there are many."""
    reusing = [layer for layer in report.layers if layer.similarity is not None]
    chosen = choose_layers(reusing, lambda layer: layer.macs)
    return Similarity(
        model_name(report.model.path),
        stream_name(report.stream.name),
        report.totals.frames,
        [*(layer.name for layer in chosen), "model"],
        [*(layer.similarity or 0.0 for layer in chosen), report.totals.similarity],
        [*(layer.reuse for layer in chosen), report.totals.reuse],
        len(reusing) - len(chosen),
    )


def draw_similarity(found: Similarity) -> Any:
    """Two bars a layer."""
    layers = len(found.names)
    figure, axes = new_figure(*size_by_layer(layers))
    one = axes[0, 0]
    bars_by_layer(
        one,
        found.names,
        [
            ("similarity: inputs that keep their centroid", CYAN, [100 * share for share in found.similarity]),
            ("reuse: multiply-accumulates skipped", GREEN, [100 * share for share in found.reuse]),
        ],
        places_with_model(layers),
    )
    name_values(one, layers, "%", 100)
    figure.legend(loc="outside lower left", fontsize=8, frameon=False, ncols=2)
    head(
        figure,
        f"{found.model}: what repeats from frame to frame",
        f"{found.frames:,} frames of {found.stream}; the model's reuse counts dense layers, too{left_out(found.left_out)}",
    )
    return figure
