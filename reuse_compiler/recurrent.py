"""Recurrent layers: LSTM, GRU and RNN nodes in the form that the frontend gives them, and their sites.

A layer has one direction, batch in the second axis, constant weights. Its sites are the places where a weight matrix
multiplies something that varies from step to step: ``x``, the input; ``h``, the hidden state of the step before; and,
of a GRU that resets the state before the product (``linear_before_reset=0``), ``r``, the reset state that the rows of
the hidden gate multiply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = [
    "DEFAULT_ACTIVATIONS",
    "KNOWN_ACTIVATIONS",
    "OPERATORS",
    "TAKES_ALPHA",
    "TAKES_BETA",
    "Activations",
    "Kind",
    "Layer",
    "Matrix",
    "gates",
    "read_layer",
]

Kind = Literal["LSTM", "GRU", "RNN"]
Float = NDArray[np.float32]

OPERATORS: tuple[Kind, ...] = ("LSTM", "GRU", "RNN")

DEFAULT_ACTIVATIONS: Mapping[Kind, tuple[str, ...]] = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}

# ONNX's alpha and beta where a node gives none, by activation; the others have neither.
_PARAMETERS: Mapping[str, tuple[float, float]] = {
    "Relu": (0.0, 0.0),
    "Tanh": (0.0, 0.0),
    "Sigmoid": (0.0, 0.0),
    "Affine": (1.0, 0.0),
    "LeakyRelu": (0.01, 0.0),
    "ThresholdedRelu": (1.0, 0.0),
    "ScaledTanh": (1.0, 1.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, 0.0),
    "Softsign": (0.0, 0.0),
    "Softplus": (0.0, 0.0),
}
KNOWN_ACTIVATIONS = frozenset(name.lower() for name in _PARAMETERS)
"""In lower case: ONNX tells none apart by case."""

TAKES_ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
TAKES_BETA = ("Affine", "ScaledTanh", "HardSigmoid")


def gates(kind: Kind) -> int:
    """Gates of a cell, each of the hidden size: 4 (i, o, f, c), 3 (z, r, h) or 1."""
    return {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]


@dataclass(frozen=True)
class Activations:
    """The activations of a cell: LSTM f, g, h; GRU f, g; RNN f. `alpha` and `beta` have one value each, ONNX's default
    where the node gives none, and 0 where the activation takes none."""

    names: tuple[str, ...]
    alpha: tuple[float, ...]
    beta: tuple[float, ...]


@dataclass(frozen=True)
class Matrix:
    """The weights of one site: float32 `weight` [inputs, outputs], input-major, and `bias` [outputs]."""

    weight: Float
    bias: Float


@dataclass(frozen=True)
class Layer:
    """A recurrent node that keeps every rule of :mod:`reuse_compiler.rules`.

    Parameters
    ----------
    kind : {"LSTM", "GRU", "RNN"}
    steps, batch, inputs, hidden : int
        The time axis, the rows, and the sizes of x and h.
    executed : int
        Steps of all rows together that are not beyond a row's constant length.
    reverse : bool
        The steps run from the last to the first.
    reset_first : bool
        A GRU with ``linear_before_reset=0``: it has a site ``r``.
    input_forget : bool
        An LSTM whose forget gate is one minus its input gate.
    clip : float
        Bound of the gates before their activation; infinite where there is none.
    activations : Activations
    """

    kind: Kind
    steps: int
    batch: int
    inputs: int
    hidden: int
    executed: int
    reverse: bool
    reset_first: bool
    input_forget: bool
    clip: float
    activations: Activations

    @property
    def operands(self) -> tuple[str, ...]:
        """The sites of the layer: x, h and, of a GRU that resets first, r."""
        return ("x", "h", "r") if self.reset_first else ("x", "h")

    def width(self, operand: str) -> int:
        """Elements of an operand in one step and row."""
        return self.inputs if operand == "x" else self.hidden

    def outputs(self, operand: str) -> int:
        """Linear outputs of an operand in one step and row."""
        count = gates(self.kind)
        if self.reset_first:
            count = {"x": 3, "h": 2, "r": 1}[operand]
        return count * self.hidden

    def matrices(self, weight: Float, recurrence: Float, bias: Float | None) -> dict[str, Matrix]:
        """The weights of each operand from W [1, gates * hidden, inputs], R [1, gates * hidden, hidden] and B [1, 2 *
        gates * hidden] of the node."""
        total = gates(self.kind) * self.hidden
        both = np.zeros(2 * total, np.float32) if bias is None else bias[0]
        of_x, of_h = Matrix(_transposed(weight[0]), both[:total]), Matrix(_transposed(recurrence[0]), both[total:])
        if not self.reset_first:
            return {"x": of_x, "h": of_h}
        split = 2 * self.hidden
        return {
            "x": of_x,
            "h": Matrix(np.ascontiguousarray(of_h.weight[:, :split]), of_h.bias[:split]),
            "r": Matrix(np.ascontiguousarray(of_h.weight[:, split:]), of_h.bias[split:]),
        }


def _transposed(weight: Float) -> Float:
    return np.ascontiguousarray(weight.T)


def read_layer(node: ir.Node) -> Layer:
    """The layer of an LSTM, GRU or RNN `node` in the frontend's form; its shapes are known."""
    kind: Kind = node.op_type  # type: ignore[assignment]
    x, recurrence = node.inputs[0], node.inputs[2]
    assert x is not None and x.shape is not None and recurrence is not None and recurrence.shape is not None
    steps, batch, inputs = x.shape.numpy()
    clip = node.attributes.get_float("clip", 0.0) or 0.0
    given = node.inputs[4] if len(node.inputs) > 4 else None
    lengths = None if given is None or given.const_value is None else given.const_value.numpy()
    return Layer(
        kind=kind,
        steps=steps,
        batch=batch,
        inputs=inputs,
        hidden=recurrence.shape.numpy()[-1],
        executed=steps * batch if lengths is None else int(lengths.sum()),
        reverse=node.attributes.get_string("direction", "forward") == "reverse",
        reset_first=kind == "GRU" and not node.attributes.get_int("linear_before_reset", 0),
        input_forget=bool(node.attributes.get_int("input_forget", 0)),
        clip=clip if clip > 0 else float("inf"),
        activations=_activations(kind, node),
    )


def _activations(kind: Kind, node: ir.Node) -> Activations:
    """Given alphas and betas belong to the activations that take one, in their order."""
    given = node.attributes.get_strings("activations", None)
    known = {name.lower(): name for name in _PARAMETERS}
    names = DEFAULT_ACTIVATIONS[kind] if not given else tuple(known[name.lower()] for name in given)
    alphas = list(node.attributes.get_floats("activation_alpha", []))
    betas = list(node.attributes.get_floats("activation_beta", []))
    alpha, beta = [], []
    for name in names:
        default_alpha, default_beta = _PARAMETERS[name]
        alpha.append(alphas.pop(0) if name in TAKES_ALPHA and alphas else default_alpha)
        beta.append(betas.pop(0) if name in TAKES_BETA and betas else default_beta)
    return Activations(names, tuple(alpha), tuple(beta))
