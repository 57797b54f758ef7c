"""Instructions of the compute engine."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.word import Event, Instruction, Unit, byte_address, instruction, uint

__all__ = ["DeltaConv", "DeltaFc", "DenseConv", "DenseFc", "Quantize"]


@instruction(
    0x20,
    "quantize",
    Unit.COMPUTE,
    Event.INPUTS_SCANNED,
    Event.INPUTS_CHANGED,
    Event.COMPARISONS,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
    Event.TABLE_READ,
)
@dataclass(frozen=True, kw_only=True)
class Quantize(Instruction):
    """Quantize outer x channels x inner float32 at `x`, given the past indices at `index`: the present indices replace
    them there, and the past ones move to `list`. The pair is the change list that delta instructions of several layers
    then read."""

    x: int = byte_address(32, "I/O buffer byte address of the tensor, contiguous")
    index: int = byte_address(32, "I/O buffer byte address of the indices, contiguous")
    list: int = byte_address(32, "I/O buffer byte address that receives the past indices, contiguous")
    channel: int = uint(32, "number of the first channel, for per-channel deadbands")
    outer: int = uint(32, "extent before the channel axis")
    channels: int = uint(32, "extent of the channel axis, along which deadbands lie")
    inner: int = uint(32, "extent after the channel axis")


@instruction(
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

    x: int = byte_address(32, "I/O buffer byte address of the inputs [rows, inputs]")
    x_stride: int = uint(32, "elements between rows of x")
    z: int = byte_address(32, "I/O buffer byte address of the outputs [rows, outputs]")
    z_stride: int = uint(32, "elements between rows of z")
    weights: int = byte_address(32, "eDRAM byte address of the weights [inputs, outputs]")
    weights_stride: int = uint(32, "elements between inputs")
    bias: int = byte_address(32, "eDRAM byte address of the bias [outputs]")
    rows: int = uint(32, "rows of the tile")
    inputs: int = uint(32, "inputs of the tile")
    outputs: int = uint(32, "outputs of the tile")
    accumulate: int = uint(1, "1: add to z instead of starting from the bias")


@instruction(
    0x22,
    "delta.fc",
    Unit.COMPUTE,
    Event.MACS,
    Event.MAC_CYCLES,
    Event.INPUTS_SCANNED,
    Event.INPUTS_CHANGED,
    Event.COMPARISONS,
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

    x: int = byte_address(32, "I/O buffer byte address of the inputs [rows, inputs]; not read with listed")
    x_stride: int = uint(32, "elements between rows of x")
    index: int = byte_address(32, "I/O buffer byte address of the indices [rows, inputs]")
    index_stride: int = uint(32, "elements between rows of the indices")
    list: int = byte_address(32, "I/O buffer byte address of the past indices [rows, inputs], with listed")
    list_stride: int = uint(32, "elements between rows of the past indices")
    z: int = byte_address(32, "I/O buffer byte address of the linear outputs [rows, outputs]")
    z_stride: int = uint(32, "elements between rows of z")
    weights: int = byte_address(32, "eDRAM byte address of the weights [inputs, outputs]")
    weights_stride: int = uint(32, "elements between inputs")
    channel: int = uint(32, "number of the tile's first input, for per-channel deadbands")
    rows: int = uint(32, "rows of the tile")
    inputs: int = uint(32, "inputs of the tile")
    outputs: int = uint(32, "outputs of the tile")
    listed: int = uint(1, "1: read a change list that `quantize` left")
    commit: int = uint(1, "1: no later tile reads these inputs, so count them and write the present indices")


@instruction(
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
    """z = B + conv(x, W) for a tile of a convolution, transposed or not. The tile is position-free: it has its own input
    extents, padding and output extents. Kernel, strides and dilations are configured. The innermost axis is
    contiguous."""

    x: int = byte_address(32, "I/O buffer byte address of the input tile [in_channels, in0, in1, in2]")
    x_stride_c: int = uint(28, "elements between input channels")
    x_stride0: int = uint(28, "elements along the outermost axis")
    x_stride1: int = uint(28, "elements along the middle axis")
    z: int = byte_address(32, "I/O buffer byte address of the output tile [out_channels, out0, out1, out2]")
    z_stride_c: int = uint(28, "elements between output channels")
    z_stride0: int = uint(28, "elements along the outermost axis")
    z_stride1: int = uint(28, "elements along the middle axis")
    weights: int = byte_address(32, "eDRAM byte address of the weights [out_channels, in_channels / group, kernel..]")
    bias: int = byte_address(32, "eDRAM byte address of the bias [out_channels]")
    in_channels: int = uint(20, "input channels of the tile")
    out_channels: int = uint(20, "output channels of the tile")
    group: int = uint(20, "groups of the tile")
    in0: int = uint(20, "input extent, outermost axis")
    in1: int = uint(20, "input extent, middle axis")
    in2: int = uint(20, "input extent, innermost axis")
    out0: int = uint(20, "output extent, outermost axis")
    out1: int = uint(20, "output extent, middle axis")
    out2: int = uint(20, "output extent, innermost axis")
    pad0: int = uint(16, "zeros before the input, or outputs cut off, outermost axis")
    pad1: int = uint(16, "zeros before the input, or outputs cut off, middle axis")
    pad2: int = uint(16, "zeros before the input, or outputs cut off, innermost axis")


@instruction(
    0x24,
    "delta.conv",
    Unit.COMPUTE,
    Event.MACS,
    Event.MAC_CYCLES,
    Event.INPUTS_SCANNED,
    Event.INPUTS_CHANGED,
    Event.COMPARISONS,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
    Event.TABLE_READ,
)
@dataclass(frozen=True, kw_only=True)
class DeltaConv(Instruction):
    """z += conv(c(present) - c(past), W) over the inputs of the tile whose index changed; each changed input corrects
    every output of the tile that a tap joins it with. `listed` as in delta.fc. Of the input tile the first
    commit0 x commit1 x commit2 elements of every channel are read by no later tile: they are counted, and their
    present indices written."""

    x: int = byte_address(
        32, "I/O buffer byte address of the input tile [in_channels, in0, in1, in2]; not read with listed"
    )
    x_stride_c: int = uint(28, "elements between input channels")
    x_stride0: int = uint(28, "elements along the outermost axis")
    x_stride1: int = uint(28, "elements along the middle axis")
    index: int = byte_address(32, "I/O buffer byte address of the indices of the input tile")
    index_stride_c: int = uint(28, "elements between channels of the indices")
    index_stride0: int = uint(28, "elements along the outermost axis")
    index_stride1: int = uint(28, "elements along the middle axis")
    list: int = byte_address(32, "I/O buffer byte address of the past indices, with listed")
    list_stride_c: int = uint(28, "elements between channels of the past indices")
    list_stride0: int = uint(28, "elements along the outermost axis")
    list_stride1: int = uint(28, "elements along the middle axis")
    z: int = byte_address(32, "I/O buffer byte address of the linear outputs [out_channels, out0, out1, out2]")
    z_stride_c: int = uint(28, "elements between output channels")
    z_stride0: int = uint(28, "elements along the outermost axis")
    z_stride1: int = uint(28, "elements along the middle axis")
    weights: int = byte_address(32, "eDRAM byte address of the weights [out_channels, in_channels / group, kernel..]")
    channel: int = uint(20, "number of the tile's first input channel, for per-channel deadbands")
    in_channels: int = uint(20, "input channels of the tile")
    out_channels: int = uint(20, "output channels of the tile")
    group: int = uint(20, "groups of the tile")
    in0: int = uint(20, "input extent, outermost axis")
    in1: int = uint(20, "input extent, middle axis")
    in2: int = uint(20, "input extent, innermost axis")
    out0: int = uint(20, "output extent, outermost axis")
    out1: int = uint(20, "output extent, middle axis")
    out2: int = uint(20, "output extent, innermost axis")
    commit0: int = uint(20, "extent to commit, outermost axis; 0: nothing")
    commit1: int = uint(20, "extent to commit, middle axis")
    commit2: int = uint(20, "extent to commit, innermost axis")
    pad0: int = uint(12, "zeros before the input, or outputs cut off, outermost axis")
    pad1: int = uint(12, "zeros before the input, or outputs cut off, middle axis")
    pad2: int = uint(12, "zeros before the input, or outputs cut off, innermost axis")
    listed: int = uint(1, "1: read a change list that `quantize` left")
