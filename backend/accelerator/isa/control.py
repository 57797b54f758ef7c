"""Instructions of the control unit."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.word import (
    Choice,
    Event,
    Instruction,
    Unit,
    byte_address,
    choice,
    instruction,
    real,
    uint,
)

__all__ = ["ConfigureConv", "ConfigureQuantizer", "ConfigureTable", "Halt", "Loop", "Over", "Sync"]


class Over(Choice):
    """What a loop runs over."""

    SEQUENCES = 0, "the sequences of the stream"
    FRAMES = 1, "the frames of the sequence"


@instruction(0x00, "halt", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class Halt(Instruction):
    """End the program."""


@instruction(0x01, "sync", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class Sync(Instruction):
    """Wait until every unit has completed all instructions issued before; the counters of completed instructions that
    `after_*` refer to begin again at zero."""


@instruction(0x02, "loop", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class Loop(Instruction):
    """Repeat the next `length` instructions, once for each sequence of the stream or each frame of the sequence. A
    body ends with `sync`."""

    over: Over = choice(Over, 1, "what to repeat for")
    length: int = uint(32, "instructions in the body")


@instruction(0x03, "configure.conv", Unit.CONTROL)
@dataclass(frozen=True, kw_only=True)
class ConfigureConv(Instruction):
    """Set the compute engine to a convolution; holds for the compute instructions that follow in program order. Unused
    spatial axes come last and have kernel, stride and dilation 1. Tap k of a kernel joins output o and input o * stride +
    k * dilation - pad, with `transposed` input i and output i * stride + k * dilation - pad."""

    kernel0: int = uint(16, "kernel size, outermost axis")
    kernel1: int = uint(16, "kernel size, middle axis")
    kernel2: int = uint(16, "kernel size, innermost axis")
    stride0: int = uint(16, "stride, outermost axis")
    stride1: int = uint(16, "stride, middle axis")
    stride2: int = uint(16, "stride, innermost axis")
    dilation0: int = uint(16, "dilation, outermost axis")
    dilation1: int = uint(16, "dilation, middle axis")
    dilation2: int = uint(16, "dilation, innermost axis")
    transposed: int = uint(1, "1: a transposed convolution")


@instruction(0x04, "configure.quantizer", Unit.CONTROL, Event.TABLE_WRITE)
@dataclass(frozen=True, kw_only=True)
class ConfigureQuantizer(Instruction):
    """Load the quantizer of the instructions that follow in program order: index = clip(rint(x / step) + zero, 0,
    clusters - 1) with centroids c(k) = (k - zero) * step, computed as reuse_compiler.quantizers defines; while
    abs(x - c(past)) <= deadband the past index stays. Indices take one byte up to 256 clusters and two above."""

    step: float = real("distance of two centroids")
    zero: int = uint(16, "index whose centroid is 0.0")
    clusters: int = uint(16, "number of centroids")
    deadband: float = real("deadband of all channels, where deadband_channels is zero")
    deadband_channels: int = uint(24, "number of per-channel deadbands, or zero")
    deadband_address: int = byte_address(32, "eDRAM byte address of the per-channel deadbands, float32")


@instruction(0x05, "configure.table", Unit.CONTROL, Event.EDRAM_READ, Event.TABLE_WRITE)
@dataclass(frozen=True, kw_only=True)
class ConfigureTable(Instruction):
    """Load a table as the quantizer of the instructions that follow in program order, from the eDRAM: the centroids in
    ascending order, then the boundaries between neighbours. The index of x is how many boundaries are below it, and zero
    where x is NaN; while abs(x - c(past)) <= deadband the past index stays. Indices take one byte."""

    table_address: int = byte_address(
        32, "eDRAM byte address of clusters centroids and clusters - 1 boundaries, float32"
    )
    zero: int = uint(16, "index whose centroid is 0.0")
    clusters: int = uint(16, "number of centroids")
    deadband: float = real("deadband of all channels, where deadband_channels is zero")
    deadband_channels: int = uint(24, "number of per-channel deadbands, or zero")
    deadband_address: int = byte_address(32, "eDRAM byte address of the per-channel deadbands, float32")
