"""Readers by operator: what a node computes, in the terms of the instruction set."""

from reuse_compiler.backend.accelerator.lowering.readers import (
    elementwise,
    matmul,
    movement,
    normalizations,
    pooling,
    recurrent,
    reductions,
    resize,
    weights,
)
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader

__all__ = ["READERS", "Reader"]

READERS: dict[str, Reader] = {
    **weights.READERS,
    **pooling.READERS,
    **elementwise.READERS,
    **movement.READERS,
    **reductions.READERS,
    **normalizations.READERS,
    **matmul.READERS,
    **resize.READERS,
    **recurrent.READERS,
}
