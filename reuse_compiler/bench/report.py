"""What ``reusec bench --json`` prints."""

from __future__ import annotations

from typing import Literal

from reuse_compiler.document import Strict
from reuse_compiler.report import Accuracy

__all__ = ["Alternatives", "BenchReport", "EveryNth", "LayerBench", "Quartiles", "SkipStill", "Spread", "TimeSpread"]


class Quartiles(Strict):
    """The first and the third quartile."""

    lower: float
    upper: float


class TimeSpread(Quartiles):
    """Milliseconds a frame: quartiles, and the mean, which counts for whoever works through a recording."""

    mean: float


class Spread(Strict):
    """How far the timed frames are apart; `speedup` is of each frame on its own."""

    dense_ms: TimeSpread
    reuse_ms: TimeSpread
    speedup: Quartiles


class LayerBench(Strict):
    """One layer with weights; the last row, `other nodes` with no operator, is all the rest.

    Parameters
    ----------
    name, op : str
    dense_ms : float or None
        Milliseconds a frame in stock onnxruntime, by its own profiling: what it fuses into the layer is in it. None where
        the layer could not be told from others.
    reuse_ms, path, reason : float, str, str or None
        What the session says of it; None where it does not.
    similarity : float or None
        Share of its inputs whose index stayed; None of a dense layer.
    """

    name: str
    op: str
    dense_ms: float | None
    reuse_ms: float | None
    similarity: float | None
    path: str | None
    reason: str | None


class Alternative(Strict):
    """What a user could do without reuse: run stock onnxruntime on some frames, and repeat its outputs in the others.

    Parameters
    ----------
    skipped : float
        Share of the frames that repeat outputs.
    speedup : float
        A frame on average, over stock onnxruntime on every frame; the frames that run are as slow as ever.
    metric, loss : str, float
        Of the bound that uses the most of its limit, as in `accuracy`.
    kept : bool
        Whether no loss is above what the budget allows, or above the plan's own where that is larger or there is no budget.
    """

    skipped: float
    speedup: float
    metric: str
    loss: float
    kept: bool


class EveryNth(Alternative):
    """Every `n`-th frame runs: the largest `n` that is `kept`, or 2."""

    n: int


class SkipStill(Alternative):
    """A frame is skipped where no input moved by more than `threshold` since the last frame that ran: the threshold with the
    largest share skipped that is `kept`; None where none is, and nothing skipped.

    `compare_ms` is what the comparison takes, in numpy without allocation, and counts in the speedup.
    """

    measure: Literal["max", "mean"]
    threshold: float | None
    compare_ms: float


class Alternatives(Strict):
    """None where the model has no output that a loss could be taken of."""

    every_nth: EveryNth | None = None
    skip_max: SkipStill | None = None
    skip_mean: SkipStill | None = None


class BenchReport(Strict):
    """Stock onnxruntime beside the reuse session on the same frames.

    Parameters
    ----------
    threads : int
        Of onnxruntime inside an operator, in both.
    frames : int
        Of the stream; four of sixteen are not timed (:mod:`~reuse_compiler.bench.turns`).
    dense_ms, reuse_ms : float
        Medians of the timed frames, in milliseconds.
    speedup : float
        `dense_ms` over `reuse_ms`.
    similarity : float
        Share of the inputs of all reuse sites whose index stayed, in frames with reuse.
    executor : str
        native or portable: with kernels or without.
    dense_frames : int
        Frames that the session ran without reuse.
    accuracy : Accuracy
        Of the reuse session against stock onnxruntime.
    """

    threads: int
    frames: int
    dense_ms: float
    reuse_ms: float
    speedup: float
    spread: Spread
    similarity: float
    executor: str
    dense_frames: int
    layers: list[LayerBench]
    alternatives: Alternatives
    accuracy: Accuracy
