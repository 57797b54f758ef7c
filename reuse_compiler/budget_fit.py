"""Fit a plan to a budget: the most reuse that keeps a loss, chosen on one part of a recording and verified on another."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.accuracy import OutputError
from reuse_compiler.budget import Bound, parse_budget
from reuse_compiler.errors import BudgetError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.guard_observation import observe_guard
from reuse_compiler.macs import model_macs
from reuse_compiler.metrics import Judge
from reuse_compiler.model_profile import Profile
from reuse_compiler.next_steps import next_steps
from reuse_compiler.plan import BudgetRecord, ModelRef, NextStep, PartRecord, Plan, QuantizerSpec, SitePlan
from reuse_compiler.profiling import profile
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.reference import Reference
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.search.candidate import Range
from reuse_compiler.search.channels import channel_shapes
from reuse_compiler.search.evaluator import Evaluator, Loss
from reuse_compiler.search.journal import Journal
from reuse_compiler.search.risk import Risk
from reuse_compiler.search.search import Found, Progress, search, verified
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.streams import Frame, Stream
from reuse_compiler.trial import Trial

__all__ = ["MIN_FRAMES", "fit_to_budget"]

MIN_FRAMES = 12
"""Fewer than these cannot be split into parts that say anything."""
_HELD_BYTES = 1 << 30
"""How much of a recording is held, inputs and outputs of the fp32 model together."""

_SHAPE_FRAMES = 40
"""Frames from which channels' changes are known."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class _Part:
    """Frames that follow each other, and what the fp32 model gives on them."""

    name: str
    held: Sequence[Frame]
    references: Sequence[Arrays]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.held)

    def cut(self, first: int, stop: int) -> _Part:
        """Frames `first` to `stop`, not included; the first of them begins a sequence."""
        frames = [Frame(frame.inputs, frame.start or not number) for number, frame in enumerate(self.held[first:stop])]
        return _Part(self.name, frames, self.references[first:stop])

    def fingerprint(self) -> str:
        """A hash of the frames."""
        digest = hashlib.sha256()
        for frame in self.held:
            digest.update(b"start" if frame.start else b"-")
            for name in sorted(frame.inputs):
                digest.update(name.encode() + np.ascontiguousarray(frame.inputs[name]).tobytes())
        return digest.hexdigest()


def fit_to_budget(
    model: Model,
    stream: Stream,
    budget: str,
    *,
    state: Mapping[str, str] | None = None,
    rounds: int = 3,
    jobs: int | None = None,
    guard: bool = True,
    refresh: int | None = None,
    seconds: float | None = None,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan with the most reuse that keeps `budget`.

    The first two thirds of the recording calibrate it, the last third verifies it from a cold start: the plan keeps the
    budget on both, or it is the dense plan and says so. On frames beyond these nothing is promised. At most 1 GiB of
    inputs and outputs is looked at.

    Parameters
    ----------
    model : Model
    stream : Stream
    budget : str
        As :mod:`~reuse_compiler.budget` describes it.
    state : mapping of str to str, optional
        Inputs fed back from outputs.
    rounds : int
        Of refinement; each takes about twice as many runs of the calibration part as the model has tensors to reuse.
    jobs : int, optional
        Candidates evaluated at once; by default one a core.
    guard : bool
        Give the plan a guard that nothing in the recording sets off: where another stream leaves what was seen there, a
        session quantizes the next frame anew; see :mod:`reuse_compiler.guard`.
    refresh : int, optional
        Every linear output is computed anew once in so many frames; see :mod:`reuse_compiler.refresh`.
    seconds : float, optional
        Time after which no round of refinement begins. Without it the result is the same on every run.
    journal : Path, optional
        Where what was tried is taken down, so that a fit that was stopped goes on from there; see
        :class:`~reuse_compiler.search.journal.Journal`.
    progress : callable, optional
        Called with ("search", steps done, steps in all).

    Raises
    ------
    BudgetError
        Where the budget names what is not there, or bounds the relative error of an output that is constant.
    PlanError
        Where `refresh` is below 1.
    StreamError
        Where the recording is too short to split, or an output of the fp32 model is not finite.
    """
    started = time.monotonic()
    fed_back = dict(state or {})
    rolling = None if refresh is None else RefreshPlan(every=refresh)
    if rolling is not None:
        rolling.check()
    bounds = parse_budget(budget, model.outputs)
    whole = _hold(model, stream, fed_back)
    if len(whole.held) < MIN_FRAMES:
        raise StreamError(
            f"{stream.name}: {len(whole.held)} frames are too few to calibrate and to verify: give {MIN_FRAMES} or more"
        )
    _check_scale(bounds, whole)
    boundary = len(whole.held) * 2 // 3
    calibration, verification = whole.cut(0, boundary), whole.cut(boundary, len(whole.held))
    sites = find_sites(model)
    seen = profile(model, calibration, state=fed_back, threads=1)
    ranges = _ranges(seen, sites)
    trial = Trial(model)

    scales = _scales(bounds, whole)

    def loss(cautious: bool) -> Loss:
        def share(references: Sequence[Arrays], outputs: Sequence[Arrays]) -> tuple[float, float]:
            risk = Risk(bounds, scales, Judge(bounds), len(whole.held))
            for exact, values in zip(references, outputs, strict=True):
                risk.add(exact, values)
            return (risk.cautious if cautious else risk.strict), risk.error

        return share

    macs = model_macs(model, sites)
    worth = {slot.name: slot.macs / max(macs, 1) for slot in trial.slots}
    workers = jobs or os.cpu_count() or 1

    def evaluator(part: _Part, cautious: bool) -> Evaluator:
        known = Journal(journal, f"{model.sha256} {budget} {part.fingerprint()}" if journal else "")
        return Evaluator(trial, part.held, part.references, ranges, fed_back, worth, loss(cautious), workers, known)

    found = None
    calibrating = evaluator(calibration, cautious=True)
    if ranges:
        until = None if seconds is None else started + seconds
        shapes = channel_shapes(model, trial, calibration.held[:_SHAPE_FRAMES], ranges, fed_back)
        best = search(calibrating, seen, shapes, rounds=rounds, until=until, progress=progress)
        found = None if best is None else verified(calibrating, evaluator(verification, cautious=False), best)
    following = {} if found is None else next_steps(calibrating, found.calibration)
    quantizers = {} if found is None else found.calibration.candidate.quantizers(ranges)
    reason = _reason(budget, calibration, verification, found)
    # As one stretch, and from where the verification starts: whoever runs it again meets the one or the other.
    watched = observe_guard(trial, quantizers, [*whole, *verification], fed_back) if guard else None
    return Plan(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        state=fed_back,
        refresh=rolling if quantizers else None,
        guard=watched,
        budget=_record(budget, calibration, verification, found),
        sites=[_site_plan(site, quantizers.get(site.input), reason, following.get(site.input)) for site in sites],
    )


def _hold(model: Model, stream: Stream, state: Mapping[str, str]) -> _Part:
    """The recording, as far as it fits."""
    reference = Reference(model, state, threads=1)
    frames: list[Frame] = []
    references: list[Arrays] = []
    held = 0
    for frame in stream:
        outputs = reference.run(frame)
        held += sum(array.nbytes for array in (*frame.inputs.values(), *outputs.values()))
        if frames and held > _HELD_BYTES:
            break
        frames.append(Frame({name: array.copy() for name, array in frame.inputs.items()}, frame.start))
        references.append(outputs)
    return _Part(stream.name, frames, references)


def _ranges(seen: Profile, sites: Sequence[Site]) -> dict[str, Range]:
    """The ranges of the tensors that may be quantized: not zero throughout, nor of a recurrent layer with one that is."""
    ranges = {name: tensor.value_range for name, tensor in seen.tensors.items() if any(tensor.value_range)}
    while True:
        broken = {site.of for site in sites if site.recurrent and site.input not in ranges}
        dropped = {site.input for site in sites if site.of in broken} & ranges.keys()
        if not dropped:
            return ranges
        ranges = {name: values for name, values in ranges.items() if name not in dropped}


def _check_scale(bounds: Sequence[Bound], whole: _Part) -> None:
    judge = Judge(bounds)
    for outputs in whole.references:
        judge.add(outputs, outputs)
    constant = [bound for bound in judge.constant if bound.metric == "relrmse"]
    if constant:
        raise BudgetError(
            f"budget {constant[0].text!r}: output {constant[0].output} of the fp32 model is one value throughout"
            f" {whole.name}: a relative error has no scale: judge another output"
        )


def _scales(bounds: Sequence[Bound], whole: _Part) -> list[float]:
    """The variance of what each bound bounds, of the fp32 model over the whole recording."""
    scales = []
    for bound in bounds:
        error = OutputError()
        for outputs in whole.references:
            exact = np.asarray(outputs[bound.output])[bound.index]
            error.add(exact, exact)
        scales.append(error.variance)
    return scales


def _reason(budget: str, calibration: _Part, verification: _Part, found: Found | None) -> str:
    parts = f"{len(calibration.held)} frames, verified on {len(verification.held)} others"
    if found is None:
        return f"dense: no plan keeps {budget} on {parts}"
    return (
        f"{budget} on {parts}: {found.calibration.loss:.0%} of the budget used and {found.calibration.reuse:.1%} of the"
        f" model reused, {found.verification.loss:.0%} and {found.verification.reuse:.1%} in the verification"
    )


def _record(budget: str, calibration: _Part, verification: _Part, found: Found | None) -> BudgetRecord:
    parts = [PartRecord(frames=len(part.held), reuse=0.0, loss=0.0) for part in (calibration, verification)]
    why: str | None = "no plan that reuses keeps the budget on both parts of the recording"
    if found is not None:
        outcomes, why = (found.calibration, found.verification), None
        parts = [
            PartRecord(frames=part.frames, reuse=outcome.reuse, loss=outcome.loss)
            for part, outcome in zip(parts, outcomes, strict=True)
        ]
    return BudgetRecord(text=budget, calibration=parts[0], verification=parts[1], dense_because=why)


def _site_plan(site: Site, quantizer: LinearQuantizer | None, reason: str, following: NextStep | None) -> SitePlan:
    return SitePlan(
        node=site.node,
        input=site.input,
        op=site.op,
        mode="dense" if quantizer is None else "reuse",
        quantizer=None if quantizer is None else QuantizerSpec.of(quantizer),
        reason=reason,
        next=following,
    )
