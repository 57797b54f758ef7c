"""A frame of a model in onnxruntime with memory that is bound once: what is small enough to copy, and all state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.onnx_session import one_line
from reuse_compiler.runtime_errors import RUNTIME_ERRORS

__all__ = ["BoundStep"]

Arrays = dict[str, NDArray[Any]]

_SMALL_BYTES = 1 << 17
"""Binding memory costs two microseconds; copying less than this takes no longer."""


class BoundStep:
    """Runs frames. Called with the model's inputs, C-contiguous arrays by name, it gives `outputs` by name; the arrays are the
    caller's.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    name : str
        What messages begin with.
    inputs, outputs : sequence of TensorSpec
        What a call takes and gives.
    past, present : mapping of str to array
        State by input and by output name; the arrays are read and written as they are, each frame anew.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        name: str,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        past: Mapping[str, NDArray[Any]],
        present: Mapping[str, NDArray[Any]],
    ) -> None:
        self._session, self._name = session, name
        self._order = [spec.name for spec in outputs]
        self._small_inputs = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in inputs if _small(spec)}
        self._large_inputs = [spec.name for spec in inputs if not _small(spec)]
        self._small_outputs = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in outputs if _small(spec)}
        self._large_outputs = [spec.name for spec in outputs if not _small(spec)]
        self._state = (past, present)  # kept alive
        self._binding = session.io_binding()
        self._bind_large_outputs()  # first, so that they lead the list that onnxruntime gives
        for key, array in (*past.items(), *self._small_inputs.items()):
            _bind(self._binding.bind_input, key, array)
        for key, array in (*present.items(), *self._small_outputs.items()):
            _bind(self._binding.bind_output, key, array)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """One frame. Raises ModelError where onnxruntime cannot run it."""
        for name, held in self._small_inputs.items():
            np.copyto(held, inputs[name])
        for (
            name
        ) in self._large_inputs:  # not by address: a run after that takes longer, by what copying the input would take
            self._binding.bind_cpu_input(name, inputs[name])
        if self._large_outputs:
            self._bind_large_outputs()  # anew each time: else the next frame writes into the arrays given out
        try:
            self._session.run_with_iobinding(self._binding)
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{self._name}: onnxruntime cannot run it: {one_line(error)}") from error
        found = {name: array.copy() for name, array in self._small_outputs.items()}
        if not self._large_outputs:
            return found
        values = self._binding.get_outputs()[: len(self._large_outputs)]
        found |= {name: value.numpy() for name, value in zip(self._large_outputs, values, strict=True)}
        return {name: found[name] for name in self._order}

    def _bind_large_outputs(self) -> None:
        for name in self._large_outputs:
            self._binding.bind_output(name, "cpu")


def _small(spec: TensorSpec) -> bool:
    return all(size >= 0 for size in spec.shape) and math.prod(spec.shape) * spec.dtype.itemsize <= _SMALL_BYTES


def _bind(bind: Any, name: str, array: NDArray[Any]) -> None:
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
