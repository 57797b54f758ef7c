"""Open a model in stock onnxruntime, on the CPU."""

from __future__ import annotations

import onnxruntime as ort

from reuse_compiler.errors import ModelError
from reuse_compiler.runtime_errors import RUNTIME_ERRORS

__all__ = ["one_line", "open_session"]

_ERRORS_ONLY = 3


def open_session(source: str | bytes, threads: int | None, name: str) -> ort.InferenceSession:
    """A session of the model in the file or the bytes `source`; with `threads` inside an operator, None for all cores.

    Raises ModelError, which begins with `name`, where onnxruntime does not take it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = _ERRORS_ONLY
    # Sessions take turns with other work in one process: idle threads that spin would hold the cores it needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise ModelError(f"{name}: onnxruntime does not take it: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """The message of `error` without line breaks."""
    return " ".join(str(error).split())
