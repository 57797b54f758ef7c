"""The memories of the machine: DRAM, eDRAM and I/O buffer as bytes, and strided views into them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Space
from reuse_compiler.backend.accelerator.program import Binding, Code
from reuse_compiler.errors import ProgramError

__all__ = ["Memory"]


class Memory:
    """Byte arrays of one machine; views stay valid as long as it lives."""

    def __init__(self, code: Code, constants: NDArray[Any], edram_bytes: int) -> None:
        """DRAM begins with `constants` (uint8)."""
        dram = np.zeros(max(code.dram_bytes, constants.size), np.uint8)
        dram[: constants.size] = constants
        self._spaces = {
            Space.DRAM: dram,
            Space.EDRAM: np.zeros(edram_bytes, np.uint8),
            Space.BUFFER: np.zeros(code.buffer_bytes, np.uint8),
        }

    def view(
        self, space: Space, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any
    ) -> NDArray[Any]:
        """A view of `shape` at byte `address` with strides in elements.

        Raises ProgramError where it leaves the memory or is not aligned to its elements.
        """
        kind = np.dtype(dtype)
        memory = self._spaces[space]
        last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        end = address + (last + 1) * kind.itemsize
        if math.prod(shape) and end > memory.size:
            raise ProgramError(
                f"operand at byte {address:,} of the {space.name} ends at byte {end:,}: it has {memory.size:,} bytes"
            )
        if address % kind.itemsize:
            raise ProgramError(
                f"operand at byte {address:,} of the {space.name} is not aligned to {kind.itemsize} bytes"
            )
        if not math.prod(shape):
            return np.zeros(shape, kind)
        flat = memory[address:end].view(kind)
        return as_strided(flat, shape, tuple(stride * kind.itemsize for stride in strides))

    def array(self, space: Space, address: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A dense view of `shape` at byte `address`."""
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return self.view(space, address, shape, strides, dtype)

    def tensor(self, binding: Binding) -> NDArray[Any]:
        """The view of a bound tensor in DRAM."""
        return self.array(Space.DRAM, binding.address, binding.shape, binding.dtype)
