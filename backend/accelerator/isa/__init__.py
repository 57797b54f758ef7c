"""The instruction set: every instruction is declared once, here.

A declaration gives the opcode, the unit that executes it, its operands with their widths, what it does in words, and
the events that it causes. The encoder, decoder, assembler, disassembler, interpreter dispatch, event counts and the
reference page ``docs/isa.md`` are derived from it.

An instruction word is 1,024 bits, little endian. The header is the same for all: opcode, layer number, and for each
execution unit the number of its instructions in this section that must be complete before this one starts. Operands
follow in order of their declaration, packed without gaps; the bits behind the last operand are zero.
"""

from __future__ import annotations

from reuse_compiler.backend.accelerator.isa.compute import DeltaConv, DeltaFc, DenseConv, DenseFc, Quantize
from reuse_compiler.backend.accelerator.isa.control import (
    ConfigureConv,
    ConfigureQuantizer,
    ConfigureTable,
    Halt,
    Loop,
    Over,
    Sync,
)
from reuse_compiler.backend.accelerator.isa.data_master import Fill, Load, Store
from reuse_compiler.backend.accelerator.isa.elements import Element
from reuse_compiler.backend.accelerator.isa.functions import Binary, Computed, Pass, Special
from reuse_compiler.backend.accelerator.isa.host import Host
from reuse_compiler.backend.accelerator.isa.matmul import DenseMatmul
from reuse_compiler.backend.accelerator.isa.movement import Copy, Gather
from reuse_compiler.backend.accelerator.isa.reduce import Reduce, Reduction, Scan
from reuse_compiler.backend.accelerator.isa.resample import Resample
from reuse_compiler.backend.accelerator.isa.special import Elementwise, Function, Pool, Pooling, Select
from reuse_compiler.backend.accelerator.isa.word import (
    EXECUTION_UNITS,
    INSTRUCTIONS,
    OPCODE_BITS,
    WORD_BYTES,
    Choice,
    Event,
    Field,
    Instruction,
    Space,
    Unit,
    build,
    decode,
    fields,
)

__all__ = [
    "EXECUTION_UNITS",
    "INSTRUCTIONS",
    "OPCODE_BITS",
    "WORD_BYTES",
    "Binary",
    "Choice",
    "Computed",
    "ConfigureConv",
    "ConfigureQuantizer",
    "ConfigureTable",
    "Copy",
    "DeltaConv",
    "DeltaFc",
    "DenseConv",
    "DenseFc",
    "DenseMatmul",
    "Element",
    "Elementwise",
    "Event",
    "Field",
    "Fill",
    "Function",
    "Gather",
    "Halt",
    "Host",
    "Instruction",
    "Load",
    "Loop",
    "Over",
    "Pass",
    "Pool",
    "Pooling",
    "Quantize",
    "Reduce",
    "Reduction",
    "Resample",
    "Scan",
    "Select",
    "Space",
    "Special",
    "Store",
    "Sync",
    "Unit",
    "build",
    "decode",
    "fields",
]
