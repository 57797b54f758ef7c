"""Products of matrices of which none is a layer's weight."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.word import Event, Instruction, Unit, byte_address, instruction, uint

__all__ = ["DenseMatmul"]


@instruction(
    0x28,
    "dense.matmul",
    Unit.COMPUTE,
    Event.MACS,
    Event.MAC_CYCLES,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class DenseMatmul(Instruction):
    """z = x W for matrices0 x matrices1 pairs of matrices, or z += x W with `accumulate`. Nothing is kept from frame to
    frame. W is in the I/O buffer, or a constant in the eDRAM. A stride of zero repeats a matrix."""

    x: int = byte_address(32, "I/O buffer byte address of x [matrices0, matrices1, rows, inputs]")
    x_stride0: int = uint(32, "elements along matrices0 of x")
    x_stride1: int = uint(32, "elements along matrices1 of x")
    x_stride2: int = uint(32, "elements between rows of x")
    x_stride3: int = uint(32, "elements between inputs of x")
    w: int = byte_address(32, "byte address of W [matrices0, matrices1, inputs, outputs]")
    w_stride0: int = uint(32, "elements along matrices0 of W")
    w_stride1: int = uint(32, "elements along matrices1 of W")
    w_stride2: int = uint(32, "elements between inputs of W")
    w_stride3: int = uint(32, "elements between outputs of W")
    z: int = byte_address(32, "I/O buffer byte address of z [matrices0, matrices1, rows, outputs]")
    z_stride0: int = uint(32, "elements along matrices0 of z")
    z_stride1: int = uint(32, "elements along matrices1 of z")
    z_stride2: int = uint(32, "elements between rows of z")
    z_stride3: int = uint(32, "elements between outputs of z")
    matrices0: int = uint(28, "matrices, outer axis")
    matrices1: int = uint(28, "matrices, inner axis")
    rows: int = uint(28, "rows of x and z")
    inputs: int = uint(28, "columns of x, rows of W")
    outputs: int = uint(28, "columns of W and z")
    constant: int = uint(1, "1: W is in the eDRAM")
    accumulate: int = uint(1, "1: add to z instead of replacing it")
