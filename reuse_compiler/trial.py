"""Run a network with its sites quantized by any quantizers, to see what a plan would lose and reuse.

A trial computes what a reuse model computes, errors going through all layers and staying in what is held, but keeps no
linear outputs, so that one onnxruntime session serves every plan. Indices are those of the reuse model, up to flips by
rounding (see :mod:`reuse_compiler.replay`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import library
from reuse_compiler.errors import ModelError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import Model
from reuse_compiler.onnx_session import one_line, open_session
from reuse_compiler.passes.quantize_sites import (
    QuantizeSites,
    changed_name,
    dense_name,
    held_name,
    past_name,
    quantizer_names,
    slot_of,
)
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.steps import before_steps
from reuse_compiler.streams import Frame

__all__ = ["Slot", "Trial", "TrialFrame"]

Arrays = dict[str, NDArray[Any]]

_BUILT = library()

_NOTHING = (np.array(0, np.float32), np.array(0, np.float32))
"""First and last centroid of a slot that holds none."""


@dataclass(frozen=True)
class Slot:
    """What is held of one tensor, or of one operand of a recurrent layer, and the sites that read it.

    Parameters
    ----------
    name, tensor : str
        Of the slot, and of the quantizer: the site's input.
    sites : tuple of Site
    """

    name: str
    tensor: str
    sites: tuple[Site, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a frame."""
        return sum(site.macs for site in self.sites)

    @property
    def elements(self) -> int:
        """Elements that are compared in a frame."""
        return int(np.prod(self.sites[0].shape))


@dataclass(frozen=True)
class TrialFrame:
    """What a frame gave.

    Parameters
    ----------
    outputs : dict of str to array
        The model's, by name.
    changed : int64 array [slots]
        How many elements of each slot changed.
    held : dict of str to float32 array
        By slot, the centroids that its elements hold, as steps from zero: the index minus `zero`; of a recurrent layer
        after each step. Valid until the next frame.
    squares : list of float64 array [channels], or None
        By slot, mean squares of what the elements of a channel changed by, in steps; of a recurrent layer over the last
        step. Where they were asked for, and not of a frame that begins a sequence.
    """

    outputs: Arrays
    changed: NDArray[np.int64]
    held: Arrays
    squares: Sequence[NDArray[np.float64]] | None = None


class Trial:
    """The quantizable network of a model.

    Runs may overlap in several threads.

    Parameters
    ----------
    model : Model
    threads : int or None
        Threads of onnxruntime inside an operator.
    kernels : Path or None
        The kernel library, by default the one that was built; without it quantizers run as function bodies. Both give the
        same bits.

    Attributes
    ----------
    slots : tuple of Slot
        In topological order.

    Raises ModelError where onnxruntime does not take the network.
    """

    def __init__(self, model: Model, threads: int | None = 1, kernels: Path | None = _BUILT) -> None:
        sites = find_sites(model)
        network = model.ir.clone()
        QuantizeSites(tuple(sites))(network)
        self._model = model
        self._where = str(model.path)
        self._session = open_session(network, threads, self._where, kernels)
        readers: dict[str, list[Site]] = {}
        for site in sites:
            readers.setdefault(slot_of(site), []).append(site)
        self.slots = tuple(Slot(name, found[0].input, tuple(found)) for name, found in readers.items())
        self._outputs = [spec.name for spec in model.outputs]
        # Of each recurrent slot, whether its steps run backwards.
        self._reverse = {
            slot.name: slot.sites[0].recurrent.reverse for slot in self.slots if slot.sites[0].recurrent is not None
        }
        if any(spec.dtype.kind not in "biufc" for spec in (*model.inputs, *model.outputs)):
            raise ModelError(f"{self._where}: an input or output is no array of numbers: give a plan by hand")

    def run(
        self,
        quantizers: Mapping[str, LinearQuantizer],
        frames: Iterable[Frame],
        state: Mapping[str, str],
        *,
        squares: bool = False,
    ) -> Iterator[TrialFrame]:
        """Run `frames` with the tensors in `quantizers` quantized, the others as they are; `state` is fed back. `squares`
        asks for those of the changes.

        Raises ModelError where onnxruntime fails.
        """
        fixed = self._fixed(quantizers)
        feedback = Feedback(state, self._model.inputs, self._model.outputs)
        past, held = ({slot.name: np.zeros(_shape(slot), np.float32) for slot in self.slots} for _ in range(2))
        counted = np.zeros(len(self.slots), np.int64)
        binding, following = self._bind(fixed, past, held, counted), self._bind(fixed, held, past, counted)
        for frame in frames:
            if frame.start:
                for array in past.values():
                    array.fill(0)
            outputs, steps = self._run(binding, feedback.feed(frame))
            feedback.take(outputs)
            for number, slot in enumerate(self.slots):
                if slot.name in steps:
                    counted[number] = self._changed(slot, quantizers, past, steps)
            changed = counted.copy()
            for name, after in steps.items():
                if not self._reverse[name]:  # which starts every frame with nothing held
                    held[name][...] = after[-1]
            moved = [_squares(slot, past, held) for slot in self.slots] if squares and not frame.start else None
            past, held, binding, following = held, past, following, binding
            yield TrialFrame(outputs, changed, {**past, **steps}, moved)

    def _fixed(self, quantizers: Mapping[str, LinearQuantizer]) -> Arrays:
        """The quantizers as inputs."""
        fixed: Arrays = {}
        for slot in self.slots:
            quantizer = quantizers.get(slot.tensor)
            site = slot.sites[0]
            rank = len(site.frame_shape)
            fixed.update(
                zip(quantizer_names(slot.tensor), _inputs(quantizer, rank - site.channel_axis % rank), strict=True)
            )
            fixed[dense_name(slot.name)] = np.array(quantizer is None)
        return fixed

    def _bind(self, fixed: Arrays, past: Arrays, held: Arrays, counted: NDArray[np.int64]) -> ort.IOBinding:
        """What does not change from frame to frame: the quantizers, and where what is held comes from and goes to, and what
        was counted of each slot."""
        binding = self._session.io_binding()
        self._bind_outputs(binding)  # first, so that they lead the list that onnxruntime gives
        for name, array in fixed.items():
            _bind(binding.bind_input, name, array)
        for number, slot in enumerate(self.slots):
            _bind(binding.bind_input, past_name(slot.name), past[slot.name])
            if slot.name not in self._reverse:
                _bind(binding.bind_output, held_name(slot.name), held[slot.name])
                _bind(binding.bind_output, changed_name(slot.name), counted[number, ...])
        return binding

    def _bind_outputs(self, binding: ort.IOBinding) -> None:
        for name in (*self._outputs, *map(held_name, self._reverse)):
            binding.bind_output(name, "cpu")

    def _run(self, binding: ort.IOBinding, inputs: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        """A frame: the model's outputs, and what recurrent slots held after each step."""
        kept = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        for name, array in kept.items():
            binding.bind_cpu_input(name, array)
        self._bind_outputs(binding)  # anew each time: else the next frame writes into the arrays given out
        try:
            self._session.run_with_iobinding(binding)
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{self._where}: onnxruntime cannot run a trial: {one_line(error)}") from error
        values = [value.numpy() for value in binding.get_outputs()[: len(self._outputs) + len(self._reverse)]]
        return dict(zip(self._outputs, values, strict=False)), dict(
            zip(self._reverse, values[len(self._outputs) :], strict=True)
        )

    def _changed(self, slot: Slot, quantizers: Mapping[str, LinearQuantizer], past: Arrays, steps: Arrays) -> int:
        """How often an element of a recurrent slot took another centroid; in every step where it is dense."""
        if slot.tensor not in quantizers:
            return slot.elements
        after, reverse = steps[slot.name], self._reverse[slot.name]
        first = np.zeros_like(past[slot.name]) if reverse else past[slot.name]
        return int(np.count_nonzero(after != before_steps(after, first, reverse=reverse)))


def _shape(slot: Slot) -> tuple[int, ...]:
    return slot.sites[0].frame_shape


def _squares(slot: Slot, past: Arrays, held: Arrays) -> NDArray[np.float64]:
    change = held[slot.name] - past[slot.name]
    axis = slot.sites[0].channel_axis % change.ndim
    return np.asarray(
        np.square(change, dtype=np.float64).mean(axis=tuple(other for other in range(change.ndim) if other != axis))
    )


def _inputs(quantizer: LinearQuantizer | None, channel_rank: int) -> Sequence[NDArray[np.float32]]:
    """A quantizer in the order of TRIAL_INPUTS."""
    if quantizer is None:
        return [
            np.array(1, np.float32),
            np.array(1, np.float32),
            np.full([1] * channel_rank, np.inf, np.float32),
            *_NOTHING,
        ]
    step = np.float32(quantizer.step)
    deadband = np.asarray(quantizer.deadband, np.float32).reshape(-1, *[1] * (channel_rank - 1))
    low, high = -quantizer.zero, quantizer.clusters - 1 - quantizer.zero
    return [
        np.array(step),
        np.array(np.float32(1) / step),
        deadband,
        np.array(low, np.float32),
        np.array(high, np.float32),
    ]


def _bind(bind: Any, name: str, array: NDArray[Any]) -> None:
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
