"""Evaluate candidates closed loop on frames that are held in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from reuse_compiler.search.candidate import Candidate, Range
from reuse_compiler.search.journal import Journal
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial

__all__ = ["Evaluator", "Outcome"]

Given = TypeVar("Given")
Made = TypeVar("Made")

Arrays = Mapping[str, NDArray[Any]]
Loss = Callable[[Sequence[Arrays], Sequence[Arrays]], tuple[float, float]]
"""Takes the outputs of the fp32 model and of the candidate, frame by frame; gives the loss as a share of what is
allowed, 1 being the bound, and the relative RMSE of what is bounded: it moves with every width, where a count of wrong
decisions stands still and jumps."""


_STRETCH, _STRETCHES = 8, 4
"""The fewest frames of a stretch of an excerpt, and the most stretches."""
_PER_FRAME, _PER_ELEMENT, _PER_MAC = 5e-5, 7e-10, 2e-11
"""Seconds, as measured of trials with native kernels on a server CPU."""
_EVALUATION = 0.2
"""Seconds of one core that the phases of an evaluation may take, by that estimate; one phase takes what it takes."""
_PHASE = 1 / 24


@dataclass(frozen=True)
class Outcome:
    """What a candidate came to.

    Parameters
    ----------
    candidate : Candidate
    reuse : float
        Share of the model's cost avoided; elements count with the mean of their fan-out.
    loss : float
        As a share of what is allowed.
    error : float
        Relative RMSE of what is bounded.
    """

    candidate: Candidate
    reuse: float
    loss: float
    error: float


@dataclass(frozen=True)
class Evaluator:
    """A part of a recording, and what the fp32 model gives on it.

    Parameters
    ----------
    trial : Trial
    frames : sequence of Frame
    references : sequence of mapping
        The outputs of the fp32 model, frame by frame.
    ranges : mapping of str to Range
        By tensor.
    state : mapping of str to str
        Inputs fed back from outputs.
    worth : mapping of str to float
        By slot, the share of the model's cost that is avoided where none of its elements changes.
    loss : callable
    jobs : int
        Candidates that are evaluated at once.
    journal : Journal
        Outcomes that are known already.
    cut : str
        Which frames of those that the journal is of.
    exact : bool
        Evaluate candidates as they are, not as the mean of phases.
    """

    trial: Trial
    frames: Sequence[Frame]
    references: Sequence[Arrays]
    ranges: Mapping[str, Range]
    state: Mapping[str, str]
    worth: Mapping[str, float]
    loss: Loss
    jobs: int
    journal: Journal
    cut: str = "all"
    exact: bool = False

    @property
    def phases(self) -> Sequence[float]:
        """Octaves by which widths are shifted for the runs that an evaluation takes the mean of.

        Which way an element rounds is chance, and a network of few outputs shows it: at one reuse the error of another
        phase may be half or double. Without the mean a search finds the luckiest plan, whose luck does not last.
        """
        if self.exact:
            return (0.0,)
        runs = int(_EVALUATION / (max(len(self.frames), 1) * self.seconds_per_frame))
        return tuple(_PHASE * number for number in (0, 1, -1, 2, -2, 3, -3, 4, -4)[: max(runs, 1)])

    def evaluate(self, candidate: Candidate) -> Outcome:
        """One candidate over all frames: the mean reuse, and root mean squares of loss and error, of its phases."""
        known = np.array([self._run(candidate.scaled(phase)) for phase in self.phases])
        loss, error = np.sqrt(np.mean(known[:, 1:] ** 2, axis=0))
        return Outcome(candidate, float(known[:, 0].mean()), float(loss), float(error))

    def _run(self, candidate: Candidate) -> tuple[float, float, float]:
        """Reuse, loss and error of one run."""
        quantizers = candidate.quantizers(self.ranges)
        key = self.journal.key(self.cut, quantizers)
        known = self.journal.known(key)
        if known is not None:
            return known
        changed = np.zeros(len(self.trial.slots), np.int64)
        outputs: list[Arrays] = []
        for frame in self.trial.run(quantizers, self.frames, self.state):
            changed += frame.changed
            outputs.append(frame.outputs)
        elements = np.array([slot.elements for slot in self.trial.slots], np.float64) * max(len(self.frames), 1)
        worth = np.array([self.worth[slot.name] for slot in self.trial.slots], np.float64)
        reuse = float(((1 - changed / elements) * worth).sum())
        known = (reuse, *self.loss(self.references, outputs))
        self.journal.write(key, known)
        return known

    def evaluate_all(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """All candidates, several at once: onnxruntime leaves the interpreter free."""
        return self.at_once(self.evaluate, candidates)

    def at_once(self, make: Callable[[Given], Made], given: Sequence[Given]) -> list[Made]:
        """Call `make` with each, several at once, in order."""
        return list(Parallel(n_jobs=self.jobs, prefer="threads")(delayed(make)(one) for one in given))

    def part(self, frames: int) -> Evaluator:
        """On the first frames alone."""
        return replace(
            self, frames=self.frames[:frames], references=self.references[:frames], cut=f"{self.cut}, first {frames}"
        )

    def excerpt(self, frames: int) -> Evaluator:
        """On so many frames at most, in stretches from all over; the first alone where outputs are fed back, since a
        stretch would begin with another state than the fp32 model had."""
        if frames >= len(self.frames):
            return self
        if self.state:
            return self.part(frames)
        stretches = max(min(frames // _STRETCH, _STRETCHES), 1)
        length = frames // stretches
        begins = np.linspace(0, len(self.frames) - length, stretches).astype(int)
        places = sorted({begin + number for begin in begins for number in range(length)})
        starts = set(begins.tolist())
        return replace(
            self,
            frames=[Frame(self.frames[at].inputs, self.frames[at].start or at in starts) for at in places],
            references=[self.references[at] for at in places],
            cut=f"{self.cut}, excerpt of {frames}",
        )

    @property
    def worth_of_tensors(self) -> dict[str, float]:
        """By tensor, the worth of its slots."""
        found: dict[str, float] = {}
        for slot in self.trial.slots:
            found[slot.tensor] = found.get(slot.tensor, 0.0) + self.worth[slot.name]
        return found

    @property
    def seconds_per_frame(self) -> float:
        """An estimate of what a frame takes one core, from the numbers of elements and multiply-accumulates alone, so that
        a search takes the same way on every machine."""
        elements = sum(slot.elements for slot in self.trial.slots)
        macs = sum(slot.macs for slot in self.trial.slots)
        return _PER_FRAME + _PER_ELEMENT * elements + _PER_MAC * macs
