"""Run a compiled model in onnxruntime over a stream: similarity, loss and wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pydantic import Field

from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.document import ModelRef, Strict, ToolRef
from reuse_compiler.frames_file import FramesFile
from reuse_compiler.frontend import Model
from reuse_compiler.guard_report import GuardReport
from reuse_compiler.reference import Reference
from reuse_compiler.report import Accuracy, StreamStatistics
from reuse_compiler.run_accuracy import RunAccuracy
from reuse_compiler.session import Executor, Session
from reuse_compiler.streams import Stream

__all__ = ["SessionReport", "SiteSimilarity", "run_session"]

Progress = Callable[[str, int, int | None], None]


class SiteSimilarity(Strict):
    """One reuse site: input elements over the stream, and the share whose index was as in the frame before."""

    node: str
    inputs: int
    similarity: float


class SessionReport(Strict):
    """What a run in onnxruntime showed. Times are of this machine; the fp32 model ran beside it. `refreshed` linear
    outputs were computed anew as the plan says, and before `drift_refreshes` frames all of them, because of rounding."""

    tool: ToolRef = Field(default_factory=ToolRef)
    model: ModelRef
    executor: str
    stream: StreamStatistics
    similarity: float
    accuracy: Accuracy
    sites: list[SiteSimilarity]
    milliseconds_per_frame: float
    refreshed: int
    drift_refreshes: int
    guard: GuardReport | None = None


def run_session(
    directory: CompiledDirectory,
    stream: Stream,
    *,
    model: Model | None = None,
    executor: Executor | None = None,
    outputs: Path | None = None,
    indices: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> SessionReport:
    """Run the reuse model of `directory` over `stream` in onnxruntime.

    Parameters
    ----------
    model : Model, optional
        The original, where it is loaded already.
    executor : {"native", "portable"}, optional
        With kernels or without; native by default, where they were built.
    outputs, indices : Path, optional
        Where to write one array per output, or per reuse site, frames first (`.npz`).
    """
    original = directory.original() if model is None else model
    plan = directory.plan
    session = Session(directory.reuse_model, threads=threads, state=plan.state, executor=executor)
    reference, accuracy = Reference(original, plan.state, threads), RunAccuracy(original, plan)
    sizes = {site: index.size for site, index in session.indices.items()}
    changed = dict.fromkeys(sizes, 0)
    frames = sequences = 0
    anew: list[int] = []
    seconds = 0.0
    with ExitStack() as files:
        output_file = files.enter_context(FramesFile(outputs)) if outputs else None
        index_file = files.enter_context(FramesFile(indices)) if indices else None
        for frame in stream:
            began = time.perf_counter()
            if frame.start:
                session.reset()
                sequences += 1
            values = session.run(frame.inputs)
            seconds += time.perf_counter() - began
            if session.anew:
                anew.append(frames)
            frames += 1
            for site, count in session.changes.items():
                changed[site] += count
            accuracy.add(reference.run(frame), values, frame.labels)
            if output_file is not None:
                output_file.append(values)
            if index_file is not None:
                index_file.append(session.indices)
            if progress is not None:
                progress("run", frames, stream.frames)
    inputs = {site: size * frames for site, size in sizes.items()}
    total = sum(inputs.values())
    statistics = session.statistics
    return SessionReport(
        model=ModelRef(path=str(original.path), sha256=original.sha256),
        executor=session.executor,
        stream=StreamStatistics(name=stream.name, frames=frames, sequences=sequences),
        similarity=1 - sum(changed.values()) / total if total else 0.0,
        accuracy=accuracy.report(),
        sites=[
            SiteSimilarity(node=node, inputs=count, similarity=1 - changed[node] / count)
            for node, count in inputs.items()
        ],
        milliseconds_per_frame=seconds / frames * 1e3,
        refreshed=statistics.refreshed,
        drift_refreshes=statistics.drift_refreshes,
        guard=None if plan.guard is None else GuardReport.of(statistics, anew),
    )
