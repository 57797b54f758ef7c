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

    def evaluate(self, candidate: Candidate) -> Outcome:
        """One candidate over all frames."""
        quantizers = candidate.quantizers(self.ranges)
        key = self.journal.key(len(self.frames), quantizers)
        known = self.journal.known(key)
        if known is not None:
            return Outcome(candidate, *known)
        changed = np.zeros(len(self.trial.slots), np.int64)
        outputs: list[Arrays] = []
        for frame in self.trial.run(quantizers, self.frames, self.state):
            changed += frame.changed
            outputs.append(frame.outputs)
        elements = np.array([slot.elements for slot in self.trial.slots], np.float64) * max(len(self.frames), 1)
        worth = np.array([self.worth[slot.name] for slot in self.trial.slots], np.float64)
        reuse = float(((1 - changed / elements) * worth).sum())
        loss, error = self.loss(self.references, outputs)
        self.journal.write(key, (reuse, loss, error))
        return Outcome(candidate, reuse, loss, error)

    def evaluate_all(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """All candidates, several at once: onnxruntime leaves the interpreter free."""
        return self.at_once(self.evaluate, candidates)

    def at_once(self, make: Callable[[Given], Made], given: Sequence[Given]) -> list[Made]:
        """Call `make` with each, several at once, in order."""
        return list(Parallel(n_jobs=self.jobs, prefer="threads")(delayed(make)(one) for one in given))

    def part(self, frames: int) -> Evaluator:
        """On the first frames alone."""
        return replace(self, frames=self.frames[:frames], references=self.references[:frames])
