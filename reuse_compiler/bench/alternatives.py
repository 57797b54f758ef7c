"""What is simpler than reuse, at the same accuracy: run fewer frames, or none where the input barely moved.

What each may lose is what the plan's budget allows, or what the plan itself loses on these frames where that is more or there
is no budget: with a budget its user accepts the whole of it, so a simpler way may use the whole of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.bench.report import Alternatives, EveryNth, SkipStill
from reuse_compiler.bench.skipping import EveryNthFrame, MovedFrames, Skipper
from reuse_compiler.bench.stillness import MEASURES, CompareClock, Measure, movement
from reuse_compiler.bench.stock import StockModel, StockStream
from reuse_compiler.frontend import Model
from reuse_compiler.plan import Plan
from reuse_compiler.report import Accuracy
from reuse_compiler.run_accuracy import RunAccuracy
from reuse_compiler.streams import Frame

__all__ = ["Survey"]

_EVERY = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
_THRESHOLDS = 8
_BEYOND = 4.0
"""How far thresholds go beyond the largest step from frame to frame: what is skipped adds up."""
Arrays = Mapping[str, NDArray[Any]]
Still = Skipper[MovedFrames]
AnyRule = TypeVar("AnyRule", EveryNthFrame, MovedFrames)


class Survey:
    """Tries the alternatives. :meth:`take` sees each frame once, as it is run; :meth:`report` reads the stream again, twice.

    Parameters
    ----------
    stock : StockModel
    model : Model
        The original: its outputs are judged.
    plan : Plan
        Has the budget.
    """

    def __init__(self, stock: StockModel, model: Model, plan: Plan) -> None:
        self._stock, self._model, self._plan = stock, model, plan
        self._every = [(n, self._skipper(EveryNthFrame(n))) for n in _EVERY]
        self._clock = CompareClock()
        self._frames = 0
        self._past: Frame | None = None
        self._steps: dict[Measure, list[float]] = {measure: [] for measure in MEASURES}

    def _skipper(self, rule: AnyRule) -> Skipper[AnyRule]:
        own = StockStream(self._stock).run if self._stock.state else None
        return Skipper(rule, RunAccuracy(self._model, self._plan), own)

    def take(self, frame: Frame, exact: Arrays) -> None:
        """A frame, and what stock onnxruntime gives of it."""
        self._frames += 1
        for _, skipper in self._every:
            skipper.take(frame, exact, _distance)
        if self._past is not None and not frame.start:
            for measure, step in movement(frame.inputs, self._past.inputs).items():
                self._steps[measure].append(step)
            self._clock.take(frame.inputs, self._past.inputs)
        self._past = frame

    def report(
        self, accuracy: Accuracy, dense_ms: float, stream: Iterable[Frame], seen: Callable[[], None]
    ) -> Alternatives:
        """The alternatives beside a plan of that `accuracy`, and a model that takes `dense_ms`.

        `stream` gives the frames that were taken again, each time it is read; `seen` is called after each.
        """
        if not accuracy.bounds and not accuracy.outputs:
            return Alternatives()
        every = self._every_nth(accuracy)
        tried = {measure: self._untried(measure) for measure in MEASURES}
        self._run(tried, stream, seen)
        nearer = {measure: self._nearer(skippers, accuracy) for measure, skippers in tried.items()}
        if any(nearer.values()):
            self._run(nearer, stream, seen)
        skips = {
            measure: self._still(measure, [*tried[measure], *nearer[measure]], accuracy, dense_ms)
            for measure in MEASURES
        }
        return Alternatives(every_nth=every, skip_max=skips["max"], skip_mean=skips["mean"])

    def _every_nth(self, accuracy: Accuracy) -> EveryNth:
        most = max(2, self._frames // 2)  # more would be judged by too few repetitions
        kept = [(n, skipper) for n, skipper in self._every if n <= most and _keeps(skipper, accuracy)]
        n, skipper = max(kept, key=lambda pair: pair[0], default=self._every[0])
        own = skipper.accuracy.report()
        return EveryNth(
            n=n,
            skipped=skipper.skipped,
            speedup=1 / (1 - skipper.skipped),
            metric=own.metric,
            loss=own.value,
            kept=_keeps(skipper, accuracy),
        )

    def _untried(self, measure: Measure) -> list[Still]:
        """Thresholds from nothing to everything."""
        steps = [step for step in self._steps[measure] if 0 < step < math.inf]
        between = _between(min(steps), max(steps) * _BEYOND) if steps else []
        return [self._skipper(MovedFrames(measure, threshold)) for threshold in (0.0, *between, math.inf)]

    def _nearer(self, tried: Sequence[Still], accuracy: Accuracy) -> list[Still]:
        """Thresholds between the best of `tried` and the next."""
        best = _best(tried, accuracy)
        if best is None or best.rule.threshold == 0 or math.isinf(best.rule.threshold):
            return []
        at = best.rule.threshold
        above = min(skipper.rule.threshold for skipper in tried if skipper.rule.threshold > at)
        thresholds = _between(at, above if math.isfinite(above) else at * _BEYOND)[1:-1]
        return [self._skipper(MovedFrames(best.rule.measure, threshold)) for threshold in thresholds]

    def _run(self, tried: Mapping[Measure, Sequence[Still]], stream: Iterable[Frame], seen: Callable[[], None]) -> None:
        everything = StockStream(self._stock)
        for frame in stream:
            exact = everything.run(frame)
            moved = _Distances()
            for skippers in tried.values():
                for skipper in skippers:
                    skipper.take(frame, exact, moved)
            seen()

    def _still(self, measure: Measure, tried: Sequence[Still], accuracy: Accuracy, dense_ms: float) -> SkipStill:
        compare_ms = self._clock.median(measure)
        best = _best(tried, accuracy)
        skipped = 0.0 if best is None else best.skipped
        own = accuracy.model_copy(update={"value": 0.0}) if best is None else best.accuracy.report()
        return SkipStill(
            measure=measure,
            threshold=None if best is None else best.rule.threshold,
            compare_ms=compare_ms,
            skipped=skipped,
            speedup=dense_ms / ((1 - skipped) * dense_ms + compare_ms),
            metric=own.metric,
            loss=own.value,
            kept=True,
        )


class _Distances:
    """Distances of one frame from others; those who last ran the same one share it."""

    def __init__(self) -> None:
        self._known: dict[int, dict[Measure, float]] = {}

    def __call__(self, frame: Frame, last: Frame) -> dict[Measure, float]:
        if id(last) not in self._known:
            self._known[id(last)] = movement(frame.inputs, last.inputs)
        return self._known[id(last)]


def _distance(frame: Frame, last: Frame) -> dict[Measure, float]:
    return movement(frame.inputs, last.inputs)


def _between(low: float, high: float) -> list[float]:
    return [float(threshold) for threshold in np.geomspace(low, high, _THRESHOLDS)]


def _best(tried: Sequence[Still], accuracy: Accuracy) -> Still | None:
    """Who skips the most and keeps the accuracy; of equals the one with the smaller threshold."""
    kept = [skipper for skipper in tried if _keeps(skipper, accuracy)]
    return max(kept, key=lambda skipper: (skipper.skipped, -skipper.rule.threshold), default=None)


def _keeps(skipper: Skipper[Any], accuracy: Accuracy) -> bool:
    """Whether no loss is above its limit, or above the plan's own."""
    own = skipper.accuracy.report()
    if not accuracy.bounds:
        return own.value <= accuracy.value
    pairs = zip(own.bounds, accuracy.bounds, strict=True)
    return all(bound.loss <= max(plan.limit, plan.loss) for bound, plan in pairs)
