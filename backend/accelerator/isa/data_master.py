"""Instructions of the data master."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.word import (
    Event,
    Instruction,
    Space,
    Unit,
    byte_address,
    choice,
    instruction,
    uint,
)

__all__ = ["Fill", "Load", "Store"]


@instruction(0x10, "load", Unit.DATA_MASTER, Event.DRAM_READ, Event.EDRAM_WRITE, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Load(Instruction):
    """Copy count0 x count1 runs of `run_bytes` bytes from DRAM to the eDRAM or the I/O buffer. Run (i, j) starts at
    address + i * stride0 + j * stride1, on either side with its own strides."""

    space: Space = choice(Space, 2, "destination: EDRAM or BUFFER")
    dram_address: int = byte_address(40, "byte address of the first run in DRAM")
    dram_stride0: int = uint(40, "bytes between outer runs in DRAM")
    dram_stride1: int = uint(40, "bytes between inner runs in DRAM")
    address: int = byte_address(32, "byte address of the first run in the destination")
    stride0: int = uint(32, "bytes between outer runs in the destination")
    stride1: int = uint(32, "bytes between inner runs in the destination")
    run_bytes: int = uint(32, "bytes of a run")
    count0: int = uint(24, "outer runs")
    count1: int = uint(24, "inner runs")


@instruction(0x11, "store", Unit.DATA_MASTER, Event.BUFFER_READ, Event.DRAM_WRITE)
@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """Copy count0 x count1 runs of `run_bytes` bytes from the I/O buffer to DRAM, addressed as in `load`."""

    dram_address: int = byte_address(40, "byte address of the first run in DRAM")
    dram_stride0: int = uint(40, "bytes between outer runs in DRAM")
    dram_stride1: int = uint(40, "bytes between inner runs in DRAM")
    address: int = byte_address(32, "byte address of the first run in the I/O buffer")
    stride0: int = uint(32, "bytes between outer runs in the I/O buffer")
    stride1: int = uint(32, "bytes between inner runs in the I/O buffer")
    run_bytes: int = uint(32, "bytes of a run")
    count0: int = uint(24, "outer runs")
    count1: int = uint(24, "inner runs")


@instruction(0x12, "fill", Unit.DATA_MASTER, Event.EDRAM_READ, Event.BUFFER_WRITE, Event.DRAM_WRITE)
@dataclass(frozen=True, kw_only=True)
class Fill(Instruction):
    """Write the state that a sequence starts with. With `count` zero: `repeat` copies of the `element_bytes` low bytes
    of `value`. Otherwise `copies` times in a row: each of the `count` float32 at `source` in the eDRAM, `repeat`
    times."""

    space: Space = choice(Space, 2, "destination: DRAM or BUFFER")
    address: int = byte_address(40, "byte address in the destination")
    value: int = uint(32, "the element, where count is zero")
    element_bytes: int = uint(4, "bytes of an element: 1, 2 or 4")
    source: int = byte_address(32, "eDRAM byte address of the elements, where count is not zero")
    count: int = uint(32, "elements at the source")
    repeat: int = uint(32, "copies of each element in a row")
    copies: int = uint(32, "copies of the whole pattern")
