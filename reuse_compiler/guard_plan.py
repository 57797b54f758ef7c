"""What a session is to watch for, as a plan holds it; :mod:`reuse_compiler.guard` says why."""

from __future__ import annotations

import math
from collections.abc import Collection

from pydantic import Field, ValidationError

from reuse_compiler.document import Strict
from reuse_compiler.errors import ModelError, PlanError

__all__ = ["GuardPlan", "QuietPlan"]


class QuietPlan(Strict):
    """Near silence: `frames` frames in a row, in each of which at most `share` of the inputs changed."""

    share: float
    frames: int = Field(strict=True)


class GuardPlan(Strict):
    """Option of a plan: where a stream leaves what calibration saw, the session quantizes the next frame anew.

    Parameters
    ----------
    changed : float or None
        Largest share of changed inputs, over all sites, that a frame may have; None does not watch it.
    clipped : dict of str to float
        Site -> largest share of its inputs at an end of its quantizer's range. Sites left out are not watched.
    quiet : QuietPlan or None
        None does not watch it.
    """

    changed: float | None = None
    clipped: dict[str, float] = Field(default_factory=dict)
    quiet: QuietPlan | None = None

    def check(self, sites: Collection[str]) -> None:
        """Raises PlanError where a value is out of range, or a site is not among `sites`, those that reuse."""
        shares = {f"clipped of site {site}": share for site, share in self.clipped.items()}
        if self.changed is not None:
            shares["changed"] = self.changed
        if self.quiet is not None:
            shares["quiet: share"] = self.quiet.share
            if self.quiet.frames < 1:
                raise PlanError(f"plan: guard: quiet: frames is {self.quiet.frames}: give 1 or more")
        for site in self.clipped:
            if site not in sites:
                raise PlanError(f"plan: guard: the plan reuses no site {site}: remove it from clipped")
        for name, share in shares.items():
            if not (math.isfinite(share) and 0 <= share <= 1):
                raise PlanError(f"plan: guard: {name} is {share:g}: give a share, 0 to 1")

    @classmethod
    def from_metadata(cls, text: str, sites: Collection[str]) -> GuardPlan:
        """As a reuse model holds it. Raises ModelError where it is damaged, or not of `sites`."""
        try:
            plan = cls.model_validate_json(text)
            plan.check(sites)
        except (ValidationError, PlanError) as error:
            raise ModelError("model: its property reuse.guard does not fit it: compile it again") from error
        return plan

    def limit(self, site: str, inputs: int) -> int:
        """The most of the `inputs` of `site` that may lie at an end of its range: the largest number whose share is not above
        `clipped`."""
        most = int(self.clipped[site] * inputs) + 1
        while most / inputs > self.clipped[site]:
            most -= 1
        return most

    def of(self, sites: Collection[str]) -> GuardPlan:
        """The part that watches `sites`."""
        return self.model_copy(
            update={"clipped": {site: share for site, share in self.clipped.items() if site in sites}}
        )
