"""onnxruntime as a judge: does it take a model, and what does it say if not?"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort

from reuse_compiler.runtime_errors import RUNTIME_ERRORS

__all__ = ["refusal"]


def refusal(model: onnx.ModelProto | Path) -> str | None:
    """Why onnxruntime does not take `model`, a proto or a file, on one line; None where it does."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        return " ".join(str(error).split())
    return None
