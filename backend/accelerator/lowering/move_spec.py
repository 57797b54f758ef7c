"""What a layer does that only moves elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.lowering.specs import Spec
from reuse_compiler.backend.accelerator.movement import Move, TableMove

__all__ = ["MoveSpec", "constant_words"]


@dataclass(frozen=True)
class MoveSpec(Spec):
    """Moves of elements to the output, in this order; their sources are the layer's inputs by number.

    `constants` are what moves read that are no operand's, as int32 words whatever their type.
    """

    element_bytes: int
    moves: tuple[Move, ...]
    constants: NDArray[np.int32]

    @property
    def residents(self) -> tuple[NDArray[Any], ...]:
        """The constants and the tables."""
        tables = tuple(move.table for move in self.moves if isinstance(move, TableMove))
        return (self.constants, *tables) if self.constants.size else tables


def constant_words(array: NDArray[Any]) -> NDArray[np.int32]:
    """The bytes of `array` as int32 words, zeros behind where it ends within one."""
    data = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
    return np.pad(data, (0, -data.size % 4)).view(np.int32)
