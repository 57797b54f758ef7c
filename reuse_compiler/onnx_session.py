"""Open a model in stock onnxruntime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError
from reuse_compiler.passes.external_weights import outside
from reuse_compiler.runtime_errors import RUNTIME_ERRORS

__all__ = ["one_line", "open_session"]

_ERRORS_ONLY = 3
_HANDED_OVER = "weights"  # a location that nobody opens


class _SessionOverWeights(ort.InferenceSession):  # type: ignore[misc]
    """A session that reads its weights in place, and so keeps their arrays."""

    def __init__(self, model: bytes, options: ort.SessionOptions, weights: Mapping[str, NDArray[Any]]) -> None:
        self._weights = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()}
        options.add_external_initializers(list(self._weights), list(self._weights.values()))
        super().__init__(model, options, providers=["CPUExecutionProvider"])


def open_session(
    source: str | bytes | onnx.ModelProto | ir.Model,
    threads: int | None,
    name: str,
    kernels: Path | None = None,
    spin: bool = False,
) -> ort.InferenceSession:
    """A session of a model; with `threads` inside an operator, None for all cores.

    Parameters
    ----------
    source : str, bytes, ModelProto or ir.Model
        A path, a serialized model, or a model. Of the latter two the weights are handed over as they are in memory, so that
        they may have more than the 2 GiB that a serialized model takes; they must not change while the session lives.
    threads : int or None
    name : str
        What messages begin with.
    kernels : Path, optional
        A library of custom operators that takes the place of function bodies.
    spin : bool
        Whether threads without work wait for it awake: quicker to start, and at the cost of other work.

    Raises ModelError where onnxruntime does not take the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = _ERRORS_ONLY
    # Sessions take turns with other work in one process: idle threads that spin would hold the cores it needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    try:
        if kernels is not None:
            options.register_custom_ops_library(str(kernels))
        if isinstance(source, str | bytes):
            return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        model = ir.from_proto(source) if isinstance(source, onnx.ModelProto) else source
        proto, weights = outside(model, _HANDED_OVER)
        arrays = {weight.name: weight.tensor.numpy() for weight in weights}
        return _SessionOverWeights(proto.SerializeToString(), options, arrays)
    except RUNTIME_ERRORS as error:
        raise ModelError(f"{name}: onnxruntime does not take it: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """The message of `error` without line breaks."""
    return " ".join(str(error).split())
