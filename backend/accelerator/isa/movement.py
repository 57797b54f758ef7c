"""Instructions of the special function unit that move elements and compute nothing."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.word import Event, Instruction, Unit, byte_address, instruction, uint

__all__ = ["Copy", "Gather"]


@instruction(
    0x3C,
    "copy",
    Unit.SPECIAL,
    Event.SPECIAL_OPERATIONS,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class Copy(Instruction):
    """y = x, element by element, over a block of four axes. A stride of zero repeats x along that axis. Along an axis
    whose bit in `backwards` is set, x is read from its end to its begin. x is in the I/O buffer, or a constant in the
    eDRAM; an element of 8 bytes takes two passes."""

    element_bytes: int = uint(4, "bytes of an element: 1, 2, 4 or 8")
    constant: int = uint(1, "1: x is in the eDRAM")
    backwards: int = uint(4, "bit k: x is read backwards along axis k")
    x: int = byte_address(32, "byte address of the element of x at the lowest address")
    x_stride0: int = uint(28, "elements along axis 0 of x")
    x_stride1: int = uint(28, "elements along axis 1 of x")
    x_stride2: int = uint(28, "elements along axis 2 of x")
    x_stride3: int = uint(28, "elements along axis 3 of x")
    y: int = byte_address(32, "I/O buffer byte address of y")
    y_stride0: int = uint(28, "elements along axis 0 of y")
    y_stride1: int = uint(28, "elements along axis 1 of y")
    y_stride2: int = uint(28, "elements along axis 2 of y")
    y_stride3: int = uint(28, "elements along axis 3 of y")
    size0: int = uint(28, "extent of axis 0")
    size1: int = uint(28, "extent of axis 1")
    size2: int = uint(28, "extent of axis 2")
    size3: int = uint(28, "extent of axis 3")


@instruction(
    0x3D,
    "gather",
    Unit.SPECIAL,
    Event.SPECIAL_OPERATIONS,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class Gather(Instruction):
    """y[o, i, n] = x[o, table[i], n] for outer x entries x inner elements. An entry below zero leaves y as it is there,
    and costs what the others do. The table is int32 in the eDRAM and read once for each o. x is in the I/O buffer, or a
    constant in the eDRAM; an element of 8 bytes takes two passes."""

    element_bytes: int = uint(4, "bytes of an element: 1, 2, 4 or 8")
    constant: int = uint(1, "1: x is in the eDRAM")
    table: int = byte_address(32, "eDRAM byte address of the table [entries]")
    x: int = byte_address(32, "byte address of x [outer, rows, inner]")
    x_stride0: int = uint(28, "elements along the outer axis of x")
    x_stride1: int = uint(28, "elements between rows of x")
    x_stride2: int = uint(28, "elements along the inner axis of x")
    y: int = byte_address(32, "I/O buffer byte address of y [outer, entries, inner]")
    y_stride0: int = uint(28, "elements along the outer axis of y")
    y_stride1: int = uint(28, "elements between entries of y")
    y_stride2: int = uint(28, "elements along the inner axis of y")
    outer: int = uint(28, "extent of the outer axis")
    rows: int = uint(28, "rows of x: entries are below")
    entries: int = uint(28, "entries of the table")
    inner: int = uint(28, "extent of the inner axis")
