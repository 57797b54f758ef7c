"""Interpolation: the special function unit's weighted sums of rows."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.word import Event, Instruction, Unit, byte_address, instruction, uint

__all__ = ["Resample"]


@instruction(
    0x3A,
    "resample",
    Unit.SPECIAL,
    Event.SPECIAL_OPERATIONS,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class Resample(Instruction):
    """y[o, i, n] = the sum of weights[i, t] * x[o, table[i, t], n] over the taps t, for outer x entries x inner elements.
    Table (int32) and weights (float32) are read once for each o."""

    table: int = byte_address(32, "eDRAM byte address of the table [entries, taps]")
    weights: int = byte_address(32, "eDRAM byte address of the weights [entries, taps]")
    x: int = byte_address(32, "I/O buffer byte address of x [outer, rows, inner]")
    x_stride0: int = uint(28, "elements along the outer axis of x")
    x_stride1: int = uint(28, "elements between rows of x")
    x_stride2: int = uint(28, "elements along the inner axis of x")
    y: int = byte_address(32, "I/O buffer byte address of y [outer, entries, inner]")
    y_stride0: int = uint(28, "elements along the outer axis of y")
    y_stride1: int = uint(28, "elements between entries of y")
    y_stride2: int = uint(28, "elements along the inner axis of y")
    outer: int = uint(28, "extent of the outer axis")
    rows: int = uint(28, "rows of x: entries of the table are below")
    entries: int = uint(28, "rows of y")
    taps: int = uint(28, "rows of x that one row of y is a sum of")
    inner: int = uint(28, "extent of the inner axis")
