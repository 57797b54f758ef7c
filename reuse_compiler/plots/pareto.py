"""Reuse against loss of the plans of a Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reuse_compiler.pareto import ParetoFront, ParetoPart
from reuse_compiler.plots.figure import (
    BLUE,
    GREEN,
    PURPLE,
    head,
    model_name,
    new_figure,
)

__all__ = ["ParetoCurve", "draw_pareto", "pareto_curve"]


@dataclass(frozen=True)
class ParetoCurve:
    """Every plan of a front: reuse and loss on the frames that it was chosen on, and on those that it was verified on.

    Losses are in the metric's unit where the budget has one bound, called `metric`; else shares of the budget that are
    used, `limit` 1. Reuse is a share of all multiply-accumulates.
    """

    model: str
    budget: str
    metric: str
    limit: float
    plans: list[str]
    chosen_loss: list[float]
    chosen_reuse: list[float]
    verified_loss: list[float]
    verified_reuse: list[float]
    chosen_frames: int
    verified_frames: int


def pareto_curve(front: ParetoFront) -> ParetoCurve:
    """What `front`, of one plan or more, says."""
    points = front.points
    bounds = points[0].calibration.bounds
    one = bounds[0] if len(bounds) == 1 else None
    return ParetoCurve(
        model_name(front.model.path),
        front.budget,
        "% of the budget" if one is None else f"{one.text.partition('<=')[0]} of {one.output}",
        1.0 if one is None else one.limit,
        [point.plan for point in points],
        [_loss(point.calibration) for point in points],
        [point.calibration.reuse for point in points],
        [_loss(point.verification) for point in points],
        [point.verification.reuse for point in points],
        points[0].calibration.frames,
        points[0].verification.frames,
    )


def _loss(part: ParetoPart) -> float:
    return part.bounds[0].loss if len(part.bounds) == 1 else part.loss


def draw_pareto(found: ParetoCurve) -> Any:
    """A line through the plans, and a mark for each as verified."""
    figure, axes = new_figure(8, 4.8)
    one = axes[0, 0]
    scale = 100.0 if found.metric.startswith("%") else 1.0
    chosen, verified = ([scale * loss for loss in losses] for losses in (found.chosen_loss, found.verified_loss))
    reuse = [100 * share for share in found.chosen_reuse]
    again = [100 * share for share in found.verified_reuse]
    for pair in zip(chosen, verified, reuse, again, strict=True):
        one.plot(pair[:2], pair[2:], color="#bbbbbb", linewidth=1, zorder=1)
    one.plot(chosen, reuse, "o-", color=BLUE, linewidth=1.6, label=f"chosen on {found.chosen_frames:,} frames")
    one.plot(verified, again, "s", color=GREEN, markersize=5, label=f"verified on {found.verified_frames:,} others")
    for x, y, name in zip(chosen, reuse, found.plans, strict=True):
        one.annotate(name.removesuffix(".json"), (x, y), (0, 7), textcoords="offset points", ha="right", fontsize=7)
    one.axvline(scale * found.limit, color=PURPLE, linewidth=1, linestyle="--", label=f"the budget: {found.budget}")
    if min([*chosen, *verified]) > 0:
        from matplotlib.ticker import LogLocator

        one.set_xscale("log")
        one.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        one.xaxis.set_major_formatter("{x:g}")
        one.minorticks_off()
        one.margins(x=0.08)
    low, high = min([*reuse, *again]), max([*reuse, *again])
    room = max(high - low, 2.0) * 0.15
    one.set_ylim(max(0.0, low - room), min(101.0, high + room))
    one.set_xlabel(f"loss against fp32: {found.metric}", fontsize=8)
    one.set_ylabel("reuse, % of all multiply-accumulates", fontsize=8)
    one.grid(color="#dddddd", linewidth=0.6)
    one.legend(fontsize=8, frameon=False, loc="lower right")
    head(
        figure,
        f"{found.model}: more reuse for more loss",
        "every plan of the front, on the frames it was chosen on and on the others it was judged on; up and left is better",
    )
    return figure
