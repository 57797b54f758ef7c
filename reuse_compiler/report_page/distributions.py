"""What a tensor holds, as a histogram for the page, and the quantizer that lies over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reuse_compiler.model_profile import Profile
from reuse_compiler.plan import Plan
from reuse_compiler.tensor_profile import Histogram

__all__ = ["Distribution", "SiteQuantizer", "distributions", "site_quantizers"]

_BARS = 160
_MOST_CENTROIDS = 256


@dataclass(frozen=True)
class Distribution:
    """Values of a tensor over the profiled stream.

    Parameters
    ----------
    low, width : float
        Lower edge of the first bar, and width of each, in the unit of the tensor.
    shares : list of float
        Share of the values in each bar; they add up to 1.
    minimum, maximum, zeros : float
        Smallest and largest value, and the share of values that were exactly 0.0.
    """

    low: float
    width: float
    shares: list[float]
    minimum: float
    maximum: float
    zeros: float


@dataclass(frozen=True)
class SiteQuantizer:
    """What the plan has for a site. Of a table all centroids are listed; of a linear quantizer centroid k lies at
    ``(k - zero) * step``. `deadband` is the least and the most over the channels."""

    site: str
    input: str
    op: str
    mode: str
    kind: str | None
    clusters: int | None
    step: float | None
    zero: int | None
    centroids: list[float] | None
    deadband: tuple[float, float] | None
    reason: str


def distributions(profile: Profile) -> dict[str, Distribution]:
    """The distribution of every tensor that a site reads, by its name."""
    found = {}
    for name, tensor in profile.tensors.items():
        low, width, shares = _bars(tensor.histogram)
        found[name] = Distribution(low, width, shares, tensor.minimum, tensor.maximum, tensor.zero_share)
    return found


def _bars(histogram: Histogram) -> tuple[float, float, list[float]]:
    """Bins of the histogram, joined until there are few enough to draw."""
    counts = histogram.counts
    if not counts.size:
        return 0.0, histogram.width, []
    joined = -(-counts.size // _BARS)
    padded = np.pad(counts, (0, -counts.size % joined)).reshape(-1, joined).sum(axis=1)
    low = float(histogram.centres()[0]) - histogram.width / 2
    return low, histogram.width * joined, [float(f"{share:.4g}") for share in padded / histogram.total]


def site_quantizers(plan: Plan) -> list[SiteQuantizer]:
    """A row a site, in the order of the plan."""
    rows = []
    for site in plan.sites:
        spec = site.quantizer if site.mode == "reuse" else None
        deadbands = [0.0] if spec is None else spec.deadband if isinstance(spec.deadband, list) else [spec.deadband]
        linear = spec if spec is not None and spec.kind == "linear" else None
        rows.append(
            SiteQuantizer(
                site=site.node,
                input=site.input,
                op=site.op,
                mode=site.mode,
                kind=None if spec is None else spec.kind,
                clusters=None if spec is None else spec.clusters,
                step=None if linear is None else linear.step,
                zero=None if linear is None else linear.zero,
                centroids=spec.centroids[:_MOST_CENTROIDS] if spec is not None and spec.kind == "table" else None,
                deadband=None if spec is None else (min(deadbands), max(deadbands)),
                reason=site.reason,
            )
        )
    return rows
