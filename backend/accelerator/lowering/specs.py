"""What layers compute, in the terms of the instruction set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Binary, Pooling, Special
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.operators import Activation
from reuse_compiler.quantizers import LinearQuantizer

__all__ = [
    "AliasSpec",
    "ConcatSpec",
    "ConvSpec",
    "ElementwiseSpec",
    "FcSpec",
    "FunctionSpec",
    "HostSpec",
    "Layer",
    "LayerGraph",
    "PoolSpec",
    "SiteSpec",
    "Spec",
    "Tensor",
]

Float = NDArray[Any]


@dataclass(frozen=True)
class Tensor:
    """A value that is computed at run time."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a layer computes."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame."""
        return 0

    @property
    def residents(self) -> tuple[Float, ...]:
        """Constants that must stay in the eDRAM: float32 or int32 arrays. Weights, which may stream, are not among
        them."""
        return ()


@dataclass(frozen=True, kw_only=True)
class SiteSpec(Spec):
    """A layer with weights, which reuses where it has a quantizer."""

    weight: Float
    bias: Float
    activation: Activation = field(default_factory=Activation)
    quantizer: LinearQuantizer | None = None

    @property
    def residents(self) -> tuple[Float, ...]:
        """The bias; the deadbands of a quantizer belong to the reuse machine alone."""
        return (self.bias,)


@dataclass(frozen=True)
class ConvSpec(SiteSpec):
    """A convolution, transposed or not, of `batch` images; the geometry has three spatial axes, unused ones last.

    W is [out_channels, in_channels / group, kernel of these axes], of a transposed convolution as well.
    """

    geometry: ConvGeometry
    batch: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame."""
        return self.batch * self.geometry.macs


@dataclass(frozen=True)
class FcSpec(SiteSpec):
    """A fully connected layer: [rows, inputs] times an input-major W [inputs, outputs]."""

    rows: int
    inputs: int
    outputs: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame."""
        return self.rows * self.inputs * self.outputs


@dataclass(frozen=True)
class FunctionSpec(Spec):
    """An element-wise function of one operand."""

    function: Special
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True)
class PoolSpec(Spec):
    """A pooling layer with three spatial axes; `geometry` has the window as its kernel."""

    pooling: Pooling
    geometry: ConvGeometry
    out_shape: tuple[int, ...]


@dataclass(frozen=True)
class ElementwiseSpec(Spec):
    """An element-wise function of two operands over at most four axes; strides in elements, zero where repeated."""

    function: Binary
    swapped: bool
    constant: Float | None
    sizes: tuple[int, ...]
    a_strides: tuple[int, ...]
    b_strides: tuple[int, ...]

    @property
    def residents(self) -> tuple[Float, ...]:
        """The constant operand."""
        return () if self.constant is None else (self.constant,)


@dataclass(frozen=True)
class ConcatSpec(Spec):
    """Concatenation: `outer` rows, of each operand `widths[i]` elements a row."""

    outer: int
    widths: tuple[int, ...]


@dataclass(frozen=True)
class AliasSpec(Spec):
    """A change of shape alone: the output is the input's memory."""


@dataclass(frozen=True)
class HostSpec(Spec):
    """A sub-model as ONNX bytes; its inputs and outputs are the layer's, by name.

    `host_macs` are multiply-accumulates, `operations` elements of the outputs where there are none (one pass, assumed).
    """

    model: bytes
    host_macs: int
    operations: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame."""
        return self.host_macs


@dataclass(frozen=True)
class Layer:
    """One node, or a part of one: its name, operator, run-time operands, and what it computes.

    Costs are booked on the row of reports named `row`, the layer's own where that is empty: the parts of a node share
    the row of that node.
    """

    name: str
    op: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    spec: Spec
    row: str = ""


@dataclass(frozen=True)
class LayerGraph:
    """The layers in execution order, and the model's inputs and outputs (state of reuse sites left out)."""

    layers: tuple[Layer, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]  # those that are computed
    constants: dict[str, NDArray[Any]]  # outputs that are constants
    output_names: tuple[str, ...]  # of all outputs, in the model's order

    @cached_property
    def rows(self) -> dict[str, int]:
        """The number of each row that costs are booked on, by name, in the order of its first layer."""
        names = dict.fromkeys(layer.row or layer.name for layer in self.layers)
        return {name: number for number, name in enumerate(names)}

    def row(self, layer: Layer) -> int:
        """The number of the row of `layer`."""
        return self.rows[layer.row or layer.name]
