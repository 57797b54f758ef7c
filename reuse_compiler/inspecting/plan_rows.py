"""What a plan does, site by site, in words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from reuse_compiler.inspecting.nodes import deadband_text
from reuse_compiler.plan import AnySpec, NextStep, Plan

__all__ = ["PlanRow", "plan_rows"]


@dataclass(frozen=True)
class PlanRow:
    """One site of a plan.

    Parameters
    ----------
    node, op, mode : str
        As in the plan.
    words : str
        The quantizer in words; ``dense`` where there is none.
    width : float or None
        Largest distance of an input inside the range from its centroid, over all channels, in the unit of the input.
    reason : str
        Why it was chosen; may be empty.
    next : NextStep or None
        What the next wider quantizer would have come to, where that is known.
    """

    node: str
    op: str
    mode: str
    words: str
    width: float | None
    reason: str
    next: NextStep | None


def plan_rows(plan: Plan) -> list[PlanRow]:
    """A row a site, in the order of the plan. A quantizer at a dense site is not used, and not shown."""
    return [_row(site.node, site.op, site.mode, site.quantizer, site.reason, site.next) for site in plan.sites]


def _row(node: str, op: str, mode: str, quantizer: AnySpec | None, reason: str, following: NextStep | None) -> PlanRow:
    if mode == "dense" or quantizer is None:
        return PlanRow(node, op, mode, "dense", None, reason, following)
    return PlanRow(node, op, mode, _words(quantizer), _width(quantizer), reason, following)


def _width(spec: AnySpec) -> float:
    """Largest distance of an input inside the range from its centroid, over all channels: half the distance of two
    centroids, or the deadband where that is larger."""
    if spec.kind == "table":
        gap = max((above - below for below, above in pairwise(spec.centroids)), default=0.0)
    else:
        gap = spec.step
    return max(gap / 2, *_deadbands(spec))


def _words(spec: AnySpec) -> str:
    if spec.kind == "table":
        text = f"table of {spec.clusters:,} centroids, {spec.centroids[0]:.4g} to {spec.centroids[-1]:.4g}"
    else:
        text = f"{spec.clusters:,} clusters, step {spec.step:.4g}"
    return f"{text}, stays within {deadband_text(spec.deadband)}" if any(_deadbands(spec)) else text


def _deadbands(spec: AnySpec) -> list[float]:
    return spec.deadband if isinstance(spec.deadband, list) else [spec.deadband]
