"""The fp32 model itself in onnxruntime: what every other executor is judged against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import Model
from reuse_compiler.onnx_session import open_session
from reuse_compiler.streams import Frame

__all__ = ["Reference"]


class Reference:
    """The original network, frame by frame, its own state fed back.

    Parameters
    ----------
    model : Model
    state : mapping of str to str
        Input name -> name of the output that it takes its next value from.
    threads : int, optional
        Threads of onnxruntime inside an operator; all cores by default.
    """

    def __init__(self, model: Model, state: Mapping[str, str], threads: int | None = None) -> None:
        self._session = open_session(model.ir, threads, str(model.path))
        self._names = [spec.name for spec in model.outputs]
        self._feedback = Feedback(state, model.inputs, model.outputs)

    def run(self, frame: Frame) -> dict[str, NDArray[Any]]:
        """The outputs of one frame by name."""
        values = self._session.run(self._names, self._feedback.feed(frame))
        outputs = dict(zip(self._names, values, strict=True))
        self._feedback.take(outputs)
        return outputs
