"""What layers compute along one axis of a contiguous array [outer, axis, inner]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Reduction
from reuse_compiler.backend.accelerator.lowering.specs import Spec

__all__ = ["ResampleSpec", "ScanSpec"]


@dataclass(frozen=True)
class ScanSpec(Spec):
    """Every element becomes the reduction of those up to it: without itself with `exclusive`, from the end with
    `reverse`."""

    reduction: Reduction
    sizes: tuple[int, int, int]
    exclusive: bool
    reverse: bool


@dataclass(frozen=True)
class ResampleSpec(Spec):
    """Row i along the axis of the output is the sum of `shares[i, t]` times row `table[i, t]` of the operand.

    `sizes` are those of the operand; table int32 and shares float32 [rows of the output, taps].
    """

    sizes: tuple[int, int, int]
    table: NDArray[Any]
    shares: NDArray[Any]

    @property
    def residents(self) -> tuple[NDArray[Any], ...]:
        """Table and shares."""
        return (self.table, self.shares)
