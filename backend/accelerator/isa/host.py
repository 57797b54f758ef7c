"""Instructions of the host."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.word import Event, Instruction, Unit, instruction, uint

__all__ = ["Host"]


@instruction(0x40, "host", Unit.HOST, Event.HOST_MACS, Event.HOST_OPERATIONS, Event.DRAM_READ, Event.DRAM_WRITE)
@dataclass(frozen=True, kw_only=True)
class Host(Instruction):
    """Run a sub-model that the accelerator has no instruction for; its operands lie in DRAM where the program's host
    table says."""

    model: int = uint(16, "entry in the host table")
    macs: int = uint(48, "multiply-accumulates, done at the compute engine's rate")
    operations: int = uint(48, "elements times passes, done at the special function unit's rate")
    read_bytes: int = uint(40, "bytes read from DRAM")
    write_bytes: int = uint(40, "bytes written to DRAM")
