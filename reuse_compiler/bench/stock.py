"""The original model as its owner would run it: stock onnxruntime, nothing of this compiler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import Model
from reuse_compiler.layer_times import KernelTimes, kernel_times
from reuse_compiler.onnx_session import one_line
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.streams import Frame

__all__ = ["StockModel", "StockStream"]

Arrays = dict[str, NDArray[Any]]
_ERRORS_ONLY = 3
_SETTLED_IR = 4  # from this version on an initializer need not be an input
_FOLDER = "session.model_external_initializers_file_folder_path"


class StockModel:
    """The file as its owner gave it, all of onnxruntime's optimizations on, its other options as they are by default.

    One thing is changed. Old files list their initializers among the inputs too, where a caller could give others:
    onnxruntime must not fold or fuse what they feed, and is slower by far. They are taken off that list, as everyone does
    who wants the model fast; a comparison with the slow form would flatter reuse. Nodes without a name get their first
    output's, so that profiling can tell them apart.

    Idle threads spin, as they do by default: between operators that is fast, and with it off stock onnxruntime would be
    slower than what its users have.

    Parameters
    ----------
    model : Model
        Says where the file is, and the shapes of fed-back state; the file itself runs.
    state : mapping of str to str
        Input name -> name of the output that it takes its next value from.
    threads : int
        Inside an operator.

    Attributes
    ----------
    graph : GraphProto
        What runs, before onnxruntime's optimizations.

    Raises ModelError where the file cannot be read or onnxruntime does not take it.
    """

    def __init__(self, model: Model, state: Mapping[str, str], threads: int) -> None:
        self._path, self._threads = model.path, threads
        self.state = dict(state)
        self.names = [spec.name for spec in model.outputs]
        self._zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in model.inputs if spec.name in state}
        try:
            proto = onnx.load_model(model.path, load_external_data=False)
            _settle(proto)
            self.graph = proto.graph
            self._bytes = proto.SerializeToString()
            self.session = ort.InferenceSession(self._bytes, self._options(), providers=["CPUExecutionProvider"])
        except (DecodeError, *RUNTIME_ERRORS) as error:
            raise ModelError(f"{model.path}: onnxruntime does not take it: {one_line(error)}") from error

    def _options(self) -> ort.SessionOptions:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry(_FOLDER, str(Path(self._path).absolute().parent))
        return options

    def zeros(self) -> Arrays:
        """The fed-back state where a sequence starts, by input name."""
        return dict(self._zeros)

    def kernel_times(self, frames: Iterable[Frame]) -> dict[str, KernelTimes]:
        """The times of each node that onnxruntime's optimizations leave, by its name there, on `frames`."""
        return kernel_times(self._bytes, self._options(), lambda session: self._run(session, frames), str(self._path))

    def _run(self, session: ort.InferenceSession, frames: Iterable[Frame]) -> None:
        stream = StockStream(self, session)
        for frame in frames:
            stream.run(frame)


class StockStream:
    """One stream through a :class:`StockModel`: what a user's loop around onnxruntime does, and no more."""

    def __init__(self, model: StockModel, session: ort.InferenceSession | None = None) -> None:
        self._session = model.session if session is None else session
        self._model = model
        self._held = model.zeros()

    def run(self, frame: Frame) -> Arrays:
        """The outputs of one frame by name."""
        if frame.start:
            self._held = self._model.zeros()
        names = self._model.names
        outputs = dict(zip(names, self._session.run(names, {**frame.inputs, **self._held}), strict=True))
        self._held = {name: outputs[output] for name, output in self._model.state.items()}
        return outputs


def _settle(proto: onnx.ModelProto) -> None:
    """Take initializers off the inputs, and name nodes."""
    initialized = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in initialized]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    proto.ir_version = max(proto.ir_version, _SETTLED_IR)
    for node in proto.graph.node:
        node.name = node.name or next((name for name in node.output if name), node.op_type)
