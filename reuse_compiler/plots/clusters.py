"""Similarity and reuse over the number of clusters, from a profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reuse_compiler.inspecting import SiteReadings, at_clusters
from reuse_compiler.model_profile import Profile
from reuse_compiler.plots.figure import (
    PURPLE,
    SITES,
    head,
    model_name,
    new_figure,
    shorten,
    stream_name,
)
from reuse_compiler.report import Report

__all__ = ["ClusterSweep", "cluster_sweep", "draw_clusters"]

CLUSTERS = (4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024)
"""The numbers that a sweep looks at: two to a doubling."""


@dataclass(frozen=True)
class ClusterSweep:
    """What a profile says at each of `clusters` numbers of centroids, on every site alike, over the whole range of each.

    `similarity` and `reuse` are the model's, `sites` the reuse of the sites with the most multiply-accumulates.
    `measured` is the reuse of a run at one number of clusters, where one is known.
    """

    model: str
    streams: list[str]
    frames: int
    clusters: list[int]
    similarity: list[float]
    reuse: list[float]
    sites: dict[str, list[float]]
    left_out: int
    measured: tuple[int, float] | None


def cluster_sweep(profile: Profile, measured: Report | None = None, clusters: Sequence[int] = CLUSTERS) -> ClusterSweep:
    """What `profile` expects; `measured` is a run of the same model, of which one point is shown where all its layers that
    reuse have one number of clusters."""
    *sites, model = at_clusters(profile, clusters)
    heaviest = sorted(sites, key=lambda site: site.macs, reverse=True)[: len(SITES)]
    chosen = [site for site in sites if site in heaviest]
    return ClusterSweep(
        model_name(profile.model.path),
        [stream_name(name) for name in profile.stream.names],
        profile.stream.frames,
        list(clusters),
        [reading.value for reading in model.similarity],
        [reading.value for reading in model.reuse],
        {str(site.node): _values(site) for site in chosen},
        len(sites) - len(chosen),
        None if measured is None or measured.model.sha256 != profile.model.sha256 else _measured(measured),
    )


def _values(site: SiteReadings) -> list[float]:
    return [reading.value for reading in site.reuse]


def _measured(report: Report) -> tuple[int, float] | None:
    """The one number of clusters of all sites of a run, and its reuse."""
    numbers = {layer.clusters for layer in report.layers if layer.backend == "reuse"}
    number = numbers.pop() if len(numbers) == 1 else None
    return (number, report.totals.reuse) if number else None


def draw_clusters(found: ClusterSweep) -> Any:
    """Lines over the number of clusters: the model's thick, those of sites thin."""
    figure, axes = new_figure(8.4, 4.8)
    one = axes[0, 0]
    one.set_xscale("log", base=2)
    for (name, values), colour in zip(found.sites.items(), SITES, strict=False):
        one.plot(
            found.clusters, _percent(values), color=colour, linewidth=1, alpha=0.75, label=f"reuse, {shorten(name)}"
        )
    one.plot(found.clusters, _percent(found.similarity), "--", color="black", linewidth=2, label="similarity, model")
    one.plot(found.clusters, _percent(found.reuse), color="black", linewidth=2.4, label="reuse, model")
    if found.measured is not None:
        number, reuse = found.measured
        label = f"reuse of a run, {100 * reuse:.1f} %"
        one.plot([number], [100 * reuse], "o", color=PURPLE, markersize=7, label=label, zorder=4)
    marks = [number for number in found.clusters if number & (number - 1) == 0]
    one.set_xticks(marks, [f"{number:,}" for number in marks])
    one.minorticks_off()
    one.set_xlabel("clusters a site (centroids, equidistant over its whole range)", fontsize=8)
    one.set_ylabel("%", fontsize=8)
    one.set_ylim(0, 100)
    one.grid(color="#dddddd", linewidth=0.6)
    handles, labels = one.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: (", model" not in labels[i], "run" not in labels[i]))
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside right center",
        fontsize=8,
        frameon=False,
    )
    more = f"; the {found.left_out:,} lightest sites are not drawn" if found.left_out else ""
    head(
        figure,
        f"{found.model}: fewer clusters repeat more, and lose more accuracy",
        f"from the profile of {found.frames:,} frames of {', '.join(found.streams)}, which sees exact inputs: in a run the"
        f" layers before have quantized theirs, and less may repeat{more}",
    )
    return figure


def _percent(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]
