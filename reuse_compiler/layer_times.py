"""How long each node of the fp32 model takes in onnxruntime, by its own profiling."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
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

__all__ = ["layer_times"]

_ERRORS_ONLY = 3
_SUFFIX = "_kernel_time"


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
    options.enable_profiling = True
    feedback = Feedback(state, model.inputs, model.outputs)
    names = [spec.name for spec in model.outputs]
    with tempfile.TemporaryDirectory(prefix="reusec-") as folder:
        options.profile_file_prefix = str(Path(folder) / "times")
        try:
            serialized = ir.serde.serialize_model(model.ir).SerializeToString()
            session = ort.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
            for frame in frames:
                values = session.run(names, feedback.feed(frame))
                feedback.take(dict(zip(names, values, strict=True)))
            events = json.loads(Path(session.end_profiling()).read_text())
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{model.path}: onnxruntime cannot time its layers: {one_line(error)}") from error
    times: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            times.setdefault(event["name"].removesuffix(_SUFFIX), []).append(float(event["dur"]))
    return {name: float(np.median(found)) for name, found in times.items()}
