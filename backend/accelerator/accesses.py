"""The bytes that an instruction reads and writes, derived from its fields alone: exact sets, as runs of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import (
    ConfigureConv,
    ConfigureQuantizer,
    ConfigureTable,
    Copy,
    DeltaConv,
    DeltaFc,
    DenseConv,
    DenseFc,
    DenseMatmul,
    Elementwise,
    Fill,
    Function,
    Gather,
    Host,
    Instruction,
    Load,
    Pool,
    Quantize,
    Reduce,
    Resample,
    Scan,
    Select,
    Space,
    Store,
)
from reuse_compiler.backend.accelerator.program import Binding, HostModel
from reuse_compiler.errors import ProgramError

__all__ = ["Access", "Configuration", "accesses"]

Numbers = NDArray[np.int64]

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Access:
    """The bytes of one memory that an instruction reads or writes: the union of ``starts[i] <= byte < ends[i]``."""

    memory: Space
    writes: bool
    starts: Numbers
    ends: Numbers


@dataclass
class Configuration:
    """What the configure instructions set: it holds for those that follow in program order."""

    conv: ConfigureConv | None = None
    quantizer: ConfigureQuantizer | ConfigureTable | None = None

    def apply(self, instruction: Instruction) -> None:
        """Take over what `instruction` sets, if anything."""
        if isinstance(instruction, ConfigureConv):
            self.conv = instruction
        elif isinstance(instruction, ConfigureQuantizer | ConfigureTable):
            self.quantizer = instruction

    def kernel(self) -> int:
        """Taps of the kernel. Raises ProgramError where none is configured."""
        if self.conv is None:
            raise ProgramError("no convolution is configured: put configure.conv before it")
        return self.conv.kernel0 * self.conv.kernel1 * self.conv.kernel2

    def index_bytes(self) -> int:
        """Bytes of an index. Raises ProgramError where no quantizer is configured."""
        return 1 if self._configured().clusters <= 256 else 2

    def deadbands(self, first: int, count: int) -> list[Access]:
        """The read of `count` per-channel deadbands from channel `first`, and of a table; nothing where there are none."""
        quantizer = self._configured()
        reads = []
        if isinstance(quantizer, ConfigureTable):
            words = 2 * quantizer.clusters - 1
            reads.append(_read(Space.EDRAM, *_runs(quantizer.table_address, words * _FLOAT)))
        if quantizer.deadband_channels:
            reads.append(_read(Space.EDRAM, *_runs(quantizer.deadband_address + first * _FLOAT, count * _FLOAT)))
        return reads

    def _configured(self) -> ConfigureQuantizer | ConfigureTable:
        if self.quantizer is None:
            raise ProgramError("no quantizer is configured: put configure.quantizer or configure.table before it")
        return self.quantizer


def _runs(address: int, run: int, *axes: tuple[int, int]) -> tuple[Numbers, Numbers]:
    """Starts and ends of runs of `run` bytes, repeated along axes of (count, stride in bytes).

    Axes that continue a run are folded into it.
    """
    if run == 0 or any(count == 0 for count, _ in axes):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    repeating = sorted((stride, count) for count, stride in axes if count > 1 and stride)
    while repeating and repeating[0][0] <= run:
        stride, count = repeating.pop(0)
        run += stride * (count - 1)
    starts = np.array([address], np.int64)
    for stride, count in reversed(repeating):
        starts = np.add.outer(starts, np.arange(count, dtype=np.int64) * stride).ravel()
    return starts, starts + run


def _block(address: int, item: int, sizes: Sequence[int], strides: Sequence[int]) -> tuple[Numbers, Numbers]:
    """Starts and ends of a block of elements of `item` bytes; strides in elements."""
    return _runs(address, item, *((size, stride * item) for size, stride in zip(sizes, strides, strict=True)))


def _read(memory: Space, starts: Numbers, ends: Numbers) -> Access:
    return Access(memory, False, starts, ends)


def _write(memory: Space, starts: Numbers, ends: Numbers) -> Access:
    return Access(memory, True, starts, ends)


@singledispatch
def accesses(instruction: Instruction, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    """What `instruction` reads and writes, under `configuration` and with the code's table of `hosts`.

    Raises ProgramError for an instruction that lacks its configuration, or whose accesses are not known here.
    """
    raise ProgramError(f"the memory that {instruction.MNEMONIC} touches is not known: register it in accesses.py")


@accesses.register
def _load(i: Load, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    source = _runs(i.dram_address, i.run_bytes, (i.count0, i.dram_stride0), (i.count1, i.dram_stride1))
    target = _runs(i.address, i.run_bytes, (i.count0, i.stride0), (i.count1, i.stride1))
    return [_read(Space.DRAM, *source), _write(i.space, *target)]


@accesses.register
def _store(i: Store, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    source = _runs(i.address, i.run_bytes, (i.count0, i.stride0), (i.count1, i.stride1))
    target = _runs(i.dram_address, i.run_bytes, (i.count0, i.dram_stride0), (i.count1, i.dram_stride1))
    return [_read(Space.BUFFER, *source), _write(Space.DRAM, *target)]


@accesses.register
def _fill(i: Fill, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    if not i.count:
        return [_write(i.space, *_runs(i.address, i.repeat * i.element_bytes))]
    return [
        _read(Space.EDRAM, *_runs(i.source, i.count * _FLOAT)),
        _write(i.space, *_runs(i.address, i.copies * i.count * i.repeat * _FLOAT)),
    ]


@accesses.register
def _quantize(i: Quantize, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    elements = i.outer * i.channels * i.inner
    index = _runs(i.index, elements * configuration.index_bytes())
    past = _runs(i.list, elements * configuration.index_bytes())
    return [
        _read(Space.BUFFER, *_runs(i.x, elements * _FLOAT)),
        *configuration.deadbands(i.channel, i.channels),
        _read(Space.BUFFER, *index),
        _write(Space.BUFFER, *index),
        _write(Space.BUFFER, *past),
    ]


@accesses.register
def _dense_fc(i: DenseFc, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    z = _block(i.z, _FLOAT, (i.rows, i.outputs), (i.z_stride, 1))
    start = _read(Space.BUFFER, *z) if i.accumulate else _read(Space.EDRAM, *_runs(i.bias, i.outputs * _FLOAT))
    return [
        _read(Space.BUFFER, *_block(i.x, _FLOAT, (i.rows, i.inputs), (i.x_stride, 1))),
        _read(Space.EDRAM, *_block(i.weights, _FLOAT, (i.inputs, i.outputs), (i.weights_stride, 1))),
        start,
        _write(Space.BUFFER, *z),
    ]


@accesses.register
def _dense_matmul(i: DenseMatmul, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    many = (i.matrices0, i.matrices1)
    x = _block(i.x, _FLOAT, (*many, i.rows, i.inputs), (i.x_stride0, i.x_stride1, i.x_stride2, i.x_stride3))
    w = _block(i.w, _FLOAT, (*many, i.inputs, i.outputs), (i.w_stride0, i.w_stride1, i.w_stride2, i.w_stride3))
    z = _block(i.z, _FLOAT, (*many, i.rows, i.outputs), (i.z_stride0, i.z_stride1, i.z_stride2, i.z_stride3))
    kept = [_read(Space.BUFFER, *z)] if i.accumulate else []
    operands = [_read(Space.BUFFER, *x), _read(Space.EDRAM if i.constant else Space.BUFFER, *w)]
    return [*operands, *kept, _write(Space.BUFFER, *z)]


@accesses.register
def _delta_fc(i: DeltaFc, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    item, tile = configuration.index_bytes(), (i.rows, i.inputs)
    index = _block(i.index, item, tile, (i.index_stride, 1))
    z = _block(i.z, _FLOAT, (i.rows, i.outputs), (i.z_stride, 1))
    touched = [
        _read(Space.BUFFER, *index),
        _read(Space.EDRAM, *_block(i.weights, _FLOAT, (i.inputs, i.outputs), (i.weights_stride, 1))),
        _read(Space.BUFFER, *z),
        _write(Space.BUFFER, *z),
    ]
    if i.listed:
        return [*touched, _read(Space.BUFFER, *_block(i.list, item, tile, (i.list_stride, 1)))]
    touched += [
        _read(Space.BUFFER, *_block(i.x, _FLOAT, tile, (i.x_stride, 1))),
        *configuration.deadbands(i.channel, i.inputs),
    ]
    return [*touched, _write(Space.BUFFER, *index)] if i.commit else touched


@accesses.register
def _dense_conv(i: DenseConv, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    x = _block(i.x, _FLOAT, (i.in_channels, i.in0, i.in1, i.in2), (i.x_stride_c, i.x_stride0, i.x_stride1, 1))
    return [
        _read(Space.BUFFER, *x),
        _conv_weights(i, configuration),
        _read(Space.EDRAM, *_runs(i.bias, i.out_channels * _FLOAT)),
        _write(Space.BUFFER, *_conv_outputs(i)),
    ]


@accesses.register
def _delta_conv(i: DeltaConv, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    item, tile = configuration.index_bytes(), (i.in_channels, i.in0, i.in1, i.in2)
    index_strides = (i.index_stride_c, i.index_stride0, i.index_stride1, 1)
    z = _conv_outputs(i)
    touched = [
        _read(Space.BUFFER, *_block(i.index, item, tile, index_strides)),
        _conv_weights(i, configuration),
        _read(Space.BUFFER, *z),
        _write(Space.BUFFER, *z),
    ]
    if i.listed:
        past = _block(i.list, item, tile, (i.list_stride_c, i.list_stride0, i.list_stride1, 1))
        return [*touched, _read(Space.BUFFER, *past)]
    committed = (i.in_channels, i.commit0, i.commit1, i.commit2)
    return [
        *touched,
        _read(Space.BUFFER, *_block(i.x, _FLOAT, tile, (i.x_stride_c, i.x_stride0, i.x_stride1, 1))),
        *configuration.deadbands(i.channel, i.in_channels),
        _write(Space.BUFFER, *_block(i.index, item, committed, index_strides)),
    ]


def _conv_weights(i: DenseConv | DeltaConv, configuration: Configuration) -> Access:
    elements = i.out_channels * (i.in_channels // max(i.group, 1)) * configuration.kernel()
    return _read(Space.EDRAM, *_runs(i.weights, elements * _FLOAT))


def _conv_outputs(i: DenseConv | DeltaConv) -> tuple[Numbers, Numbers]:
    sizes = (i.out_channels, i.out0, i.out1, i.out2)
    return _block(i.z, _FLOAT, sizes, (i.z_stride_c, i.z_stride0, i.z_stride1, 1))


@accesses.register
def _function(i: Function, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    sizes = (i.size0, i.size1, i.size2, i.size3)
    return [
        _read(Space.BUFFER, *_block(i.x, i.element.bytes, sizes, (i.x_stride0, i.x_stride1, i.x_stride2, 1))),
        _write(Space.BUFFER, *_block(i.y, i.result.bytes, sizes, (i.y_stride0, i.y_stride1, i.y_stride2, 1))),
    ]


@accesses.register
def _elementwise(i: Elementwise, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    sizes = (i.size0, i.size1, i.size2, i.size3)
    a_strides = (i.a_stride0, i.a_stride1, i.a_stride2, i.a_stride3)
    b_strides = (i.b_stride0, i.b_stride1, i.b_stride2, i.b_stride3)
    y_strides = (i.y_stride0, i.y_stride1, i.y_stride2, i.y_stride3)
    return [
        _read(Space.BUFFER, *_block(i.a, i.element.bytes, sizes, a_strides)),
        _read(_space(i.constant), *_block(i.b, i.element.bytes, sizes, b_strides)),
        _write(Space.BUFFER, *_block(i.y, i.result.bytes, sizes, y_strides)),
    ]


@accesses.register
def _select(i: Select, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    sizes, size = (i.size0, i.size1, i.size2, i.size3), i.element.bytes
    c_strides = (i.c_stride0, i.c_stride1, i.c_stride2, i.c_stride3)
    a_strides = (i.a_stride0, i.a_stride1, i.a_stride2, i.a_stride3)
    b_strides = (i.b_stride0, i.b_stride1, i.b_stride2, i.b_stride3)
    y_strides = (i.y_stride0, i.y_stride1, i.y_stride2, i.y_stride3)
    return [
        _read(_space(i.c_constant), *_block(i.c, 1, sizes, c_strides)),
        _read(_space(i.a_constant), *_block(i.a, size, sizes, a_strides)),
        _read(_space(i.b_constant), *_block(i.b, size, sizes, b_strides)),
        _write(Space.BUFFER, *_block(i.y, size, sizes, y_strides)),
    ]


def _space(constant: int) -> Space:
    return Space.EDRAM if constant else Space.BUFFER


@accesses.register
def _reduce(i: Reduce, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    sizes = (i.size0, i.size1, i.size2, i.size3)
    x = _block(i.x, i.element.bytes, sizes, (i.x_stride0, i.x_stride1, i.x_stride2, i.x_stride3))
    y = _block(i.y, i.result.bytes, sizes[:2], (i.y_stride0, i.y_stride1))
    kept = [_read(Space.BUFFER, *y)] if i.accumulate else []
    return [_read(Space.BUFFER, *x), *kept, _write(Space.BUFFER, *y)]


@accesses.register
def _copy(i: Copy, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    sizes = (i.size0, i.size1, i.size2, i.size3)
    x = _block(i.x, i.element_bytes, sizes, (i.x_stride0, i.x_stride1, i.x_stride2, i.x_stride3))
    y = _block(i.y, i.element_bytes, sizes, (i.y_stride0, i.y_stride1, i.y_stride2, i.y_stride3))
    return [_read(_space(i.constant), *x), _write(Space.BUFFER, *y)]


@accesses.register
def _gather(i: Gather, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    """All that any table of as many entries could touch: what a table holds is no field."""
    sizes = (i.outer, i.rows if i.entries else 0, i.inner)
    x = _block(i.x, i.element_bytes, sizes, (i.x_stride0, i.x_stride1, i.x_stride2))
    y = _block(i.y, i.element_bytes, (i.outer, i.entries, i.inner), (i.y_stride0, i.y_stride1, i.y_stride2))
    table = _runs(i.table, i.entries * _FLOAT if i.outer and i.inner else 0)
    return [_read(Space.EDRAM, *table), _read(_space(i.constant), *x), _write(Space.BUFFER, *y)]


@accesses.register
def _scan(i: Scan, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    sizes = (i.size0, i.size1, i.size2)
    x = _block(i.x, i.element.bytes, sizes, (i.x_stride0, i.x_stride1, i.x_stride2))
    y = _block(i.y, i.element.bytes, sizes, (i.y_stride0, i.y_stride1, i.y_stride2))
    return [_read(Space.BUFFER, *x), _write(Space.BUFFER, *y)]


@accesses.register
def _resample(i: Resample, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    table = i.entries * i.taps * _FLOAT
    x = _block(i.x, _FLOAT, (i.outer, i.rows, i.inner), (i.x_stride0, i.x_stride1, i.x_stride2))
    y = _block(i.y, _FLOAT, (i.outer, i.entries, i.inner), (i.y_stride0, i.y_stride1, i.y_stride2))
    return [
        _read(Space.EDRAM, *_runs(i.table, table)),
        _read(Space.EDRAM, *_runs(i.weights, table)),
        _read(Space.BUFFER, *x),
        _write(Space.BUFFER, *y),
    ]


@accesses.register
def _pool(i: Pool, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    x = _block(i.x, _FLOAT, (i.channels, i.in0, i.in1, i.in2), (i.x_stride_c, i.x_stride0, i.x_stride1, 1))
    y = _block(i.y, _FLOAT, (i.channels, i.out0, i.out1, i.out2), (i.y_stride_c, i.y_stride0, i.y_stride1, 1))
    return [_read(Space.BUFFER, *x), _write(Space.BUFFER, *y)]


@accesses.register
def _host(i: Host, configuration: Configuration, hosts: Sequence[HostModel]) -> list[Access]:
    if i.model >= len(hosts):
        raise ProgramError(f"host: field model is {i.model}: the host table has {len(hosts)} entries")
    model = hosts[i.model]
    return [_read(Space.DRAM, *_binding(b)) for b in model.inputs] + [
        _write(Space.DRAM, *_binding(b)) for b in model.outputs
    ]


def _binding(binding: Binding) -> tuple[Numbers, Numbers]:
    return _runs(binding.address, binding.bytes)
