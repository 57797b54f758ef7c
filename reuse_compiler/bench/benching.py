"""Bench a compiled model: what the clock says, beside similarity, accuracy and what is simpler."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from reuse_compiler.bench.alternatives import Survey
from reuse_compiler.bench.changes import Changes
from reuse_compiler.bench.layer_rows import layer_rows
from reuse_compiler.bench.report import BenchReport, Quartiles, Spread, TimeSpread
from reuse_compiler.bench.stock import StockModel, StockStream
from reuse_compiler.bench.turns import LEAD, take_turns
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.errors import ReuseError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.layer_run import layer_runs
from reuse_compiler.run_accuracy import RunAccuracy
from reuse_compiler.session import Session
from reuse_compiler.streams import Frame, Stream

__all__ = ["LEAST_FRAMES", "bench"]

LEAST_FRAMES = 2 * LEAD
Progress = Callable[[str, int, int | None], None]


def bench(
    directory: CompiledDirectory,
    stream: Stream,
    *,
    model: Model | None = None,
    threads: int | None = None,
    adaptive: bool = True,
    progress: Progress | None = None,
) -> BenchReport:
    """Time the reuse model of `directory` in a session, and the original in stock onnxruntime, on the frames of `stream`.

    Parameters
    ----------
    model : Model, optional
        The original, where it is loaded already.
    threads : int, optional
        Inside an operator, the same in both; all cores by default.
    adaptive : bool
        Whether the session may compute everything where reuse does not pay, as it would in use.

    Raises
    ------
    StreamError
        If the stream has fewer than eight frames.
    ReuseError
        If `threads` is below 1.
    """
    threads = len(os.sched_getaffinity(0)) if threads is None else threads
    if threads < 1:
        raise ReuseError(f"threads is {threads}: give 1 or more")
    _require_frames(stream, stream.frames)
    original = directory.original() if model is None else model
    # The threads that numpy's BLAS keeps spinning after a product of the judges would hold the cores of the next turn.
    with threadpool_limits(1, user_api="blas"):
        return _bench(directory, original, stream, threads, adaptive, progress)


def _bench(
    directory: CompiledDirectory,
    original: Model,
    stream: Stream,
    threads: int,
    adaptive: bool,
    progress: Progress | None,
) -> BenchReport:
    plan = directory.plan
    stock = StockModel(original, plan.state, threads)
    session = Session(directory.reuse_model, threads=threads, state=plan.state, adaptive=adaptive)
    accuracy, survey = RunAccuracy(original, plan), Survey(stock, original, plan)
    changes = Changes(session)
    dense_ms: list[float] = []
    reuse_ms: list[float] = []
    for block in take_turns(stream, StockStream(stock).run, _run_in(session), changes.add):
        dense_ms += block.dense.milliseconds
        reuse_ms += block.reuse.milliseconds
        for frame, exact, values in zip(block.frames, block.dense.outputs, block.reuse.outputs, strict=True):
            accuracy.add(exact, values, frame.labels)
            survey.take(frame, exact)
        if progress is not None:
            progress("time", changes.frames, stream.frames)
    _require_frames(stream, changes.frames)
    lost, dense = accuracy.report(), float(np.median(dense_ms))
    again = _Passes(2 * changes.frames, progress)
    return BenchReport(
        threads=threads,
        frames=changes.frames,
        dense_ms=dense,
        reuse_ms=float(np.median(reuse_ms)),
        speedup=dense / float(np.median(reuse_ms)),
        spread=Spread(
            dense_ms=_time_spread(dense_ms),
            reuse_ms=_time_spread(reuse_ms),
            speedup=_quartiles(np.divide(dense_ms, reuse_ms)),
        ),
        similarity=changes.similarity,
        executor=session.executor,
        dense_frames=changes.frames - changes.reused,
        layers=layer_rows(original, plan, stock, stream, changes, layer_runs(session)),
        alternatives=survey.report(lost, dense, stream, again.seen),
        accuracy=lost,
    )


def _require_frames(stream: Stream, frames: int | None) -> None:
    if frames is not None and frames < LEAST_FRAMES:
        raise StreamError(
            f"{stream.name}: {frames} frames are too few for a median: give {LEAST_FRAMES} or more, better some hundred"
        )


def _run_in(session: Session) -> Callable[[Frame], dict[str, NDArray[Any]]]:
    def run(frame: Frame) -> dict[str, NDArray[Any]]:
        if frame.start:
            session.reset()
        return session.run(frame.inputs)

    return run


class _Passes:
    """Progress of what reads the stream again."""

    def __init__(self, frames: int, progress: Progress | None) -> None:
        self._frames, self._progress = frames, progress
        self._done = 0

    def seen(self) -> None:
        """One frame more."""
        self._done += 1
        if self._progress is not None:
            self._progress("try skipping", self._done, self._frames)


def _quartiles(values: Sequence[float] | NDArray[np.float64]) -> Quartiles:
    lower, upper = np.quantile(values, (0.25, 0.75))
    return Quartiles(lower=float(lower), upper=float(upper))


def _time_spread(milliseconds: Sequence[float]) -> TimeSpread:
    quartiles = _quartiles(milliseconds)
    return TimeSpread(lower=quartiles.lower, upper=quartiles.upper, mean=float(np.mean(milliseconds)))
