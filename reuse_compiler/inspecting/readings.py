"""What a profile says at given numbers of clusters, and of a plan: similarity and reuse by site and over the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reuse_compiler.expected_step import expected_step, of_quantizer
from reuse_compiler.model_profile import Profile
from reuse_compiler.plan import Plan
from reuse_compiler.tensor_profile import Reading

__all__ = ["PlannedSite", "SiteReadings", "at_clusters", "of_plan"]

_ALIKE = Reading(1.0, interpolated=False)
_NONE = Reading(0.0, interpolated=False)


@dataclass(frozen=True)
class SiteReadings:
    """One site, or the whole model where `node` is None.

    Parameters
    ----------
    node, op, input : str or None
        Name and operator of the node, name of the tensor that it reads.
    macs : int
        Multiply-accumulates of a frame.
    value_range : (float, float) or None
        Smallest and largest input.
    zeros : float or None
        Share of inputs that are exactly 0.0.
    similarity, reuse : tuple of Reading
        One for each number of clusters.
    """

    node: str | None
    op: str | None
    input: str | None
    macs: int
    value_range: tuple[float, float] | None
    zeros: float | None
    similarity: tuple[Reading, ...]
    reuse: tuple[Reading, ...]


def at_clusters(profile: Profile, clusters: Sequence[int]) -> list[SiteReadings]:
    """Each site, and the whole model last, with linear centroids over the whole range of the site.

    A site whose input is 0.0 throughout repeats entirely.
    """
    steps = [_steps(profile, number) for number in clusters]
    rows = []
    for site in profile.sites:
        tensor = profile.tensors[site.input]
        both = [_readings(profile, site.node, of_sites.get(site.node)) for of_sites in steps]
        rows.append(
            SiteReadings(
                site.node,
                site.op,
                site.input,
                site.macs,
                (tensor.minimum, tensor.maximum),
                tensor.zero_share,
                tuple(similarity for similarity, _ in both),
                tuple(reuse for _, reuse in both),
            )
        )
    totals = [profile.totals(of_sites) for of_sites in steps]
    similarity, reuse = tuple(total.similarity for total in totals), tuple(total.reuse for total in totals)
    return [*rows, SiteReadings(None, None, None, profile.macs, None, None, similarity, reuse)]


def _steps(profile: Profile, clusters: int) -> dict[str, float]:
    steps = {site.node: profile.tensors[site.input].step(clusters) for site in profile.sites}
    return {node: step for node, step in steps.items() if step > 0}


def _readings(profile: Profile, node: str, step: float | None) -> tuple[Reading, Reading]:
    if step is None:
        return _ALIKE, _ALIKE
    return profile.similarity(node, step), profile.reuse(node, step)


@dataclass(frozen=True)
class PlannedSite:
    """One site of a plan, or the whole model where `node` is None; no similarity where it is dense."""

    node: str | None
    similarity: Reading | None
    reuse: Reading


def of_plan(plan: Plan, profile: Profile) -> list[PlannedSite]:
    """What the profile expects of each site of `plan`, and of the whole model last.

    Raises PlanError where the plan has a site that the profile lacks.
    """
    quantizers = plan.quantizers()
    steps = {node: expected_step(quantizer, profile.tensor_of(node)) for node, quantizer in quantizers.items()}
    widths = {node: float(np.max(quantizer.deadband)) for node, quantizer in quantizers.items()}
    rows = []
    for site in plan.sites:
        if site.node not in steps:
            rows.append(PlannedSite(site.node, None, _NONE))
            continue
        asked, quantizer = (site.node, steps[site.node], widths[site.node]), quantizers[site.node]
        similarity, reuse = profile.similarity(*asked), profile.reuse(*asked)
        rows.append(PlannedSite(site.node, of_quantizer(similarity, quantizer), of_quantizer(reuse, quantizer)))
    totals = profile.totals(steps, widths)
    similarity, reuse = totals.similarity, totals.reuse
    for quantizer in quantizers.values():
        similarity, reuse = of_quantizer(similarity, quantizer), of_quantizer(reuse, quantizer)
    return [*rows, PlannedSite(None, similarity if steps else None, reuse)]
