"""A model's own state: outputs of one frame that are inputs of the next, zero where a sequence starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import Frame

__all__ = ["Feedback"]


class Feedback:
    """The loop of ``--state in=out,...``: :meth:`feed` before a run of the model, :meth:`take` after it.

    Parameters
    ----------
    state : mapping
        Input name -> name of the output that it takes its next value from. Empty: nothing is fed back.
    inputs : sequence of TensorSpec
        The model's inputs: they give the shapes and types of the state.
    outputs : sequence of TensorSpec, optional
        The model's outputs. Given, the loop is checked at once and not at the first :meth:`take`.

    Attributes
    ----------
    held : dict
        Input name -> array in the input's shape and type: the values that the next frame gets if it starts no sequence.

    Raises
    ------
    StreamError
        If the model has no such input or output, or their shapes or types differ.
    """

    def __init__(
        self, state: Mapping[str, str], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec] | None = None
    ) -> None:
        known = {spec.name: spec for spec in inputs}
        for name, output in state.items():
            if name not in known:
                raise StreamError(f"state {name}={output}: the model has no input {name}: it has {_listed(known)}")
        self._state = dict(state)
        self._specs = {name: known[name] for name in state}
        self.held: dict[str, NDArray[Any]] = {}
        self.reset()
        if outputs is not None:
            self._check({spec.name: (spec.shape, spec.dtype) for spec in outputs})

    def reset(self) -> None:
        """Hold zeros, as at a sequence's start."""
        self.held = {name: np.zeros(spec.shape, spec.dtype) for name, spec in self._specs.items()}

    def feed(self, frame: Frame) -> dict[str, NDArray[Any]]:
        """All inputs of the model for `frame`: its own, and the state, which is zero if the frame starts a sequence."""
        if frame.start:
            self.reset()
        return {**frame.inputs, **self.held}

    def take(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Hold copies of the outputs that are fed back; `outputs` may have others too.

        Raises StreamError if one is missing, or differs from its input in shape or type.
        """
        if not all(_fits(outputs.get(output), self.held[name]) for name, output in self._state.items()):
            self._check({name: _kind(value) for name, value in outputs.items()})
        self.held = {name: np.array(outputs[output]) for name, output in self._state.items()}

    def _check(self, outputs: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        for name, output in self._state.items():
            if output not in outputs:
                raise StreamError(f"state {name}={output}: the model has no output {output}: it has {_listed(outputs)}")
            shape, dtype = outputs[output]
            spec = self._specs[name]
            if (shape, dtype) != (spec.shape, spec.dtype):
                raise StreamError(
                    f"state {name}={output}: output {output} is {dtype} {list(shape)}, input {name} is {spec.dtype}"
                    f" {list(spec.shape)}: pair an input with an output of its shape and type"
                )


def _fits(value: Any, held: NDArray[Any]) -> bool:
    return isinstance(value, np.ndarray) and value.shape == held.shape and value.dtype == held.dtype


def _kind(value: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type, as a TensorSpec has them of what is no tensor."""
    return (value.shape, value.dtype) if isinstance(value, np.ndarray) else ((), np.dtype(object))


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
