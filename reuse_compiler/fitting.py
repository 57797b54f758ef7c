"""Fit a plan to a profile: the paper's scheme, linear centroids over the range that the profile saw, or k-means.

The centroids of a site are ``clusters`` equidistant values with 0.0 exactly among them. Their range is either all that
was seen (``minmax``) or the part of it that gives the least squared error over the histogram (``mse``).

``minmax`` is the default because it reuses more at the same loss. Measured closed loop against fp32 over 12 to 384
clusters, as relative RMSE of the outputs -> reuse of the model, minmax against mse: PilotNet on a highway 0.10 -> .81
against .80, 0.03 -> .67 against .63; UltraFace on a signing clip 0.05 -> .90 against .87, 0.02 -> .84 against .79, 0.01 ->
.75 against .71; a keyword spotter 0.2 -> .52 against .52, 0.1 -> .46 against .45; the Silero VAD 0.2 -> .45 against .44, 0.1
-> .365 against .37. At the same number of clusters a clipped range has the smaller steps, so less error and less reuse:

==========  ====================  ====================  ====================
clusters    16                    32                    256
(RMSE/reuse) minmax    mse        minmax    mse         minmax    mse
==========  ====================  ====================  ====================
PilotNet    .36/.93   .33/.89     .22/.87   .16/.83     .028/.64  .029/.62
keywords    .67/.70   .50/.65     .40/.61   .27/.55     .045/.42  .045/.42
Silero      .79/.75   .54/.67     1.08/.65  .34/.60     .137/.40  .128/.40
UltraFace   .099/.93  .052/.88    .030/.87  .025/.82    .003/.59  .004/.58
==========  ====================  ====================  ====================
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import PlanError
from reuse_compiler.expected_step import expected_step, of_quantizer
from reuse_compiler.frontend import Model
from reuse_compiler.kmeans import kmeans_centroids
from reuse_compiler.model_profile import Profile, SiteProfile
from reuse_compiler.plan import ModelRef, Plan, SitePlan, quantizer_spec
from reuse_compiler.quantizers import MAX_CLUSTERS, MAX_TABLE, LinearQuantizer, Quantizer, TableQuantizer
from reuse_compiler.recurrent import OPERATORS
from reuse_compiler.sites import find_sites, no_site
from reuse_compiler.tensor_profile import BINS, TensorProfile

__all__ = ["Centroids", "Clip", "fit", "least_error_range"]

Centroids = Literal["linear", "kmeans"]
Clip = Literal["mse", "minmax"]

_CLIP_RATIOS = 2.0 ** (-np.arange(33) / 8)
"""What share of an end of the range is tried: 1 to 1/16, in eighths of an octave."""


def fit(
    model: Model,
    profile: Profile,
    *,
    clusters: int = 32,
    clip: Clip = "minmax",
    centroids: Centroids = "linear",
    seed: int = 0,
    deadband: float = 0.0,
    exclude: Collection[str] = (),
    overrides: Mapping[str, int] | None = None,
    state: Mapping[str, str] | None = None,
) -> Plan:
    """A plan in which every site reuses, with linear centroids that cover its range, or a table of its k-means centroids.

    Sites that read one tensor get one quantizer.

    Parameters
    ----------
    model : Model
    profile : Profile
        Of this model.
    clusters : int
        Centroids of a site, 2 to 65,535.
    clip : {"mse", "minmax"}
        The range of linear centroids: the part of it with the least squared error, or all that was seen.
    centroids : {"linear", "kmeans"}
        Equidistant, or where k-means puts them; then there are at most 256, and fewer where fewer values were seen. What
        a recurrent layer reads has linear ones in any case.
    seed : int
        Of the k-means.
    deadband : float
        The past index stays within this distance of its centroid, as a share of the step, of a table that of
        :func:`~reuse_compiler.expected_step.expected_step`; up to 0.5 changes nothing where centroids are linear.
        0 is the paper's scheme.
    exclude : collection of str
        Nodes that stay dense.
    overrides : mapping of str to int, optional
        Node -> clusters, instead of `clusters`. It holds for every site that reads the same tensor.
    state : mapping of str to str, optional
        Inputs fed back from outputs; by default, and at most, those of the profile.

    Raises
    ------
    PlanError
        If the profile is of another model, a name is unknown, a value out of range, overrides of sites with one
        tensor differ, or a site's input was constant throughout.
    """
    reference = ModelRef(path=str(model.path), sha256=model.sha256)
    profile.require(reference)
    chosen = dict(overrides or {})
    _check_options(model, profile, clusters, clip, deadband, exclude, chosen)
    if centroids not in get_args(Centroids):
        raise PlanError(f"centroids are {centroids}: give one of {', '.join(get_args(Centroids))}")
    _check_sites(model, profile)
    if state is not None and dict(state) != profile.state:
        raise PlanError(f"state is {dict(state)}, of the profile {profile.state}: profile with the state of the plan")
    reusing = [site for site in profile.sites if site.node not in exclude]
    numbers = _clusters_by_tensor(reusing, clusters, chosen)
    recurrent = {site.input for site in reusing if site.op in OPERATORS}
    plans: dict[str, tuple[Quantizer, str]] = {}
    for site in reusing:
        if site.input in plans:
            continue
        tensor, number = profile.tensors[site.input], numbers[site.input]
        _check_varies(site, tensor)
        if centroids == "kmeans" and site.input not in recurrent:
            plans[site.input] = _fit_table(site, tensor, number, deadband, seed)
        else:
            plans[site.input] = _fit_tensor(site, tensor, number, clip, deadband)
    return Plan(
        model=reference,
        state=profile.state,
        sites=[
            _site_plan(profile, site, None if site.node in exclude else plans[site.input]) for site in profile.sites
        ],
    )


def _check_options(
    model: Model,
    profile: Profile,
    clusters: int,
    clip: str,
    deadband: float,
    exclude: Collection[str],
    overrides: Mapping[str, int],
) -> None:
    known = {site.node for site in profile.sites}
    for option, names in (("exclude", exclude), ("override", overrides)):
        for name in names:
            if name not in known:
                raise PlanError(f"{option} {name}: {no_site(model, name)}: reusec check lists the sites")
    for name in overrides:
        if name in exclude:
            raise PlanError(f"site {name} is excluded and has an override: give one of both")
    if clip not in get_args(Clip):
        raise PlanError(f"clip is {clip}: give one of {', '.join(get_args(Clip))}")
    if not 2 <= clusters <= MAX_CLUSTERS:
        raise PlanError(f"clusters is {clusters}: give 2 to {MAX_CLUSTERS:,}")
    for name, number in overrides.items():
        if not 2 <= number <= MAX_CLUSTERS:
            raise PlanError(f"override {name}: clusters is {number}: give 2 to {MAX_CLUSTERS:,}")
    if not (math.isfinite(deadband) and deadband >= 0):
        raise PlanError(f"deadband is {deadband:g}: give a share of the step, 0 or more")


def _check_sites(model: Model, profile: Profile) -> None:
    found = [(site.node, site.input, site.frame_shape) for site in find_sites(model)]
    seen = [(site.node, site.input, profile.tensors[site.input].shape) for site in profile.sites]
    differing = [entry for entry in (*found, *seen) if entry not in found or entry not in seen]
    if differing:
        raise PlanError(f"site {differing[0][0]}: the profile has other sites or shapes than the model: profile again")


def _clusters_by_tensor(sites: Sequence[SiteProfile], clusters: int, overrides: Mapping[str, int]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    first: dict[str, str] = {}
    for site in sites:
        if site.node not in overrides:
            continue
        number = overrides[site.node]
        other = first.setdefault(site.input, site.node)
        if numbers.setdefault(site.input, number) != number:
            raise PlanError(
                f"sites {other} and {site.node} read the same tensor {site.input}: override both with one number"
            )
    return {site.input: numbers.get(site.input, clusters) for site in sites}


def _check_varies(site: SiteProfile, tensor: TensorProfile) -> None:
    if tensor.minimum == tensor.maximum:
        raise PlanError(
            f"site {site.node}: its input {site.input} is {tensor.minimum:g} throughout the {tensor.frames} frames of"
            " the profile: exclude the site or give a longer recording"
        )


def _fit_table(
    site: SiteProfile, tensor: TensorProfile, clusters: int, deadband: float, seed: int
) -> tuple[TableQuantizer, str]:
    """The table of a tensor, and where it comes from; `site` is its first reader."""
    if clusters > MAX_TABLE:
        raise PlanError(f"site {site.node}: clusters is {clusters}: a table has 2 to {MAX_TABLE}, or take linear ones")
    quantizer = TableQuantizer(kmeans_centroids(tensor, clusters, seed))
    if deadband:
        quantizer = TableQuantizer(quantizer.centroids, deadband * expected_step(quantizer, tensor))
    low, high = quantizer.centroids[0], quantizer.centroids[-1]
    return quantizer, f"{quantizer.clusters} k-means centroids from {low:.4g} to {high:.4g}"


def _fit_tensor(
    site: SiteProfile, tensor: TensorProfile, clusters: int, clip: Clip, deadband: float
) -> tuple[LinearQuantizer, str]:
    """The linear quantizer of a tensor, and where its range comes from; `site` is its first reader."""
    low, high = seen = tensor.value_range
    if clip == "mse":
        low, high = least_error_range(tensor, clusters)
    try:
        quantizer = _linear(low, high, clusters, deadband)
    except PlanError as error:
        raise PlanError(f"site {site.node}: {error}") from error
    text = f"{clusters} clusters over [{low:.4g}, {high:.4g}]"
    if (low, high) != seen:
        return quantizer, f"{text}, the least squared error within [{seen[0]:.4g}, {seen[1]:.4g}]"
    return quantizer, f"{text}, all that was seen"


def _linear(low: float, high: float, clusters: int, deadband: float) -> LinearQuantizer:
    """`clusters` centroids from `low` to `high`, shifted by up to half a step so that 0.0 is one of them."""
    step = float(np.float32((high - low) / (clusters - 1)))
    zero = round(-low / step) if step > 0 else 0
    return LinearQuantizer(step, min(max(zero, 0), clusters - 1), clusters, deadband * step)


def _site_plan(profile: Profile, site: SiteProfile, fitted: tuple[Quantizer, str] | None) -> SitePlan:
    if fitted is None:
        return SitePlan(node=site.node, input=site.input, op=site.op, mode="dense", reason="excluded")
    quantizer, text = fitted
    width = float(np.max(quantizer.deadband))
    step = expected_step(quantizer, profile.tensors[site.input])
    similarity = of_quantizer(profile.similarity(site.node, step, width), quantizer)
    reuse = of_quantizer(profile.reuse(site.node, step, width), quantizer)
    how = "estimated" if similarity.estimated else "interpolated" if similarity.interpolated else "counted"
    return SitePlan(
        node=site.node,
        input=site.input,
        op=site.op,
        mode="reuse",
        quantizer=quantizer_spec(quantizer),
        reason=f"{text}; {how} similarity {similarity.value:.1%}, reuse {reuse.value:.1%}",
    )


def least_error_range(tensor: TensorProfile, clusters: int) -> tuple[float, float]:
    """The range, within the one seen, whose `clusters` centroids give the least squared error over the histogram.

    Each end is tried at 33 shares of what was seen, 1 to 1/16. Exact zeros have no error. Where a bin is as wide as a
    step, the error within the range is taken as ``step**2 / 12``.
    """
    low, high = tensor.value_range
    values, counts = _nonzero_values(tensor)
    lows = low * _CLIP_RATIOS if low < 0 else np.zeros(1)
    highs = high * _CLIP_RATIOS if high > 0 else np.zeros(1)
    errors = [_squared_error(values, counts, end, highs, clusters, tensor.histogram.width) for end in lows]
    best = np.unravel_index(int(np.argmin(errors)), (lows.size, highs.size))
    return float(lows[best[0]]), float(highs[best[1]])


def _nonzero_values(tensor: TensorProfile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle and count of each bin in use, without the exact zeros."""
    histogram = tensor.histogram
    counts = histogram.counts.astype(np.float64)
    of_zero = BINS // 2 - histogram.first
    if 0 <= of_zero < counts.size:
        counts[of_zero] = max(counts[of_zero] - tensor.zero_share * histogram.total, 0.0)
    used = counts > 0
    return histogram.centres()[used], counts[used]


def _squared_error(
    values: NDArray[np.float64],
    counts: NDArray[np.float64],
    low: float,
    highs: NDArray[np.float64],
    clusters: int,
    bin_width: float,
) -> NDArray[np.float64]:
    """Sum of squared errors for the range from `low` to each of `highs`: float64 [highs]."""
    steps = (highs - low)[:, None] / (clusters - 1)
    zeros = np.rint(-low / steps)
    index = np.clip(np.rint(values / steps), -zeros, clusters - 1 - zeros)
    errors = values - index * steps
    squares = errors * errors
    fine = (np.abs(errors) <= steps / 2) & (steps < 4 * bin_width)
    return np.where(fine, steps * steps / 12, squares) @ counts
