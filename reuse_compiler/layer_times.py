"""How long each node of a model takes in onnxruntime, by its own profiling."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from reuse_compiler.errors import ModelError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import Model
from reuse_compiler.onnx_session import one_line
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.streams import Frame

__all__ = ["KernelTimes", "kernel_times", "layer_times"]

_ERRORS_ONLY = 3
_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class KernelTimes:
    """One node of the graph that onnxruntime runs: its operator there, and the microseconds of each time it ran."""

    op: str
    microseconds: list[float]

    @property
    def median(self) -> float:
        """In microseconds."""
        return float(np.median(self.microseconds))


def layer_times(model: Model, frames: Iterable[Frame], state: Mapping[str, str]) -> dict[str, float]:
    """Microseconds of each node, by name: the median of `frames`, on one thread.

    onnxruntime runs the graph as it is: its optimizations rename and fuse nodes, so that their times could not be told
    apart. Shares of layers with them differ by some percent.

    Raises ModelError where onnxruntime does not take the model, or it is above 2 GiB.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    feedback = Feedback(state, model.inputs, model.outputs)
    names = [spec.name for spec in model.outputs]

    def run(session: ort.InferenceSession) -> None:
        for frame in frames:
            values = session.run(names, feedback.feed(frame))
            feedback.take(dict(zip(names, values, strict=True)))

    try:
        serialized = ir.serde.serialize_model(model.ir).SerializeToString()
    except RUNTIME_ERRORS as error:
        raise ModelError(f"{model.path}: onnxruntime cannot time its layers: {one_line(error)}") from error
    return {name: times.median for name, times in kernel_times(serialized, options, run, str(model.path)).items()}


def kernel_times(
    model: bytes, options: ort.SessionOptions, run: Callable[[ort.InferenceSession], None], name: str
) -> dict[str, KernelTimes]:
    """The times of each node of the graph that onnxruntime makes of `model` under `options`, by its name there.

    Parameters
    ----------
    options : SessionOptions
        Profiling is switched on in them.
    run : callable
        Runs the frames in the session that it is given.
    name : str
        What messages begin with.

    Raises ModelError where onnxruntime does not take the model.
    """
    options.enable_profiling = True
    with tempfile.TemporaryDirectory(prefix="reusec-") as folder:
        options.profile_file_prefix = str(Path(folder) / "times")
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            run(session)
            events = json.loads(Path(session.end_profiling()).read_text())
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{name}: onnxruntime cannot time its layers: {one_line(error)}") from error
    times: dict[str, KernelTimes] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            found = times.setdefault(event["name"].removesuffix(_SUFFIX), KernelTimes(event["args"]["op_name"], []))
            found.microseconds.append(float(event["dur"]))
    return times
