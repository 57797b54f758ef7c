"""Run a reuse model over a stream in stock onnxruntime, with its state kept out of sight."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.drift import Drift
from reuse_compiler.errors import ReuseError
from reuse_compiler.feedback import Feedback
from reuse_compiler.reuse_network import ReuseNetwork
from reuse_compiler.session_state import SessionState
from reuse_compiler.streams import Frame
from reuse_compiler.streams.checks import conform, expected_inputs

__all__ = ["Session"]

Arrays = dict[str, NDArray[Any]]


class Session:
    """One stream through a reuse model: :meth:`run` a frame, and the next one continues from there.

    Where rounding could have moved a linear output by half of the 1e-4 that executors may differ by, the session
    refreshes them all and runs the frame again (see :mod:`reuse_compiler.drift`).

    Parameters
    ----------
    model : path, bytes or onnx_ir.Model
        A reuse model. One without reuse nodes runs as well.
    threads : int, optional
        Threads of onnxruntime inside an operator; all cores by default.
    state : mapping of str to str, optional
        Input name -> name of the output that it takes its next value from; zero where a sequence starts. By default
        what the plan said when the model was rewritten.

    Attributes
    ----------
    inputs, outputs : tuple of TensorSpec
        The model's own: without the state of the reuse nodes.
    model_sha256 : str
        Hexadecimal SHA-256 of the reuse model.

    Raises
    ------
    ModelError
        If the model cannot be read, or onnxruntime does not take it.
    StreamError
        If `state` names an input or output that the model lacks.
    """

    def __init__(
        self,
        model: str | Path | bytes | ir.Model,
        *,
        threads: int | None = None,
        state: Mapping[str, str] | None = None,
    ) -> None:
        self._network = ReuseNetwork(model, threads)
        self.inputs, self.outputs = self._network.inputs, self._network.outputs
        self.model_sha256 = self._network.sha256
        self._fed_back = dict(self._network.feedback if state is None else state)
        self._streamed = expected_inputs(self.inputs, self._fed_back)
        self._allocate()

    def _allocate(self) -> None:
        """Own buffers and feedback, at the start of a sequence."""
        self._feedback = Feedback(self._fed_back, self.inputs, self.outputs)
        self._drift = Drift(len(self._network.nodes))
        # A node must not write the state that it reads: past and present change places after each frame.
        self._past, self._present = (
            {name: np.array(value, order="C") for name, value in self._network.initial.items()} for _ in range(2)
        )
        self._step = self._network.step(self._past, self._present)
        self._next_step = self._network.step(self._present, self._past)

    @property
    def indices(self) -> Arrays:
        """Copies of the indices of the last frame by node: uint8 or uint16, in the shape of the node's input."""
        return {node: self._past[names.past_index].copy() for node, names in self._network.nodes.items()}

    @property
    def linear(self) -> Arrays:
        """Copies of the linear outputs of the last frame by node: float32, in the shape of the node's output."""
        return {node: self._past[names.past_linear].copy() for node, names in self._network.nodes.items()}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one frame of the stream; the model's own outputs by name.

        `inputs` has an array for each of the model's own inputs but those that outputs are fed back to; the batch axis
        may be left out. Raises StreamError where they do not fit, or one that a site's input is computed from is not
        finite, and then the state is as it was.
        """
        given = conform(inputs, self._streamed, self._fed_back, "frame", finite=self._network.read_by_sites)
        arrays = {**given, **self._feedback.held}
        outputs = self._advance(arrays)
        if self._drift.too_large(self._linear()):
            self.refresh()
            outputs = self._advance(arrays)
        self._feedback.take(outputs)
        return outputs

    def _advance(self, arrays: Arrays) -> Arrays:
        outputs = self._step(arrays)
        self._past, self._present = self._present, self._past
        self._step, self._next_step = self._next_step, self._step
        return outputs

    def _linear(self) -> list[NDArray[Any]]:
        return [self._past[names.past_linear] for names in self._network.nodes.values()]

    def run_stream(self, stream: Iterable[Frame]) -> Iterator[Arrays]:
        """The outputs of each frame of `stream`, lazily; the state is reset where a sequence starts."""
        for frame in stream:
            if frame.start:
                self.reset()
            yield self.run(frame.inputs)

    def reset(self) -> None:
        """Begin a sequence: zero indices, the bias as linear output, zeros in the inputs that outputs are fed back to."""
        for name, value in self._network.initial.items():
            np.copyto(self._past[name], value)
        self._feedback.reset()
        self._drift.reset()

    def refresh(self) -> None:
        """Compute the linear outputs anew from the held indices: removes rounding drift, changes no index."""
        indices = {names.past_index: self._past[names.past_index] for names in self._network.nodes.values()}
        for name, value in self._network.linear_from_index(indices).items():
            np.copyto(self._past[name], value)
        self._drift.refreshed(self._linear())

    def _held(self) -> Arrays:
        return {**self._past, **self._feedback.held, "reuse.drift": self._drift.squares}

    def save(self) -> SessionState:
        """A copy of what the session holds between frames."""
        return SessionState(self.model_sha256, {name: value.copy() for name, value in self._held().items()})

    def restore(self, state: SessionState) -> None:
        """Continue from `state`, a copy of which is taken. Raises ReuseError where another model saved it."""
        if state.model_sha256 != self.model_sha256:
            raise ReuseError(
                f"session state of model {state.model_sha256}, this session runs model {self.model_sha256}:"
                " restore it in a session of the model that saved it"
            )
        held = self._held()
        given = {name: (value.shape, value.dtype) for name, value in state.arrays.items()}
        if given != {name: (value.shape, value.dtype) for name, value in held.items()}:
            raise ReuseError(
                f"session state holds {len(given)} arrays, the session {len(held)}, or their shapes differ:"
                " restore it in a session that feeds back the same outputs"
            )
        for name, value in state.arrays.items():
            np.copyto(held[name], value)

    def fork(self) -> Session:
        """A session that continues from here on its own; both share the opened model."""
        twin = copy.copy(self)
        twin._allocate()
        twin.restore(self.save())
        return twin
