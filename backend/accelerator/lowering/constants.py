"""Constants: their image in DRAM, and which of them stay in the eDRAM.

Small constants (biases, deadbands, operands of element-wise layers) always stay. Of the weights the smallest stay as
long as they fit beside the staging halves; the others pass through the halves tile by tile in every frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.lowering.storage import aligned
from reuse_compiler.errors import HardwareError

__all__ = ["Constant", "ConstantImage", "Residency", "choose_residency"]

_STAGING_HALF_BYTES = 1 << 20  # of an eDRAM that has eight times that; an eighth of a smaller one


@dataclass(frozen=True)
class Constant:
    """An array at a byte address of the DRAM image."""

    address: int
    bytes: int


@dataclass
class ConstantImage:
    """The arrays of a model, each distinct one once, in the order in which they were added; `size` in bytes."""

    size: int = 0
    _arrays: list[NDArray[Any]] = field(default_factory=list)
    _known: dict[bytes, Constant] = field(default_factory=dict)
    _seen: dict[int, tuple[NDArray[Any], Constant]] = field(default_factory=dict)

    def add(self, array: NDArray[Any]) -> Constant:
        """The place of `array`, in C order: of whatever float type as float32, anything else as it is."""
        if id(array) not in self._seen:
            self._seen[id(array)] = (array, self._add(array))
        return self._seen[id(array)][1]

    def _add(self, array: NDArray[Any]) -> Constant:
        dtype = np.float32 if array.dtype.kind == "f" else array.dtype
        return self._place(np.ascontiguousarray(array, dtype).reshape(-1))

    def _place(self, flat: NDArray[Any]) -> Constant:
        key = hashlib.sha256(flat.view(np.uint8).data).digest()
        if key not in self._known:
            self._known[key] = Constant(self.size, flat.nbytes)
            self._arrays.append(flat)
            self.size += aligned(flat.nbytes)
        return self._known[key]

    def add_bytes(self, array: NDArray[Any]) -> Constant:
        """The place of `array`, stored as it is in C order."""
        return self._place(np.ascontiguousarray(array).reshape(-1))

    def add_floats(self, values: Sequence[float]) -> Constant:
        """The place of a list of float32."""
        return self._add(np.asarray(values, np.float32))

    def image(self) -> NDArray[np.uint8]:
        """The bytes of DRAM from address 0."""
        image = np.zeros(self.size, np.uint8)
        position = 0
        for array in self._arrays:
            image[position : position + array.nbytes] = array.view(np.uint8)
            position += aligned(array.nbytes)
        return image


@dataclass(frozen=True)
class Residency:
    """eDRAM byte addresses of the constants that stay, and the two halves for those that stream."""

    resident: dict[Constant, int]
    staging_start: int
    staging_half: int


def choose_residency(
    small: list[Constant],
    weights: dict[Constant, int],
    edram_bytes: int,
    repeated: Sequence[Sequence[Constant]] = (),
) -> Residency:
    """Divide the eDRAM. `weights` maps a constant to the bytes of its smallest tile; `repeated` lists, by layer, those
    that every time step reads again.

    The repeated ones stay before all others. Where not all of them do, the staging halves together hold those of any one
    layer, if they can, so that they are loaded once a frame.

    Raises HardwareError where the small constants and two smallest tiles do not fit.
    """
    everything = list(dict.fromkeys([*small, *weights]))
    if sum(aligned(constant.bytes) for constant in everything) <= edram_bytes:
        return _stack(everything, edram_bytes, 0)
    half = aligned(max([min(_STAGING_HALF_BYTES, edram_bytes // 8), *weights.values()]))
    free = edram_bytes - sum(aligned(constant.bytes) for constant in dict.fromkeys(small))
    if free < 2 * half:
        raise HardwareError(
            f"eDRAM of {edram_bytes:,} bytes: the constants other than weights and two weight tiles of {half:,} bytes do"
            f" not fit: make it {2 * half - free:,} bytes larger"
        )
    first = {constant for layer in repeated for constant in layer}
    if sum(aligned(constant.bytes) for constant in first - {*small}) > free - 2 * half:
        layers = [sum(aligned(constant.bytes) for constant in {*layer}) for layer in repeated]
        wide = max(half, aligned(-(-max(layers) // 2)))
        if 2 * wide <= free:
            half, first = wide, set()  # held for a frame they cost no more than others
    chosen = list(dict.fromkeys(small))
    room = free - 2 * half
    for constant in sorted(weights, key=lambda c: (c not in first, c.bytes)):
        if aligned(constant.bytes) <= room and constant not in chosen:
            chosen.append(constant)
            room -= aligned(constant.bytes)
    return _stack(chosen, edram_bytes - 2 * half, half)


def _stack(constants: list[Constant], staging_start: int, half: int) -> Residency:
    resident, top = {}, 0
    for constant in constants:
        resident[constant] = top
        top += aligned(constant.bytes)
    return Residency(resident, staging_start, half)
