"""What a recurrent layer computes, in the terms of the instruction set."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.lowering.specs import Booking, FcSpec, FunctionSpec, Spec, Tensor
from reuse_compiler.quantizers import Quantizer
from reuse_compiler.recurrent import Kind

__all__ = ["RecurrentSpec", "StepRows"]

Float = NDArray[Any]


@dataclass(frozen=True)
class StepRows:
    """Neighbouring rows of the batch that a step works on. `first`: it is the first step of these rows."""

    start: int
    count: int
    first: bool


@dataclass(frozen=True)
class RecurrentSpec(Spec):
    """An LSTM, GRU or RNN of one direction, time first.

    Parameters
    ----------
    kind : {"LSTM", "GRU", "RNN"}
    steps, rows, inputs, hidden : int
        Time steps, batch, elements of x and of the hidden state.
    products : dict of str to FcSpec
        The product of each site with its weights in one step: of ``x``, of the hidden state ``h``, and of a GRU that
        resets the state before the product of the reset state ``r``.
    activations : tuple of FunctionSpec
        In ONNX's order: LSTM f, g, h; GRU f, g; RNN f.
    peephole : array or None
        float32 [3 * hidden], of the input, output and forget gates.
    clip : float
        Bound of the gates before their activation; infinite where there is none.
    reverse : bool
        Steps run from the last to the first, and every run begins with them anew.
    lengths : tuple of int
        Steps of each row; behind them its state stays and its outputs are 0.
    input_forget : bool
        The forget gate is one minus the input gate.
    initial_h, initial_c : Tensor, array or None
        The state before the first step: [1, rows, hidden], computed at run time or constant; zeros with None.
    y, y_h, y_c : str
        Names of the outputs, empty where nothing uses them: all steps, and the states after the last.
    """

    kind: Kind
    steps: int
    rows: int
    inputs: int
    hidden: int
    products: dict[str, FcSpec]
    activations: tuple[FunctionSpec, ...]
    peephole: Float | None
    clip: float
    reverse: bool
    lengths: tuple[int, ...]
    input_forget: bool
    initial_h: Tensor | Float | None
    initial_c: Tensor | Float | None
    y: str
    y_h: str
    y_c: str

    @property
    def weights(self) -> tuple[Float, ...]:
        """Of every product."""
        return tuple(product.weight for product in self.products.values())

    @property
    def quantizers(self) -> tuple[Quantizer, ...]:
        """Of every site, or of none."""
        return tuple(quantizer for product in self.products.values() for quantizer in product.quantizers)

    @property
    def residents(self) -> tuple[Float, ...]:
        """Peepholes and constant initial states; the biases differ between the machines."""
        initial = [state for state in (self.initial_h, self.initial_c) if isinstance(state, np.ndarray)]
        return (*(() if self.peephole is None else (self.peephole,)), *initial)

    def biases(self, *, reuse: bool) -> tuple[Float, ...]:
        """What a machine keeps of them."""
        if reuse and self.quantizers:
            return tuple(product.bias for product in self.products.values())
        return tuple(self.dense_biases.values())

    @cached_property
    def dense_biases(self) -> dict[str, Float]:
        """The biases where products accumulate: that of x holds what is added to the gates unconditionally, that of h
        what a reset gate multiplies."""
        biases = {site: np.asarray(product.bias, np.float32) for site, product in self.products.items()}
        total, hidden = biases["x"].copy(), self.hidden
        if self.resets_product:
            total[: 2 * hidden] += biases["h"][: 2 * hidden]
            return {"x": total, "h": biases["h"]}
        total[: biases["h"].size] += biases["h"]
        if "r" in biases:
            total[2 * hidden :] += biases["r"]
        return {"x": total}

    @property
    def gates(self) -> int:
        """Gates of the cell."""
        return self.products["x"].outputs // self.hidden

    @property
    def resets_product(self) -> bool:
        """A GRU whose reset gate multiplies the product of the hidden state (ONNX's linear_before_reset)."""
        return self.kind == "GRU" and "r" not in self.products

    def bookings(self, inputs: tuple[Tensor, ...]) -> tuple[Booking, ...]:
        """A row for each site, and one for the element-wise work of the cell; steps beyond a row's length are not
        done."""
        executed = sum(self.lengths)
        sites = [
            Booking(
                f".{site}",
                executed * product.inputs * product.outputs,
                executed * product.inputs if product.quantizer else 0,
                product.quantizer,
            )
            for site, product in self.products.items()
        ]
        return (*sites, Booking("", 0))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The time steps in the order in which they are done."""
        steps = tuple(range(self.steps))
        return steps[::-1] if self.reverse else steps

    @cached_property
    def schedule(self) -> tuple[tuple[StepRows, ...], ...]:
        """By time step: the rows that it works on, in runs of neighbours."""
        lengths = np.asarray(self.lengths)
        return tuple(tuple(self._step_rows(lengths, step)) for step in range(self.steps))

    def _step_rows(self, lengths: NDArray[np.int64], step: int) -> list[StepRows]:
        first = lengths - 1 == step if self.reverse else np.full(lengths.shape, step == 0)
        kind = np.where(lengths > step, 1 + first, 0)
        edges = [0, *(np.flatnonzero(np.diff(kind)) + 1).tolist(), kind.size]
        runs = itertools.pairwise(edges)
        return [StepRows(start, stop - start, bool(kind[start] == 2)) for start, stop in runs if kind[start]]

    def last_step(self, row: int) -> int:
        """The time step after which the state of `row` stays; -1 where it has none."""
        return min(self.lengths[row] - 1, 0) if self.reverse else self.lengths[row] - 1

    @cached_property
    def beyond(self) -> tuple[tuple[int, int], ...]:
        """Runs of [time, batch], flattened, that lie behind the end of their row: (start, count)."""
        mask = np.arange(self.steps)[:, None] >= np.asarray(self.lengths)[None]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel(), [0]]).astype(np.int8)))
        return tuple((int(start), int(stop - start)) for start, stop in zip(edges[::2], edges[1::2], strict=True))

    @property
    def finite_clip(self) -> bool:
        """Whether the gates are bounded."""
        return math.isfinite(self.clip)
