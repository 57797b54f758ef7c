"""Users who skip frames: they run some, and repeat the last outputs in the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from reuse_compiler.bench.stillness import Measure
from reuse_compiler.run_accuracy import RunAccuracy
from reuse_compiler.streams import Frame

__all__ = ["EveryNthFrame", "MovedFrames", "Rule", "Skipper"]

Arrays = Mapping[str, NDArray[Any]]
Moved = Callable[[Frame, Frame], Mapping[Measure, float]]
"""How far a frame's inputs are from those of another."""


class Rule(Protocol):
    """Which frames run; the first of a sequence does in any case."""

    def runs(self, frame: Frame, last: Frame, since: int, moved: Moved) -> bool:
        """Whether `frame` runs, `since` frames after `last`, which did."""
        ...


AnyRule = TypeVar("AnyRule", bound=Rule)


class EveryNthFrame:
    """Every `n`-th frame runs."""

    def __init__(self, n: int) -> None:
        self.n = n

    def runs(self, frame: Frame, last: Frame, since: int, moved: Moved) -> bool:
        """After `n` frames."""
        return since >= self.n


class MovedFrames:
    """A frame runs where an input moved by more than a threshold."""

    def __init__(self, measure: Measure, threshold: float) -> None:
        self.measure, self.threshold = measure, threshold

    def runs(self, frame: Frame, last: Frame, since: int, moved: Moved) -> bool:
        """By how far it moved since `last`."""
        return moved(frame, last)[self.measure] > self.threshold


class Skipper(Generic[AnyRule]):
    """A user with a rule.

    Parameters
    ----------
    accuracy : RunAccuracy
        Judges what the user gets, with every frame.
    own : callable or None
        Runs a frame on the user's own, where the model has state that only frames that run move on; None where all who run
        a frame get the same.
    """

    def __init__(self, rule: AnyRule, accuracy: RunAccuracy, own: Callable[[Frame], Arrays] | None) -> None:
        self.rule = rule
        self.accuracy = accuracy
        self.frames = self.ran = 0
        self._own = own
        self._last: Frame | None = None
        self._since = 0
        self._outputs: Arrays = {}

    @property
    def skipped(self) -> float:
        """Share of the frames that were skipped."""
        return 1 - self.ran / self.frames if self.frames else 0.0

    def take(self, frame: Frame, exact: Arrays, moved: Moved) -> None:
        """A frame, with what stock onnxruntime gives that runs them all."""
        self._since += 1
        if frame.start or self._last is None or self.rule.runs(frame, self._last, self._since, moved):
            self._outputs = exact if self._own is None else self._own(frame)
            self._last, self._since = frame, 0
            self.ran += 1
        self.frames += 1
        self.accuracy.add(exact, self._outputs, frame.labels)
