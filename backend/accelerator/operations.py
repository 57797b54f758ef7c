"""Operations: instructions of a section together with the configuration that they run under.

Configuration instructions are captured in program order. What depends on the instruction alone is worked out once
here: the geometry of a tile, and the classes of fan-out of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import (
    ConfigureConv,
    ConfigureQuantizer,
    ConfigureTable,
    DeltaConv,
    DeltaFc,
    DenseConv,
    Instruction,
    Quantize,
)
from reuse_compiler.errors import ProgramError
from reuse_compiler.geometry import ConvGeometry

__all__ = ["Classes", "Operation", "operations"]


@dataclass(frozen=True, eq=False)
class Classes:
    """Inputs of a tile grouped by fan-out.

    `fan_out` int64 [classes]: multiply-accumulates that a changed input of the class takes part in; `sizes` int64
    [classes]: inputs in the class. A class is a product of taps along the axes: `of_axis` has per axis a one-hot matrix
    [distinct taps, extent], and `of_product` one [combinations of distinct taps, classes], both float32.
    """

    fan_out: NDArray[np.int64]
    sizes: NDArray[np.int64]
    of_axis: tuple[NDArray[np.float32], ...]
    of_product: NDArray[np.float32]

    def count(self, positions: NDArray[Any]) -> NDArray[Any]:
        """Sums over each class of whole numbers per spatial position: [n, extents of 3 axes] to [n, classes].

        Of the type of `positions`, and exact where that holds the sums: float32 below 2**24, float64 below 2**53.
        """
        first, second, third = self.of_axis
        count, *extents = positions.shape
        flat = positions.reshape(count, extents[0], extents[1] * extents[2])
        along = np.matmul(first, flat).reshape(count * len(first), *extents[1:])
        products = np.matmul(second, along if extents[2] == 1 else np.matmul(along, third.T))
        sums: NDArray[Any] = np.matmul(products.reshape(count, len(self.of_product)), self.of_product)
        return sums


@dataclass(frozen=True, eq=False)
class Operation:
    """An instruction with the geometry, the quantizer and the classes that it runs with, where it has them.

    `columns` is the number of trace columns that it writes each frame: for delta instructions the changed inputs of
    each class, then the committed inputs that changed, the skipped multiply-accumulates whose input is 0.0, and
    whether any input changed; for quantize the changed inputs.
    """

    instruction: Instruction
    geometry: ConvGeometry | None = None
    quantizer: ConfigureQuantizer | ConfigureTable | None = None
    classes: Classes | None = None

    @property
    def columns(self) -> int:
        """Trace columns of this operation."""
        if isinstance(self.instruction, Quantize):
            return 1
        if isinstance(self.instruction, DeltaConv | DeltaFc):
            assert self.classes is not None
            return self.classes.fan_out.size + 3
        return 0


def operations(section: Iterable[Instruction]) -> list[Operation]:
    """The operations of a section; configuration instructions are among them.

    Raises ProgramError where a compute instruction comes before its configuration.
    """
    conv: ConfigureConv | None = None
    quantizer: ConfigureQuantizer | ConfigureTable | None = None
    result = []
    for number, instruction in enumerate(section):
        geometry = classes = None
        if isinstance(instruction, ConfigureConv):
            conv = instruction
        elif isinstance(instruction, ConfigureQuantizer | ConfigureTable):
            quantizer = instruction
        elif isinstance(instruction, DenseConv | DeltaConv):
            if conv is None:
                raise ProgramError(f"instruction {number}, {instruction.MNEMONIC}: no configure.conv came before it")
            geometry = _geometry(instruction, conv)
            classes = _classes(geometry)
        elif isinstance(instruction, DeltaFc):
            classes = _one_class(instruction.outputs, instruction.rows * instruction.inputs)
        needs = isinstance(instruction, Quantize | DeltaFc | DeltaConv)
        if needs and quantizer is None:
            raise ProgramError(
                f"instruction {number}, {instruction.MNEMONIC}: no configure.quantizer or configure.table came before it"
            )
        result.append(Operation(instruction, geometry, quantizer if needs else None, classes))
    return result


def _geometry(tile: DenseConv | DeltaConv, conv: ConfigureConv) -> ConvGeometry:
    """The tile as a convolution of its own: its padding behind is what its output extents need."""
    outputs = (tile.out0, tile.out1, tile.out2)
    nothing = (0, 0, 0)
    bare = ConvGeometry(
        in_channels=tile.in_channels,
        out_channels=tile.out_channels,
        group=tile.group,
        in_shape=(tile.in0, tile.in1, tile.in2),
        kernel=(conv.kernel0, conv.kernel1, conv.kernel2),
        strides=(conv.stride0, conv.stride1, conv.stride2),
        dilations=(conv.dilation0, conv.dilation1, conv.dilation2),
        pads_begin=(tile.pad0, tile.pad1, tile.pad2),
        pads_end=nothing,
        transposed=bool(conv.transposed),
        output_padding=nothing if conv.transposed else (),
    )
    if conv.transposed:
        more = [wanted - size for wanted, size in zip(outputs, bare.out_shape, strict=True)]
        return replace(
            bare,
            pads_end=tuple(max(-count, 0) for count in more),
            output_padding=tuple(max(count, 0) for count in more),
        )
    end = tuple(
        max((outputs[a] - 1) * bare.strides[a] + bare.reach(a) - bare.pads_begin[a] - bare.in_shape[a], 0)
        for a in range(3)
    )
    geometry = replace(bare, pads_end=end)
    if geometry.out_shape != outputs:
        raise ProgramError(
            f"{tile.MNEMONIC}: field out is {list(outputs)}: the input extents give {list(geometry.out_shape)}"
        )
    return geometry


@lru_cache(maxsize=4096)
def _classes(geometry: ConvGeometry) -> Classes:
    taps, of_axis = [], []
    for axis in range(3):
        values, inverse = np.unique(geometry.taps(axis), return_inverse=True)
        taps.append(values)
        of_axis.append((inverse == np.arange(values.size)[:, None]).astype(np.float32))
    products, of_product = np.unique(reduce(np.multiply.outer, taps).reshape(-1), return_inverse=True)
    extents = reduce(np.multiply.outer, [matrix.sum(axis=1).astype(np.int64) for matrix in of_axis]).reshape(-1)
    return Classes(
        fan_out=products.astype(np.int64) * geometry.outputs_per_group,
        sizes=np.bincount(of_product, extents, products.size).astype(np.int64) * geometry.in_channels,
        of_axis=tuple(of_axis),
        of_product=(of_product[:, None] == np.arange(products.size)).astype(np.float32),
    )


@lru_cache(maxsize=4096)
def _one_class(outputs: int, inputs: int) -> Classes:
    return Classes(np.array([outputs], np.int64), np.array([inputs], np.int64), (), np.ones((1, 1), np.float32))
