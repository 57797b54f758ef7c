"""The instruction word: units, events, fields, and the base from which every instruction is declared."""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from reuse_compiler.errors import ProgramError

__all__ = [
    "EXECUTION_UNITS",
    "INSTRUCTIONS",
    "OPCODE_BITS",
    "WORD_BYTES",
    "Choice",
    "Event",
    "Field",
    "Instruction",
    "Space",
    "Unit",
    "build",
    "byte_address",
    "choice",
    "decode",
    "fields",
    "instruction",
    "real",
    "uint",
]

WORD_BYTES = 128


class Choice(enum.IntEnum):
    """A numbered choice; each member says what it means."""

    doc: str

    def __new__(cls, value: int, doc: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member


class Unit(Choice):
    """The units that execute instructions, each from its own in-order queue."""

    CONTROL = 0, "issues the instructions in program order, and executes its own as it meets them"
    DATA_MASTER = 1, "moves data between DRAM, eDRAM and I/O buffer, and fills memory"
    COMPUTE = 2, "quantizes, and multiplies and accumulates"
    SPECIAL = 3, "activations, pooling and element-wise functions"
    HOST = 4, "the processor that the accelerator is attached to"


EXECUTION_UNITS = (Unit.DATA_MASTER, Unit.COMPUTE, Unit.SPECIAL, Unit.HOST)


class Event(enum.StrEnum):
    """What is counted when an instruction executes; costs are computed from these counts."""

    doc: str

    def __new__(cls, value: str, doc: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member

    MACS = "macs", "multiply-accumulates done"
    MAC_CYCLES = "mac_cycles", "cycles that the lanes are busy with them"
    INPUTS_SCANNED = "inputs_scanned", "inputs quantized and compared with their past index"
    INPUTS_CHANGED = "inputs_changed", "inputs whose index changed"
    COMPARISONS = "comparisons", "comparisons of an input with a boundary of a table"
    EDRAM_READ = "edram_read_bytes", "bytes read from the eDRAM"
    EDRAM_WRITE = "edram_write_bytes", "bytes written to the eDRAM"
    BUFFER_READ = "buffer_read_bytes", "bytes read from the I/O buffer"
    BUFFER_WRITE = "buffer_write_bytes", "bytes written to the I/O buffer"
    DRAM_READ = "dram_read_bytes", "bytes read from DRAM"
    DRAM_WRITE = "dram_write_bytes", "bytes written to DRAM"
    TABLE_READ = "table_read_words", "words read from the centroid table"
    TABLE_WRITE = "table_write_words", "words written to the centroid table"
    SPECIAL_OPERATIONS = "special_operations", "elements times passes through the special function unit"
    HOST_MACS = "host_macs", "multiply-accumulates done on the host"
    HOST_OPERATIONS = "host_operations", "elements times passes done on the host"


class Space(Choice):
    """A memory that the data master can address."""

    DRAM = 0, "main memory"
    EDRAM = 1, "the memory of weights and other constants"
    BUFFER = 2, "the I/O buffer: activations, indices, linear outputs"


@dataclass(frozen=True)
class Field:
    """One operand: its width in bits, how its bits are read, and what it means."""

    name: str
    bits: int
    doc: str
    kind: type[int | float | Choice]
    address: bool = False  # counts bytes from the start of a memory

    def to_bits(self, value: Any, mnemonic: str) -> int:
        """The operand's bits. Raises ProgramError naming the field where the value does not fit."""
        if self.kind is float:
            return self._float_bits(value, mnemonic)
        if issubclass(self.kind, Choice):
            return self.member(value, mnemonic).value
        number = int(value)
        if not 0 <= number < 1 << self.bits:
            raise ProgramError(f"{mnemonic}: field {self.name} is {number}: it must be 0 to {(1 << self.bits) - 1}")
        return number

    def _float_bits(self, value: float, mnemonic: str) -> int:
        try:
            return int.from_bytes(struct.pack("<f", value), "little")
        except OverflowError as error:
            raise ProgramError(f"{mnemonic}: field {self.name} is {value}: it is too large for a float32") from error

    def from_bits(self, bits: int, mnemonic: str) -> Any:
        """The operand's value. Raises ProgramError naming the field where the bits mean nothing."""
        if self.kind is float:
            return struct.unpack("<f", bits.to_bytes(4, "little"))[0]
        if issubclass(self.kind, Choice):
            return self.member(bits, mnemonic)
        return bits

    def member(self, value: int, mnemonic: str) -> Choice:
        """The enumeration's member with this number. Raises ProgramError listing the members where there is none."""
        assert issubclass(self.kind, Choice)
        try:
            return self.kind(value)
        except ValueError as error:
            known = ", ".join(f"{member.value} {member.name}" for member in self.kind)
            raise ProgramError(f"{mnemonic}: field {self.name} is {value}: known are {known}") from error


def uint(bits: int, doc: str) -> Any:
    return dataclasses.field(default=0, metadata={"bits": bits, "doc": doc, "kind": int})


def byte_address(bits: int, doc: str) -> Any:
    return dataclasses.field(default=0, metadata={"bits": bits, "doc": doc, "kind": int, "address": True})


def real(doc: str) -> Any:
    return dataclasses.field(default=0.0, metadata={"bits": 32, "doc": doc, "kind": float})


def choice(kind: type[Choice], bits: int, doc: str) -> Any:
    return dataclasses.field(default=kind(0), metadata={"bits": bits, "doc": doc, "kind": kind})


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """Base of all instructions: the header, and the encoder that all declarations share."""

    OPCODE: ClassVar[int]
    MNEMONIC: ClassVar[str]
    UNIT: ClassVar[Unit]
    EVENTS: ClassVar[tuple[Event, ...]]

    layer: int = uint(16, "number of the layer that the costs are booked on")
    after_data_master: int = uint(24, "start when this many data master instructions of the section are complete")
    after_compute: int = uint(24, "the same for the compute engine")
    after_special: int = uint(24, "the same for the special function unit")
    after_host: int = uint(24, "the same for the host")

    def encode(self) -> bytes:
        """The instruction word: 128 bytes. Raises ProgramError naming a field that does not fit."""
        word, position = self.OPCODE, OPCODE_BITS
        for field in fields(type(self)):
            word |= field.to_bits(getattr(self, field.name), self.MNEMONIC) << position
            position += field.bits
        return word.to_bytes(WORD_BYTES, "little")

    @property
    def waits(self) -> dict[Unit, int]:
        """Completed instructions that each execution unit must show before this one starts; zeros left out."""
        counts = (self.after_data_master, self.after_compute, self.after_special, self.after_host)
        return {unit: count for unit, count in zip(EXECUTION_UNITS, counts, strict=True) if count}


OPCODE_BITS = 8
INSTRUCTIONS: dict[int, type[Instruction]] = {}
_FIELDS: dict[type[Instruction], tuple[Field, ...]] = {}

Declared = TypeVar("Declared", bound=Instruction)


def instruction(opcode: int, mnemonic: str, unit: Unit, *events: Event) -> Callable[[type[Declared]], type[Declared]]:
    """Declare an instruction: lay out its fields and enter it into the table of opcodes."""

    def declare(cls: type[Declared]) -> type[Declared]:
        cls.OPCODE, cls.MNEMONIC, cls.UNIT, cls.EVENTS = opcode, mnemonic, unit, events
        layout = tuple(Field(name=f.name, **f.metadata) for f in dataclasses.fields(cls))
        assert opcode not in INSTRUCTIONS, f"opcode {opcode:#x} is taken"
        assert OPCODE_BITS + sum(f.bits for f in layout) <= WORD_BYTES * 8, f"{mnemonic} is too wide"
        INSTRUCTIONS[opcode] = cls
        for code in sorted(INSTRUCTIONS):  # in the order of opcodes, whichever file is imported first
            INSTRUCTIONS[code] = INSTRUCTIONS.pop(code)
        _FIELDS[cls] = layout
        return cls

    return declare


def fields(kind: type[Instruction]) -> tuple[Field, ...]:
    """The fields of an instruction in the order of the word, the opcode left out."""
    return _FIELDS[kind]


def decode(word: bytes) -> Instruction:
    """The instruction of a 128-byte word.

    Raises ProgramError for a word of another length, an unknown opcode, an unknown choice, or reserved bits that are
    set.
    """
    if len(word) != WORD_BYTES:
        raise ProgramError(f"instruction word has {len(word)} bytes: it must have {WORD_BYTES}")
    bits = int.from_bytes(word, "little")
    opcode = bits & ((1 << OPCODE_BITS) - 1)
    kind = INSTRUCTIONS.get(opcode)
    if kind is None:
        raise ProgramError(f"field opcode is {opcode:#04x}: no instruction has it")
    bits >>= OPCODE_BITS
    values: dict[str, Any] = {}
    for field in fields(kind):
        values[field.name] = field.from_bits(bits & ((1 << field.bits) - 1), kind.MNEMONIC)
        bits >>= field.bits
    if bits:
        raise ProgramError(f"{kind.MNEMONIC}: field reserved is not zero: the word is damaged or of another version")
    return build(kind, values)


def build(kind: type[Instruction], values: Mapping[str, Any]) -> Instruction:
    """An instruction of `kind` from its fields by name."""
    return kind(**values)
