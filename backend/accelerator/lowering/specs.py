"""What layers compute, in the terms of the instruction set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Binary, Element, Pooling, Reduction, Special
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.operators import Activation
from reuse_compiler.quantizers import Quantizer

__all__ = [
    "NUMBERS",
    "AliasSpec",
    "Booking",
    "BroadcastSpec",
    "ConvSpec",
    "ElementwiseSpec",
    "FcSpec",
    "FunctionSpec",
    "HostSpec",
    "Layer",
    "LayerGraph",
    "MatmulSpec",
    "Operand",
    "PoolSpec",
    "ReduceSpec",
    "SelectSpec",
    "SiteSpec",
    "Spec",
    "Tensor",
]

Float = NDArray[Any]


@dataclass(frozen=True)
class Tensor:
    """A value that is computed at run time.

    With `on_host` it has no place in any memory of the accelerator: a size that the values decide, strings, a sequence.
    Then it goes from host layer to host layer inside the host; `shape` and `dtype` say nothing.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    on_host: bool = False

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Booking:
    """What a layer books on one row of reports: `part` is what the row's name has behind that of the layer.

    `inputs` are the elements that a site quantizes in a frame.
    """

    part: str
    macs: int
    inputs: int = 0
    quantizer: Quantizer | None = None


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a layer computes."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame."""
        return 0

    @property
    def weights(self) -> tuple[Float, ...]:
        """Constants that may stay in the eDRAM or stream through it."""
        return ()

    @property
    def residents(self) -> tuple[Float, ...]:
        """Constants that must stay in the eDRAM: float32 or int32 arrays. Weights, which may stream, are not among
        them."""
        return ()

    @property
    def quantizers(self) -> tuple[Quantizer, ...]:
        """Of every site; empty where the layer does not reuse."""
        return ()

    def bookings(self, inputs: tuple[Tensor, ...]) -> tuple[Booking, ...]:
        """What the layer books on rows of reports, given its run-time operands."""
        return (Booking("", self.macs),)


@dataclass(frozen=True, kw_only=True)
class SiteSpec(Spec):
    """A layer with weights, which reuses where it has a quantizer."""

    weight: Float
    bias: Float
    activation: Activation = field(default_factory=Activation)
    quantizer: Quantizer | None = None

    @property
    def residents(self) -> tuple[Float, ...]:
        """The bias; the deadbands of a quantizer belong to the reuse machine alone."""
        return (self.bias,)

    @property
    def weights(self) -> tuple[Float, ...]:
        """The weight."""
        return (self.weight,)

    @property
    def quantizers(self) -> tuple[Quantizer, ...]:
        """The one of the site, if it has one."""
        return () if self.quantizer is None else (self.quantizer,)

    def bookings(self, inputs: tuple[Tensor, ...]) -> tuple[Booking, ...]:
        """One row; a site quantizes all of its input."""
        if self.quantizer is None:
            return (Booking("", self.macs),)
        return (Booking("", self.macs, math.prod(inputs[0].shape), self.quantizer),)


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
class Operand:
    """An operand of a broadcast: the layer's next run-time operand, or a constant. It has a stride in elements for each
    axis of the output, zero where it is repeated."""

    strides: tuple[int, ...]
    constant: Float | None = None


@dataclass(frozen=True)
class BroadcastSpec(Spec):
    """Something computed element by element over the axes of the output, neighbouring ones merged where strides allow."""

    sizes: tuple[int, ...]
    operands: tuple[Operand, ...]

    @property
    def residents(self) -> tuple[Float, ...]:
        """The constant operands."""
        return tuple(operand.constant for operand in self.operands if operand.constant is not None)


@dataclass(frozen=True)
class ElementwiseSpec(BroadcastSpec):
    """A function of two operands, of which one is a constant at most."""

    function: Binary


@dataclass(frozen=True)
class SelectSpec(BroadcastSpec):
    """The second operand where the first is true, else the third."""


NUMBERS = frozenset({Reduction.ARG_MAX, Reduction.ARG_MIN, Reduction.ARG_MAX_LAST, Reduction.ARG_MIN_LAST})
"""Reductions to the number of an element, which no second run of elements can be folded into."""


@dataclass(frozen=True)
class ReduceSpec(Spec):
    """A reduction of a contiguous array of at most four axes, along those that are `folded`; at most two are, and at
    most two are not."""

    reduction: Reduction
    sizes: tuple[int, ...]
    folded: tuple[bool, ...]
    scale: float = 1.0
    element: Element = Element.FLOAT32
    result: Element = Element.FLOAT32

    @property
    def kept(self) -> tuple[int, ...]:
        """Extents of the axes that stay."""
        return tuple(size for size, folded in zip(self.sizes, self.folded, strict=True) if not folded)


@dataclass(frozen=True)
class MatmulSpec(Spec):
    """Products of `matrices` (two axes) pairs of matrices: [rows, inputs] times [inputs, outputs].

    x, W and z are contiguous arrays [*matrices, first, second]; an operand whose matrices repeat along an axis has size 1
    there. Where `*_transposed`, columns come before rows. W is the second operand, or the constant `weight`.
    """

    matrices: tuple[int, int]
    rows: int
    inputs: int
    outputs: int
    x_matrices: tuple[int, int]
    w_matrices: tuple[int, int]
    x_transposed: bool = False
    w_transposed: bool = False
    z_transposed: bool = False
    weight: Float | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame."""
        return math.prod(self.matrices) * self.rows * self.inputs * self.outputs

    @property
    def residents(self) -> tuple[Float, ...]:
        """The constant operand."""
        return () if self.weight is None else (self.weight,)


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
    the row of that node. A layer that books on several rows has them named behind that one.
    """

    name: str
    op: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    spec: Spec
    row: str = ""

    @property
    def bookings(self) -> dict[str, Booking]:
        """What is booked on each row, by the name of the row."""
        name = self.row or self.name
        return {name + booking.part: booking for booking in self.spec.bookings(self.inputs)}


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
        names = dict.fromkeys(name for layer in self.layers for name in layer.bookings)
        return {name: number for number, name in enumerate(names)}

    def row(self, layer: Layer, part: str = "") -> int:
        """The number of the row of `layer`, or of its row with that part of the name."""
        return self.rows[(layer.row or layer.name) + part]
