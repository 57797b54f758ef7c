"""A budget on a recording: all that a search for the plan with the most reuse is given."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.budget import Bound, parse_budget
from reuse_compiler.budget_scale import check_budget, scales
from reuse_compiler.default_budget import DEFAULT_BUDGET, default_budget
from reuse_compiler.errors import BudgetError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.held_recording import HeldRecording, from_its_start, hold
from reuse_compiler.metrics import Judge
from reuse_compiler.model_profile import Profile
from reuse_compiler.objectives import OBJECTIVES, Worth, accelerator_worth, cpu_worth, macs_worth
from reuse_compiler.plan import Objective
from reuse_compiler.profiling import profile
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.search.candidate import Range
from reuse_compiler.search.evaluator import Evaluator, Loss
from reuse_compiler.search.journal import Journal
from reuse_compiler.search.risk import Risk
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.streams import Frame, Stream
from reuse_compiler.trial import Slot, Trial

__all__ = ["MIN_FRAMES", "BudgetProblem", "FitSettings"]

MIN_FRAMES = 12
"""Fewer than these cannot be split into parts that say anything."""
_HARDWARE = "isca18"
_TIMED_FRAMES = 16
_SAMPLE = 17
"""Frames that costs are seen on, the first of which starts a sequence and is not counted."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class FitSettings:
    """How a plan is fitted to a budget; the parameters are those of :func:`~reuse_compiler.budget_fit.fit_to_budget`."""

    state: Mapping[str, str] = field(default_factory=dict)
    rounds: int = 1
    jobs: int | None = None
    guard: bool = True
    refresh: int | None = None
    seconds: float | None = None
    journal: Path | None = None
    objective: Objective = "macs"
    hardware: Hardware | None = None

    @property
    def machine(self) -> Hardware:
        """The accelerator that is costed."""
        return load_hardware(_HARDWARE) if self.hardware is None else self.hardware

    def check(self) -> None:
        """Raises PlanError where `refresh` is below 1, BudgetError where `seconds` or `jobs` is out of range or there is
        no such objective."""
        if self.refresh is not None:
            RefreshPlan(every=self.refresh).check()
        if self.seconds is not None and not 0 <= self.seconds < math.inf:
            raise BudgetError(f"seconds is {self.seconds}: give a finite number of 0 or more")
        if self.jobs is not None and self.jobs < 1:
            raise BudgetError(f"jobs is {self.jobs}: give 1 or more")
        if self.objective not in OBJECTIVES:
            raise BudgetError(f"no objective is called {self.objective}: give one of {', '.join(OBJECTIVES)}")


@dataclass(frozen=True)
class BudgetProblem:
    """The recording in two parts, the budget, and what is known of the model.

    Parameters
    ----------
    model : Model
    settings : FitSettings
    text : str
        The budget.
    bounds : tuple of Bound
    whole, calibration, verification : HeldRecording
        Two thirds calibrate, the last third verifies, from a cold start.
    sites : sequence of Site
    profile : Profile
        Of the whole recording: a quantizer that clips what comes in the verification cannot be scaled to keep anything there.
    ranges : mapping of str to Range
        Of the tensors that may be quantized.
    trial : Trial
    worth : Worth
        By slot, of the objective.
    scales : sequence of float
        Of the bounds, over the whole recording.
    """

    model: Model
    settings: FitSettings
    text: str
    bounds: tuple[Bound, ...]
    whole: HeldRecording
    calibration: HeldRecording
    verification: HeldRecording
    sites: Sequence[Site]
    profile: Profile
    ranges: Mapping[str, Range]
    trial: Trial
    worth: Worth
    scales: Sequence[float]

    @classmethod
    def of(cls, model: Model, stream: Stream, budget: str | None, settings: FitSettings) -> BudgetProblem:
        """Raises BudgetError, PlanError, StreamError, HardwareError and ModelError as
        :func:`~reuse_compiler.budget_fit.fit_to_budget` does."""
        settings.check()
        text = None if budget == DEFAULT_BUDGET else budget
        bounds = () if text is None else parse_budget(text, model.outputs)
        whole = hold(model, stream, settings.state)
        if len(whole) < MIN_FRAMES:
            raise StreamError(
                f"{stream.name}: {len(whole)} frames are too few to calibrate and to verify: give {MIN_FRAMES} or more"
            )
        if text is None:
            text = default_budget(model.outputs, whole.references, whole.name)
            bounds = parse_budget(text, model.outputs)
        check_budget(bounds, whole.references, whole.name)
        boundary = len(whole) * 2 // 3
        calibration = whole.cut(0, boundary)
        verification = from_its_start(whole.cut(boundary, len(whole)), model, settings.state)
        sites, trial = find_sites(model), Trial(model)
        seen = profile(model, whole, state=settings.state, threads=1)
        return cls(
            model=model,
            settings=settings,
            text=text,
            bounds=bounds,
            whole=whole,
            calibration=calibration,
            verification=verification,
            sites=sites,
            profile=seen,
            ranges=_ranges(seen, sites),
            trial=trial,
            worth=_worth(model, settings, sites, trial.slots, calibration),
            scales=scales(bounds, whole.references),
        )

    @property
    def jobs(self) -> int:
        """Candidates evaluated at once."""
        return self.settings.jobs or os.cpu_count() or 1

    @property
    def macs(self) -> Worth:
        """What slots are worth in multiply-accumulates."""
        return macs_worth(self.model, self.sites, self.trial.slots)

    @property
    def sample(self) -> Sequence[Frame]:
        """Frames of the calibration that costs are seen on, from its middle; from its start where outputs are fed back,
        since the middle would begin with another state than it had."""
        first = 0 if self.settings.state else max(len(self.calibration) - _SAMPLE, 0) // 2
        return self.calibration.cut(first, first + _SAMPLE).held

    def within(self, text: str) -> BudgetProblem:
        """The same with another budget that bounds the same outputs. Raises BudgetError where it is none."""
        return replace(self, text=text, bounds=parse_budget(text, self.model.outputs))

    def calibrating(self) -> Evaluator:
        """Judges candidates with caution on the calibration."""
        return self._evaluator(self.calibration, self.worth, cautious=True)

    def judging(self) -> tuple[Evaluator, Evaluator, Evaluator]:
        """Judge candidates on the calibration and on the verification as they are, and with caution on the whole recording."""
        return (
            self._evaluator(self.calibration, self.worth, cautious=False),
            self._evaluator(self.verification, self.worth, cautious=False),
            self._evaluator(self.whole, self.worth, cautious=True),
        )

    def counting(self, part: HeldRecording) -> Evaluator:
        """Sees on `part` what share of multiply-accumulates is reused by candidates as they are."""
        return replace(self._evaluator(part, self.macs, cautious=False), exact=True)

    def losses(self, part: HeldRecording, quantizers: Mapping[str, LinearQuantizer]) -> list[float]:
        """The loss of each bound on `part`, in the metric's unit; relative ones by the scale of the whole recording."""
        risks = [
            Risk([unit], [scale], Judge([unit]), len(self.whole))
            for unit, scale in zip((replace(bound, limit=1.0) for bound in self.bounds), self.scales, strict=True)
        ]
        trial = self.trial.run(quantizers, part.held, self.settings.state)
        for exact, frame in zip(part.references, trial, strict=True):
            for risk in risks:
                risk.add(exact, frame.outputs)
        return [risk.strict for risk in risks]

    def _evaluator(self, part: HeldRecording, worth: Worth, *, cautious: bool) -> Evaluator:
        path = self.settings.journal
        of = ""
        if path is not None:
            state = sorted(self.settings.state.items())
            frames = f"{self.whole.fingerprint} {part.fingerprint}"
            of = f"{self.model.sha256} {self.text} {state} {frames} {cautious} {_digest(worth)}"
        return Evaluator(
            self.trial,
            part.held,
            part.references,
            self.ranges,
            self.settings.state,
            worth,
            self._loss(cautious=cautious),
            self.jobs,
            Journal(path, of),
        )

    def _loss(self, *, cautious: bool) -> Loss:
        def share(references: Sequence[Arrays], outputs: Sequence[Arrays]) -> tuple[float, float]:
            risk = Risk(self.bounds, self.scales, Judge(self.bounds), len(self.whole))
            for exact, values in zip(references, outputs, strict=True):
                risk.add(exact, values)
            return (risk.cautious if cautious else risk.strict), risk.error

        return share


def _worth(
    model: Model, settings: FitSettings, sites: Sequence[Site], slots: Sequence[Slot], calibration: HeldRecording
) -> Worth:
    objective = settings.objective
    if objective == "macs":
        return macs_worth(model, sites, slots)
    if objective in ("cycles", "energy"):
        return accelerator_worth(model, sites, slots, objective, settings.machine)
    # What was measured is taken down, too: measured anew, it would be another search.
    journal = Journal(settings.journal, f"{model.sha256} {calibration.fingerprint}" if settings.journal else "")
    keys = {slot.name: journal.key(f"cpu_time of {slot.name}", {}) for slot in slots}
    known = {name: found[0] for name, key in keys.items() if (found := journal.known(key)) is not None}
    if len(known) == len(keys):
        return known
    frames = calibration.held[:_TIMED_FRAMES]
    measured = cpu_worth(model, sites, slots, frames, settings.state)
    for name, share in measured.items():
        journal.write(keys[name], (share, 0.0, 0.0))
    return measured


def _digest(worth: Worth) -> str:
    return hashlib.sha256(repr(sorted(worth.items())).encode()).hexdigest()[:16]


def _ranges(seen: Profile, sites: Sequence[Site]) -> dict[str, Range]:
    """The ranges of the tensors that may be quantized: not zero throughout, nor of a recurrent layer with one that is."""
    ranges = {name: tensor.value_range for name, tensor in seen.tensors.items() if any(tensor.value_range)}
    while True:
        broken = {site.of for site in sites if site.recurrent and site.input not in ranges}
        dropped = {site.input for site in sites if site.of in broken} & ranges.keys()
        if not dropped:
            return ranges
        ranges = {name: values for name, values in ranges.items() if name not in dropped}
