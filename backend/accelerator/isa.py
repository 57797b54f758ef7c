"""The instruction set: every instruction is declared once, here.

A declaration gives the opcode, the unit that executes it, its operands with their widths, what it does in words, and
the events that it causes. The encoder, decoder, assembler, disassembler, interpreter dispatch, event counts and the
reference page ``docs/isa.md`` are derived from it.

An instruction word is 1,024 bits, little endian. The header is the same for all: opcode, layer number, and for each
execution unit the number of its instructions in this section that must be complete before this one starts. Operands
follow in order of their declaration, packed without gaps; the bits behind the last operand are zero.
"""

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
    "Binary",
    "Choice",
    "ConfigureConv",
    "ConfigureQuantizer",
    "DeltaConv",
    "DeltaFc",
    "DenseConv",
    "DenseFc",
    "Elementwise",
    "Event",
    "Field",
    "Fill",
    "Function",
    "Halt",
    "Host",
    "Instruction",
    "Load",
    "Loop",
    "Over",
    "Pool",
    "Pooling",
    "Quantize",
    "Space",
    "Special",
    "Store",
    "Sync",
    "Unit",
    "decode",
    "fields",
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


class Over(Choice):
    """What a loop runs over."""

    SEQUENCES = 0, "the sequences of the stream"
    FRAMES = 1, "the frames of the sequence"


class Special(Choice):
    """Element-wise functions of one operand; `alpha` and `beta` are the instruction's parameters."""

    IDENTITY = 0, "x"
    RAMP = 1, "min(max(x, alpha * x), beta): Relu, LeakyRelu, Relu6"
    SIGMOID = 2, "1 / (1 + exp(-x))"
    TANH = 3, "tanh(x)"
    ATAN = 4, "atan(x)"
    EXP = 5, "exp(x)"
    LOG = 6, "natural logarithm of x"
    SQRT = 7, "square root of x"
    ABS = 8, "absolute value of x"
    NEG = 9, "-x"
    CLIP = 10, "x clipped to alpha..beta"
    ELU = 11, "x where x > 0, else alpha * (exp(x) - 1)"
    SOFTPLUS = 12, "log(1 + exp(x))"
    HARD_SIGMOID = 13, "max(0, min(1, alpha * x + beta))"
    RECIPROCAL = 14, "1 / x"
    ERF = 15, "the error function of x"


class Pooling(Choice):
    """Reduction of a pooling window."""

    MAX = 0, "the largest element inside the tensor"
    AVERAGE = 1, "the mean of the elements inside the tensor"
    AVERAGE_PADDED = 2, "the mean over the whole window, padding included"


class Binary(Choice):
    """Element-wise functions of two operands."""

    ADD = 0, "a + b"
    SUB = 1, "a - b"
    MUL = 2, "a * b"
    DIV = 3, "a / b"
    MAX = 4, "the larger of a and b"
    MIN = 5, "the smaller of a and b"


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


def _uint(bits: int, doc: str) -> Any:
    return dataclasses.field(default=0, metadata={"bits": bits, "doc": doc, "kind": int})


def _address(bits: int, doc: str) -> Any:
    return dataclasses.field(default=0, metadata={"bits": bits, "doc": doc, "kind": int, "address": True})


def _real(doc: str) -> Any:
    return dataclasses.field(default=0.0, metadata={"bits": 32, "doc": doc, "kind": float})


def _choice(kind: type[Choice], bits: int, doc: str) -> Any:
    return dataclasses.field(default=kind(0), metadata={"bits": bits, "doc": doc, "kind": kind})


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """Base of all instructions: the header, and the encoder that all declarations share."""

    OPCODE: ClassVar[int]
    MNEMONIC: ClassVar[str]
    UNIT: ClassVar[Unit]
    EVENTS: ClassVar[tuple[Event, ...]]

    layer: int = _uint(16, "number of the layer that the costs are booked on")
    after_data_master: int = _uint(24, "start when this many data master instructions of the section are complete")
    after_compute: int = _uint(24, "the same for the compute engine")
    after_special: int = _uint(24, "the same for the special function unit")
    after_host: int = _uint(24, "the same for the host")

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


def _instruction(opcode: int, mnemonic: str, unit: Unit, *events: Event) -> Callable[[type[Declared]], type[Declared]]:
    """Declare an instruction: lay out its fields and enter it into the table of opcodes."""

    def declare(cls: type[Declared]) -> type[Declared]:
        cls.OPCODE, cls.MNEMONIC, cls.UNIT, cls.EVENTS = opcode, mnemonic, unit, events
        layout = tuple(Field(name=f.name, **f.metadata) for f in dataclasses.fields(cls))
        assert opcode not in INSTRUCTIONS, f"opcode {opcode:#x} is taken"
        assert OPCODE_BITS + sum(f.bits for f in layout) <= WORD_BYTES * 8, f"{mnemonic} is too wide"
        INSTRUCTIONS[opcode] = cls
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


# ------------------------------------------------------------------------------------------------------- control unit


@_instruction(0x00, "halt", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class Halt(Instruction):
    """End the program."""


@_instruction(0x01, "sync", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class Sync(Instruction):
    """Wait until every unit has completed all instructions issued before; the counters of completed instructions that
    `after_*` refer to begin again at zero."""


@_instruction(0x02, "loop", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class Loop(Instruction):
    """Repeat the next `length` instructions, once for each sequence of the stream or each frame of the sequence. A
    body ends with `sync`."""

    over: Over = _choice(Over, 1, "what to repeat for")
    length: int = _uint(32, "instructions in the body")


@_instruction(0x03, "configure.conv", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class ConfigureConv(Instruction):
    """Set the compute engine to a convolution; holds for the compute instructions that follow in program order. Unused
    spatial axes come last and have kernel, stride and dilation 1."""

    kernel0: int = _uint(16, "kernel size, outermost axis")
    kernel1: int = _uint(16, "kernel size, middle axis")
    kernel2: int = _uint(16, "kernel size, innermost axis")
    stride0: int = _uint(16, "stride, outermost axis")
    stride1: int = _uint(16, "stride, middle axis")
    stride2: int = _uint(16, "stride, innermost axis")
    dilation0: int = _uint(16, "dilation, outermost axis")
    dilation1: int = _uint(16, "dilation, middle axis")
    dilation2: int = _uint(16, "dilation, innermost axis")


@_instruction(0x04, "configure.quantizer", Unit.CONTROL, Event.TABLE_WRITE)
@dataclass(frozen=True, kw_only=True)
class ConfigureQuantizer(Instruction):
    """Load the quantizer of the instructions that follow in program order: index = clip(rint(x / step) + zero, 0,
    clusters - 1) with centroids c(k) = (k - zero) * step, computed as reuse_compiler.quantizers defines; while
    abs(x - c(past)) <= deadband the past index stays. Indices take one byte up to 256 clusters and two above."""

    step: float = _real("distance of two centroids")
    zero: int = _uint(16, "index whose centroid is 0.0")
    clusters: int = _uint(16, "number of centroids")
    deadband: float = _real("deadband of all channels, where deadband_channels is zero")
    deadband_channels: int = _uint(24, "number of per-channel deadbands, or zero")
    deadband_address: int = _address(32, "eDRAM byte address of the per-channel deadbands, float32")


# -------------------------------------------------------------------------------------------------------- data master


@_instruction(0x10, "load", Unit.DATA_MASTER, Event.DRAM_READ, Event.EDRAM_WRITE, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Load(Instruction):
    """Copy count0 x count1 runs of `run_bytes` bytes from DRAM to the eDRAM or the I/O buffer. Run (i, j) starts at
    address + i * stride0 + j * stride1, on either side with its own strides."""

    space: Space = _choice(Space, 2, "destination: EDRAM or BUFFER")
    dram_address: int = _address(40, "byte address of the first run in DRAM")
    dram_stride0: int = _uint(40, "bytes between outer runs in DRAM")
    dram_stride1: int = _uint(40, "bytes between inner runs in DRAM")
    address: int = _address(32, "byte address of the first run in the destination")
    stride0: int = _uint(32, "bytes between outer runs in the destination")
    stride1: int = _uint(32, "bytes between inner runs in the destination")
    run_bytes: int = _uint(32, "bytes of a run")
    count0: int = _uint(24, "outer runs")
    count1: int = _uint(24, "inner runs")


@_instruction(0x11, "store", Unit.DATA_MASTER, Event.BUFFER_READ, Event.DRAM_WRITE)
@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """Copy count0 x count1 runs of `run_bytes` bytes from the I/O buffer to DRAM, addressed as in `load`."""

    dram_address: int = _address(40, "byte address of the first run in DRAM")
    dram_stride0: int = _uint(40, "bytes between outer runs in DRAM")
    dram_stride1: int = _uint(40, "bytes between inner runs in DRAM")
    address: int = _address(32, "byte address of the first run in the I/O buffer")
    stride0: int = _uint(32, "bytes between outer runs in the I/O buffer")
    stride1: int = _uint(32, "bytes between inner runs in the I/O buffer")
    run_bytes: int = _uint(32, "bytes of a run")
    count0: int = _uint(24, "outer runs")
    count1: int = _uint(24, "inner runs")


@_instruction(0x12, "fill", Unit.DATA_MASTER, Event.EDRAM_READ, Event.BUFFER_WRITE, Event.DRAM_WRITE)
@dataclass(frozen=True, kw_only=True)
class Fill(Instruction):
    """Write the state that a sequence starts with. With `count` zero: `repeat` copies of the `element_bytes` low bytes
    of `value`. Otherwise `copies` times in a row: each of the `count` float32 at `source` in the eDRAM, `repeat`
    times."""

    space: Space = _choice(Space, 2, "destination: DRAM or BUFFER")
    address: int = _address(40, "byte address in the destination")
    value: int = _uint(32, "the element, where count is zero")
    element_bytes: int = _uint(4, "bytes of an element: 1, 2 or 4")
    source: int = _address(32, "eDRAM byte address of the elements, where count is not zero")
    count: int = _uint(32, "elements at the source")
    repeat: int = _uint(32, "copies of each element in a row")
    copies: int = _uint(32, "copies of the whole pattern")


# ----------------------------------------------------------------------------------------------------- compute engine


@_instruction(
    0x20,
    "quantize",
    Unit.COMPUTE,
    Event.INPUTS_SCANNED,
    Event.INPUTS_CHANGED,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
    Event.TABLE_READ,
)
@dataclass(frozen=True, kw_only=True)
class Quantize(Instruction):
    """Quantize outer x channels x inner float32 at `x`, given the past indices at `index`: the present indices replace
    them there, and the past ones move to `list`. The pair is the change list that delta instructions of several layers
    then read."""

    x: int = _address(32, "I/O buffer byte address of the tensor, contiguous")
    index: int = _address(32, "I/O buffer byte address of the indices, contiguous")
    list: int = _address(32, "I/O buffer byte address that receives the past indices, contiguous")
    channel: int = _uint(32, "number of the first channel, for per-channel deadbands")
    outer: int = _uint(32, "extent before the channel axis")
    channels: int = _uint(32, "extent of the channel axis, along which deadbands lie")
    inner: int = _uint(32, "extent after the channel axis")


@_instruction(
    0x21,
    "dense.fc",
    Unit.COMPUTE,
    Event.MACS,
    Event.MAC_CYCLES,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class DenseFc(Instruction):
    """z = B + x W for a tile of a fully connected layer, or z += x W with `accumulate`. Weights are input-major."""

    x: int = _address(32, "I/O buffer byte address of the inputs [rows, inputs]")
    x_stride: int = _uint(32, "elements between rows of x")
    z: int = _address(32, "I/O buffer byte address of the outputs [rows, outputs]")
    z_stride: int = _uint(32, "elements between rows of z")
    weights: int = _address(32, "eDRAM byte address of the weights [inputs, outputs]")
    weights_stride: int = _uint(32, "elements between inputs")
    bias: int = _address(32, "eDRAM byte address of the bias [outputs]")
    rows: int = _uint(32, "rows of the tile")
    inputs: int = _uint(32, "inputs of the tile")
    outputs: int = _uint(32, "outputs of the tile")
    accumulate: int = _uint(1, "1: add to z instead of starting from the bias")


@_instruction(
    0x22,
    "delta.fc",
    Unit.COMPUTE,
    Event.MACS,
    Event.MAC_CYCLES,
    Event.INPUTS_SCANNED,
    Event.INPUTS_CHANGED,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
    Event.TABLE_READ,
)
@dataclass(frozen=True, kw_only=True)
class DeltaFc(Instruction):
    """z += (c(present) - c(past)) W over the inputs of the tile whose index changed. Without `listed` it quantizes x
    and compares with the past indices at `index`, and with `commit` replaces them; with `listed` the present indices
    are at `index` and the past ones at `list`."""

    x: int = _address(32, "I/O buffer byte address of the inputs [rows, inputs]; not read with listed")
    x_stride: int = _uint(32, "elements between rows of x")
    index: int = _address(32, "I/O buffer byte address of the indices [rows, inputs]")
    index_stride: int = _uint(32, "elements between rows of the indices")
    list: int = _address(32, "I/O buffer byte address of the past indices [rows, inputs], with listed")
    list_stride: int = _uint(32, "elements between rows of the past indices")
    z: int = _address(32, "I/O buffer byte address of the linear outputs [rows, outputs]")
    z_stride: int = _uint(32, "elements between rows of z")
    weights: int = _address(32, "eDRAM byte address of the weights [inputs, outputs]")
    weights_stride: int = _uint(32, "elements between inputs")
    channel: int = _uint(32, "number of the tile's first input, for per-channel deadbands")
    rows: int = _uint(32, "rows of the tile")
    inputs: int = _uint(32, "inputs of the tile")
    outputs: int = _uint(32, "outputs of the tile")
    listed: int = _uint(1, "1: read a change list that `quantize` left")
    commit: int = _uint(1, "1: no later tile reads these inputs, so count them and write the present indices")


@_instruction(
    0x23,
    "dense.conv",
    Unit.COMPUTE,
    Event.MACS,
    Event.MAC_CYCLES,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class DenseConv(Instruction):
    """z = B + conv(x, W) for a tile of a convolution. The tile is position-free: it has its own input extents, padding
    and output extents. Kernel, strides and dilations are configured. The innermost axis is contiguous."""

    x: int = _address(32, "I/O buffer byte address of the input tile [in_channels, in0, in1, in2]")
    x_stride_c: int = _uint(28, "elements between input channels")
    x_stride0: int = _uint(28, "elements along the outermost axis")
    x_stride1: int = _uint(28, "elements along the middle axis")
    z: int = _address(32, "I/O buffer byte address of the output tile [out_channels, out0, out1, out2]")
    z_stride_c: int = _uint(28, "elements between output channels")
    z_stride0: int = _uint(28, "elements along the outermost axis")
    z_stride1: int = _uint(28, "elements along the middle axis")
    weights: int = _address(32, "eDRAM byte address of the weights [out_channels, in_channels / group, kernel..]")
    bias: int = _address(32, "eDRAM byte address of the bias [out_channels]")
    in_channels: int = _uint(20, "input channels of the tile")
    out_channels: int = _uint(20, "output channels of the tile")
    group: int = _uint(20, "groups of the tile")
    in0: int = _uint(20, "input extent, outermost axis")
    in1: int = _uint(20, "input extent, middle axis")
    in2: int = _uint(20, "input extent, innermost axis")
    out0: int = _uint(20, "output extent, outermost axis")
    out1: int = _uint(20, "output extent, middle axis")
    out2: int = _uint(20, "output extent, innermost axis")
    pad0: int = _uint(16, "zeros before the input, outermost axis")
    pad1: int = _uint(16, "zeros before the input, middle axis")
    pad2: int = _uint(16, "zeros before the input, innermost axis")


@_instruction(
    0x24,
    "delta.conv",
    Unit.COMPUTE,
    Event.MACS,
    Event.MAC_CYCLES,
    Event.INPUTS_SCANNED,
    Event.INPUTS_CHANGED,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
    Event.TABLE_READ,
)
@dataclass(frozen=True, kw_only=True)
class DeltaConv(Instruction):
    """z += conv(c(present) - c(past), W) over the inputs of the tile whose index changed; each changed input corrects
    every output of the tile whose window covers it. `listed` as in delta.fc. Of the input tile the first
    commit0 x commit1 x commit2 elements of every channel are read by no later tile: they are counted, and their
    present indices written."""

    x: int = _address(
        32, "I/O buffer byte address of the input tile [in_channels, in0, in1, in2]; not read with listed"
    )
    x_stride_c: int = _uint(28, "elements between input channels")
    x_stride0: int = _uint(28, "elements along the outermost axis")
    x_stride1: int = _uint(28, "elements along the middle axis")
    index: int = _address(32, "I/O buffer byte address of the indices of the input tile")
    index_stride_c: int = _uint(28, "elements between channels of the indices")
    index_stride0: int = _uint(28, "elements along the outermost axis")
    index_stride1: int = _uint(28, "elements along the middle axis")
    list: int = _address(32, "I/O buffer byte address of the past indices, with listed")
    list_stride_c: int = _uint(28, "elements between channels of the past indices")
    list_stride0: int = _uint(28, "elements along the outermost axis")
    list_stride1: int = _uint(28, "elements along the middle axis")
    z: int = _address(32, "I/O buffer byte address of the linear outputs [out_channels, out0, out1, out2]")
    z_stride_c: int = _uint(28, "elements between output channels")
    z_stride0: int = _uint(28, "elements along the outermost axis")
    z_stride1: int = _uint(28, "elements along the middle axis")
    weights: int = _address(32, "eDRAM byte address of the weights [out_channels, in_channels / group, kernel..]")
    channel: int = _uint(20, "number of the tile's first input channel, for per-channel deadbands")
    in_channels: int = _uint(20, "input channels of the tile")
    out_channels: int = _uint(20, "output channels of the tile")
    group: int = _uint(20, "groups of the tile")
    in0: int = _uint(20, "input extent, outermost axis")
    in1: int = _uint(20, "input extent, middle axis")
    in2: int = _uint(20, "input extent, innermost axis")
    out0: int = _uint(20, "output extent, outermost axis")
    out1: int = _uint(20, "output extent, middle axis")
    out2: int = _uint(20, "output extent, innermost axis")
    commit0: int = _uint(20, "extent to commit, outermost axis; 0: nothing")
    commit1: int = _uint(20, "extent to commit, middle axis")
    commit2: int = _uint(20, "extent to commit, innermost axis")
    pad0: int = _uint(12, "zeros before the input, outermost axis")
    pad1: int = _uint(12, "zeros before the input, middle axis")
    pad2: int = _uint(12, "zeros before the input, innermost axis")
    listed: int = _uint(1, "1: read a change list that `quantize` left")


# ---------------------------------------------------------------------------------------------- special function unit


@_instruction(0x30, "function", Unit.SPECIAL, Event.SPECIAL_OPERATIONS, Event.BUFFER_READ, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Function(Instruction):
    """y = f(x), element by element, over a block of four axes; the innermost is contiguous."""

    function: Special = _choice(Special, 8, "the function f")
    alpha: float = _real("parameter of f")
    beta: float = _real("parameter of f")
    x: int = _address(32, "I/O buffer byte address of x")
    x_stride0: int = _uint(32, "elements along axis 0 of x")
    x_stride1: int = _uint(32, "elements along axis 1 of x")
    x_stride2: int = _uint(32, "elements along axis 2 of x")
    y: int = _address(32, "I/O buffer byte address of y")
    y_stride0: int = _uint(32, "elements along axis 0 of y")
    y_stride1: int = _uint(32, "elements along axis 1 of y")
    y_stride2: int = _uint(32, "elements along axis 2 of y")
    size0: int = _uint(32, "extent of axis 0")
    size1: int = _uint(32, "extent of axis 1")
    size2: int = _uint(32, "extent of axis 2")
    size3: int = _uint(32, "extent of axis 3")


@_instruction(
    0x31,
    "elementwise",
    Unit.SPECIAL,
    Event.SPECIAL_OPERATIONS,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class Elementwise(Instruction):
    """y = f(a, b), element by element, over a block of four axes. A stride of zero repeats the operand along that axis
    (broadcast). `b` is in the I/O buffer, or a constant in the eDRAM."""

    function: Binary = _choice(Binary, 8, "the function f")
    constant: int = _uint(1, "1: b is in the eDRAM")
    swapped: int = _uint(1, "1: y = f(b, a)")
    a: int = _address(32, "I/O buffer byte address of a")
    a_stride0: int = _uint(28, "elements along axis 0 of a")
    a_stride1: int = _uint(28, "elements along axis 1 of a")
    a_stride2: int = _uint(28, "elements along axis 2 of a")
    a_stride3: int = _uint(28, "elements along axis 3 of a")
    b: int = _address(32, "byte address of b")
    b_stride0: int = _uint(28, "elements along axis 0 of b")
    b_stride1: int = _uint(28, "elements along axis 1 of b")
    b_stride2: int = _uint(28, "elements along axis 2 of b")
    b_stride3: int = _uint(28, "elements along axis 3 of b")
    y: int = _address(32, "I/O buffer byte address of y")
    y_stride0: int = _uint(28, "elements along axis 0 of y")
    y_stride1: int = _uint(28, "elements along axis 1 of y")
    y_stride2: int = _uint(28, "elements along axis 2 of y")
    y_stride3: int = _uint(28, "elements along axis 3 of y")
    size0: int = _uint(28, "extent of axis 0")
    size1: int = _uint(28, "extent of axis 1")
    size2: int = _uint(28, "extent of axis 2")
    size3: int = _uint(28, "extent of axis 3")


@_instruction(0x32, "pool", Unit.SPECIAL, Event.SPECIAL_OPERATIONS, Event.BUFFER_READ, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Pool(Instruction):
    """Pool a position-free tile; the innermost axis is contiguous."""

    pooling: Pooling = _choice(Pooling, 4, "how a window is reduced")
    x: int = _address(32, "I/O buffer byte address of the input tile [channels, in0, in1, in2]")
    x_stride_c: int = _uint(28, "elements between input channels")
    x_stride0: int = _uint(28, "elements along the outermost axis")
    x_stride1: int = _uint(28, "elements along the middle axis")
    y: int = _address(32, "I/O buffer byte address of the output tile [channels, out0, out1, out2]")
    y_stride_c: int = _uint(28, "elements between output channels")
    y_stride0: int = _uint(28, "elements along the outermost axis")
    y_stride1: int = _uint(28, "elements along the middle axis")
    channels: int = _uint(20, "channels of the tile")
    in0: int = _uint(20, "input extent, outermost axis")
    in1: int = _uint(20, "input extent, middle axis")
    in2: int = _uint(20, "input extent, innermost axis")
    out0: int = _uint(20, "output extent, outermost axis")
    out1: int = _uint(20, "output extent, middle axis")
    out2: int = _uint(20, "output extent, innermost axis")
    kernel0: int = _uint(16, "window, outermost axis")
    kernel1: int = _uint(16, "window, middle axis")
    kernel2: int = _uint(16, "window, innermost axis")
    stride0: int = _uint(16, "stride, outermost axis")
    stride1: int = _uint(16, "stride, middle axis")
    stride2: int = _uint(16, "stride, innermost axis")
    dilation0: int = _uint(16, "dilation, outermost axis")
    dilation1: int = _uint(16, "dilation, middle axis")
    dilation2: int = _uint(16, "dilation, innermost axis")
    pad0: int = _uint(16, "padding before the input, outermost axis")
    pad1: int = _uint(16, "padding before the input, middle axis")
    pad2: int = _uint(16, "padding before the input, innermost axis")


# --------------------------------------------------------------------------------------------------------------- host


@_instruction(0x40, "host", Unit.HOST, Event.HOST_MACS, Event.HOST_OPERATIONS, Event.DRAM_READ, Event.DRAM_WRITE)
@dataclass(frozen=True, kw_only=True)
class Host(Instruction):
    """Run a sub-model that the accelerator has no instruction for; its operands lie in DRAM where the program's host
    table says."""

    model: int = _uint(16, "entry in the host table")
    macs: int = _uint(48, "multiply-accumulates, done at the compute engine's rate")
    operations: int = _uint(48, "elements times passes, done at the special function unit's rate")
    read_bytes: int = _uint(40, "bytes read from DRAM")
    write_bytes: int = _uint(40, "bytes written to DRAM")
