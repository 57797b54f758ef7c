"""What a guard is to watch for, from what a calibration saw.

The bounds leave room on the side of the stream that was not seen, since the largest of a few hundred frames is soon
surpassed by a little; none of them can fire on the calibration itself.

``changed``
    Half way from the largest share of changed inputs to that of the frames that start a sequence, which is what a reset
    costs (inputs that are zero stay as they are), and a quarter above the largest share at least. None above 1.
``clipped``
    Of each site twice the largest share, and 1 % and three elements more: without those a site that was never at its
    ends would be beyond them at a single element.
``quiet``
    A quarter of the median share, for twice as many frames as the longest such stretch, and 128 at least, which keeps
    the cost of the resets below 1 % of the dense work.

Without deadbands a quantizer has no memory that a reset could remove: then ``clipped`` alone is watched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import PlanError
from reuse_compiler.guard_plan import GuardPlan, QuietPlan

__all__ = ["SiteShares", "calibrate_guard"]

_TOWARDS_START, _ABOVE_LARGEST = 0.5, 1.25
_CLIPPED_FACTOR, _CLIPPED_SHARE, _CLIPPED_ELEMENTS = 2.0, 0.01, 3
_QUIET_SHARE, _QUIET_FACTOR, _QUIET_FRAMES = 0.25, 2, 128


@dataclass(frozen=True)
class SiteShares:
    """One site over the frames of a calibration that ran with the quantizers of the plan.

    Parameters
    ----------
    inputs : int
        Elements of the site's input in a frame, all time steps together.
    changed : array of float, shape (frames,)
        Share of them with another index than in the frame or step before.
    clipped : array of float, shape (frames,)
        Share of them at an end of the range, as :func:`reuse_compiler.guard.count_clipped` counts.
    """

    inputs: int
    changed: NDArray[np.float64]
    clipped: NDArray[np.float64]


def calibrate_guard(sites: Mapping[str, SiteShares], *, memory: bool, starts: Sequence[int] = (0,)) -> GuardPlan:
    """The guard of a plan.

    Parameters
    ----------
    sites : mapping of str to SiteShares
        By reuse site; at least one.
    memory : bool
        Whether any site has a deadband.
    starts : sequence of int
        Frames where sequences start; they are compared with zeros, so they are no part of what changes in a stream.

    Raises
    ------
    PlanError
        If there is no site, the arrays differ in length or hold something else than shares.
    """
    frames = _frames(sites)
    clipped = {name: _clipped_bound(site) for name, site in sites.items()}
    compared = np.ones(frames, bool)
    compared[[start for start in starts if 0 <= start < frames]] = False
    inputs = np.array([site.inputs for site in sites.values()], np.float64)
    changed = inputs @ np.array([site.changed for site in sites.values()]) / inputs.sum()
    if not memory or not compared.any():
        return GuardPlan(clipped=clipped)
    largest, at_start = float(changed[compared].max()), float(changed[~compared].mean()) if not compared.all() else 1.0
    busy = max(largest + _TOWARDS_START * (at_start - largest), _ABOVE_LARGEST * largest)
    quiet = _QUIET_SHARE * float(np.median(changed[compared]))
    run = _longest_run((changed <= quiet) & compared)
    return GuardPlan(
        changed=busy if busy < 1 else None,
        clipped=clipped,
        quiet=QuietPlan(share=quiet, frames=max(_QUIET_FACTOR * run, _QUIET_FRAMES)),
    )


def _frames(sites: Mapping[str, SiteShares]) -> int:
    """The frames of all sites. Raises PlanError."""
    lengths = {np.size(array) for site in sites.values() for array in (site.changed, site.clipped)}
    if len(lengths) != 1 or 0 in lengths:
        raise PlanError(
            f"guard: {len(sites)} sites over {sorted(lengths)} frames: give one share a frame for each site"
        )
    for name, site in sites.items():
        shares = np.concatenate([site.changed, site.clipped])
        if site.inputs < 1 or not ((shares >= 0) & (shares <= 1)).all():
            raise PlanError(f"guard: site {name}: its {site.inputs} inputs have no shares of 0 to 1: count them again")
    return lengths.pop()


def _clipped_bound(site: SiteShares) -> float:
    room = _CLIPPED_SHARE + _CLIPPED_ELEMENTS / site.inputs
    return min(_CLIPPED_FACTOR * float(site.clipped.max()) + room, 1.0)


def _longest_run(marks: NDArray[np.bool_]) -> int:
    """The longest stretch of True."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return int((ends[1::2] - ends[::2]).max(initial=0))
