"""The rolling refresh: which sites compute their linear outputs anew in which frame.

A plan may ask that every linear output is computed anew from the held indices once in ``every`` frames, so that the
rounding of its corrections never adds up for longer. Sites take turns, in such an order that no frame has much more of
this work than another.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pydantic import ConfigDict, Field, ValidationError

from reuse_compiler.document import Strict
from reuse_compiler.errors import ModelError, PlanError

__all__ = ["RefreshPlan", "RefreshSchedule"]


class RefreshPlan(Strict):
    """Option of a plan: every linear output is computed anew once in `every` frames."""

    every: int = Field(strict=True)

    def check(self) -> None:
        """Raises PlanError where it cannot be followed."""
        if self.every < 1:
            raise PlanError(f"plan: refresh: every is {self.every}: give a number of frames, 1 or more, or no refresh")


class RefreshSchedule(Strict):
    """Whose turn it is.

    Parameters
    ----------
    every : int
        Frames of a round.
    frames : dict of str to int
        Site -> the frame of each round, ``0..every-1``, after which its linear output is computed anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int = Field(ge=1, strict=True)
    frames: dict[str, int]

    @classmethod
    def of(cls, plan: RefreshPlan, macs: Mapping[str, int]) -> RefreshSchedule:
        """The schedule of sites that cost `macs` multiply-accumulates each.

        The site with the most work comes first and goes, as each after it, to the turn that has least so far: no turn
        then has more than 4/3 of the least possible (R. L. Graham, Bounds on multiprocessing timing anomalies, 1969). A
        site is not divided, so one that has more than its part of the work makes its frame the slowest. Fewer sites than
        frames are spread evenly. Raises PlanError where `plan` cannot be followed.
        """
        plan.check()
        turns = [_Turn() for _ in range(min(plan.every, len(macs)))]
        for site, cost in sorted(macs.items(), key=lambda item: -item[1]):  # sorted keeps the order of equals
            turn = min(turns, key=lambda turn: (turn.macs, len(turn.sites)))
            turn.sites.append(site)
            turn.macs += cost
        frame_of = {site: number * plan.every // len(turns) for number, turn in enumerate(turns) for site in turn.sites}
        return cls(every=plan.every, frames={site: frame_of[site] for site in macs})

    @classmethod
    def from_metadata(cls, text: str, sites: Mapping[str, object]) -> RefreshSchedule:
        """As a reuse model holds it. Raises ModelError where it is damaged, or not of `sites`."""
        try:
            schedule = cls.model_validate_json(text)
        except ValidationError as error:
            raise ModelError("model: its property reuse.refresh is no schedule: compile it again") from error
        wrong = sorted(schedule.frames.keys() ^ sites.keys())
        wrong += [site for site, frame in schedule.frames.items() if not 0 <= frame < schedule.every]
        if wrong:
            raise ModelError(f"model: its property reuse.refresh does not fit site {wrong[0]}: compile it again")
        return schedule

    def of_sites(self, sites: Collection[str]) -> RefreshSchedule:
        """The turns of `sites`."""
        return RefreshSchedule(every=self.every, frames={site: at for site, at in self.frames.items() if site in sites})

    def to_metadata(self) -> str:
        """What :meth:`from_metadata` reads."""
        return json.dumps({"every": self.every, "frames": self.frames})

    @property
    def turns(self) -> dict[int, tuple[str, ...]]:
        """Frame of a round -> the sites whose turn it is, for frames that have any."""
        turns: dict[int, tuple[str, ...]] = {}
        for site, frame in self.frames.items():
            turns[frame] = (*turns.get(frame, ()), site)
        return turns


@dataclass
class _Turn:
    """The sites of one turn, and their work."""

    sites: list[str] = field(default_factory=list)
    macs: int = 0
