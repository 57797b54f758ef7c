"""What profiling costs beside running the stream in onnxruntime."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import Model
from reuse_compiler.onnx_session import open_session
from reuse_compiler.profiling import profile
from reuse_compiler.streams import Stream

__all__ = ["ProfilingCost", "measure_profiling"]


@dataclass(frozen=True)
class ProfilingCost:
    """Medians of one stream, in milliseconds a frame; both read the stream and open the model."""

    stream: str
    frames: int
    run_ms: float
    profile_ms: float

    @property
    def ratio(self) -> float:
        """Profiling over running."""
        return self.profile_ms / self.run_ms

    @property
    def bound_ms(self) -> float:
        """What profiling may take: five times the run and a millisecond."""
        return 5 * self.run_ms + 1


def measure_profiling(
    model: Model, stream: Stream, *, state: Mapping[str, str] | None = None, threads: int = 2, repeats: int = 5
) -> ProfilingCost:
    """Run and profile `stream` in turn, `repeats` times."""
    run_ms, profile_ms = [], []
    frames = 0
    for _ in range(repeats):
        begin = time.perf_counter()
        frames = _run(model, stream, state or {}, threads)
        middle = time.perf_counter()
        profile(model, stream, state=state, threads=threads)
        end = time.perf_counter()
        run_ms.append((middle - begin) * 1e3 / frames)
        profile_ms.append((end - middle) * 1e3 / frames)
    return ProfilingCost(stream.name, frames, statistics.median(run_ms), statistics.median(profile_ms))


def _run(model: Model, stream: Stream, state: Mapping[str, str], threads: int) -> int:
    """The model's own file over the stream in stock onnxruntime; the number of frames."""
    session = open_session(str(model.path), threads, str(model.path))
    names = [output.name for output in session.get_outputs()]
    feedback = Feedback(state, model.inputs, model.outputs)
    frames = 0
    for frame in stream:
        outputs = session.run(names, feedback.feed(frame))
        feedback.take(dict(zip(names, outputs, strict=True)))
        frames += 1
    return frames
