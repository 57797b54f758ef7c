"""Evaluate candidates closed loop on frames that are held in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from reuse_compiler.search.candidate import Candidate, Range
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial

__all__ = ["Evaluator", "Outcome"]

Arrays = Mapping[str, NDArray[Any]]
Loss = Callable[[Sequence[Arrays], Sequence[Arrays]], float]
"""Takes the outputs of the fp32 model and of the candidate, frame by frame; gives the loss as a share of what is
allowed: 1 is the bound."""


@dataclass(frozen=True)
class Outcome:
    """What a candidate came to.

    Parameters
    ----------
    candidate : Candidate
    reuse : float
        Share of the model's multiply-accumulates avoided; elements count with the mean of their fan-out.
    loss : float
        As a share of what is allowed.
    """

    candidate: Candidate
    reuse: float
    loss: float


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
    macs : int
        Multiply-accumulates of a frame, over the whole model.
    loss : callable
    jobs : int
        Candidates that are evaluated at once.
    """

    trial: Trial
    frames: Sequence[Frame]
    references: Sequence[Arrays]
    ranges: Mapping[str, Range]
    state: Mapping[str, str]
    macs: int
    loss: Loss
    jobs: int

    def evaluate(self, candidate: Candidate) -> Outcome:
        """One candidate over all frames."""
        changed = np.zeros(len(self.trial.slots), np.int64)
        outputs: list[Arrays] = []
        for frame in self.trial.run(candidate.quantizers(self.ranges), self.frames, self.state):
            changed += frame.changed
            outputs.append(frame.outputs)
        elements = np.array([slot.elements for slot in self.trial.slots], np.float64) * max(len(self.frames), 1)
        macs = np.array([slot.macs for slot in self.trial.slots], np.float64)
        reuse = float(((1 - changed / elements) * macs).sum()) / max(self.macs, 1)
        return Outcome(candidate, reuse, self.loss(self.references, outputs))

    def evaluate_all(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """All candidates, several at once: onnxruntime leaves the interpreter free."""
        run = Parallel(n_jobs=self.jobs, prefer="threads")
        return list(run(delayed(self.evaluate)(candidate) for candidate in candidates))

    def part(self, frames: int) -> Evaluator:
        """On the first frames alone."""
        return Evaluator(
            self.trial,
            self.frames[:frames],
            self.references[:frames],
            self.ranges,
            self.state,
            self.macs,
            self.loss,
            self.jobs,
        )
