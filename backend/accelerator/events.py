"""Count the events of operations: what each execution moves and computes.

Most counts follow from the instruction. Those of delta instructions depend on the inputs that changed, and come from
the instruction's columns of the trace. All counts are linear in the columns, so that the columns may be summed over
frames first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import Hardware, Passes
from reuse_compiler.backend.accelerator.isa import (
    ConfigureQuantizer,
    ConfigureTable,
    Copy,
    DeltaConv,
    DeltaFc,
    DenseConv,
    DenseFc,
    DenseMatmul,
    Elementwise,
    Event,
    Fill,
    Function,
    Gather,
    Host,
    Instruction,
    Load,
    Pass,
    Pool,
    Quantize,
    Reduce,
    Reduction,
    Resample,
    Scan,
    Select,
    Space,
    Store,
)
from reuse_compiler.backend.accelerator.operations import Operation

__all__ = ["Counts", "count_events", "filled_bytes", "mac_cycles", "moved_bytes", "special_operations"]

Counts = dict[Event, int]
Columns = NDArray[np.int64]
_WORD = 4  # bytes of a float32

Kind = TypeVar("Kind", bound=Instruction)
Counter = Callable[[Operation, Any, Columns, int, Hardware], Counts]
_COUNTERS: dict[type[Instruction], Counter] = {}


def _counts(kind: type[Kind]) -> Callable[[Counter], Counter]:
    """Register the function that counts instructions of `kind`."""

    def register(counter: Counter) -> Counter:
        _COUNTERS[kind] = counter
        return counter

    return register


def count_events(operation: Operation, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    """Events of an operation over `frames` executions; `columns` are its trace columns summed over them.

    Only the events that the instruction declares may be counted.
    """
    instruction = operation.instruction
    counter = _COUNTERS.get(type(instruction))
    if counter is None:
        return {}
    counted = counter(operation, instruction, columns, frames, hardware)
    assert set(counted) <= set(instruction.EVENTS), f"{instruction.MNEMONIC} does not declare all of {set(counted)}"
    return counted


def mac_cycles(operation: Operation, lanes: int) -> NDArray[np.int64]:
    """Cycles that one input of each class keeps the lanes busy: int64 [classes]. Zero where no output reads it."""
    assert operation.classes is not None
    return -(-operation.classes.fan_out // lanes)


def moved_bytes(move: Load | Store) -> int:
    """Bytes that a load or store moves."""
    return move.run_bytes * move.count0 * move.count1


def filled_bytes(fill: Fill) -> int:
    """Bytes that a fill writes."""
    return fill.count * fill.copies * fill.repeat * _WORD if fill.count else fill.repeat * fill.element_bytes


def special_operations(
    instruction: Function | Elementwise | Select | Pool | Reduce | Scan | Resample | Copy | Gather, passes: Passes
) -> int:
    """Elements times passes through the special function unit."""
    if isinstance(instruction, Copy | Gather):
        return _moved_elements(instruction) * -(-instruction.element_bytes // _WORD) * passes.simple.value
    if isinstance(instruction, Scan):
        return instruction.size0 * instruction.size1 * instruction.size2 * passes.simple.value
    if isinstance(instruction, Resample):
        sums = instruction.outer * instruction.entries * instruction.inner
        return sums * instruction.taps * passes.simple.value
    if isinstance(instruction, Pool):
        window = instruction.kernel0 * instruction.kernel1 * instruction.kernel2
        return instruction.channels * instruction.out0 * instruction.out1 * instruction.out2 * window
    elements = instruction.size0 * instruction.size1 * instruction.size2 * instruction.size3
    if isinstance(instruction, Reduce):
        return elements * passes.simple.value * (2 if instruction.reduction is Reduction.SUM_SQUARES else 1)
    through = (Pass.SIMPLE,) if isinstance(instruction, Select) else instruction.function.passes
    return elements * sum(_passes(kind, passes) for kind in through)


def _moved_elements(move: Copy | Gather) -> int:
    """Elements that a move looks at."""
    if isinstance(move, Gather):
        return move.outer * move.entries * move.inner
    return move.size0 * move.size1 * move.size2 * move.size3


def _passes(kind: Pass, passes: Passes) -> int:
    match kind:
        case Pass.SIMPLE:
            return passes.simple.value
        case Pass.DIVIDE:
            return passes.divide.value
        case Pass.TRANSCENDENTAL:
            return passes.transcendental.value


@_counts(Load)
def _load(operation: Operation, load: Load, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    size = moved_bytes(load) * frames
    return {Event.DRAM_READ: size, Event.EDRAM_WRITE if load.space is Space.EDRAM else Event.BUFFER_WRITE: size}


@_counts(Store)
def _store(operation: Operation, store: Store, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    size = moved_bytes(store) * frames
    return {Event.BUFFER_READ: size, Event.DRAM_WRITE: size}


@_counts(Fill)
def _fill(operation: Operation, fill: Fill, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    target = Event.BUFFER_WRITE if fill.space is Space.BUFFER else Event.DRAM_WRITE
    return {Event.EDRAM_READ: fill.count * _WORD * frames, target: filled_bytes(fill) * frames}


@_counts(ConfigureQuantizer)
def _configure(
    operation: Operation, configure: ConfigureQuantizer, columns: Columns, frames: int, hardware: Hardware
) -> Counts:
    """Centroids that the table has no room for are computed, at the price of a read (assumed)."""
    return {Event.TABLE_WRITE: min(configure.clusters, hardware.tables.bytes.value // _WORD) * frames}


@_counts(ConfigureTable)
def _configure_table(
    operation: Operation, configure: ConfigureTable, columns: Columns, frames: int, hardware: Hardware
) -> Counts:
    """Centroids and boundaries come from the eDRAM, while the instructions before run (assumed). What a small table has
    no room for is read there whenever it is needed, at the price of a table read (assumed)."""
    words = 2 * configure.clusters - 1
    return {
        Event.EDRAM_READ: words * _WORD * frames,
        Event.TABLE_WRITE: min(words, hardware.tables.bytes.value // _WORD) * frames,
    }


def _comparisons(operation: Operation, inputs: int) -> int:
    """Steps of a binary search for each of `inputs` inputs, where the quantizer is a table: each step reads a boundary from
    the table and compares it with the input (assumed; none where no boundary is searched for)."""
    quantizer = operation.quantizer
    return inputs * (quantizer.clusters - 1).bit_length() if isinstance(quantizer, ConfigureTable) else 0


def _index_bytes(operation: Operation) -> int:
    assert operation.quantizer is not None
    return 1 if operation.quantizer.clusters <= 256 else 2


def _past_centroids(operation: Operation, inputs: int) -> int:
    """Words that `inputs` inputs look up to be held against a deadband: the centroid of the past index of each."""
    assert operation.quantizer is not None
    return inputs if operation.quantizer.deadband > 0 or operation.quantizer.deadband_channels else 0


@_counts(Quantize)
def _quantize(operation: Operation, quantize: Quantize, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    inputs = quantize.outer * quantize.channels * quantize.inner * frames
    size = _index_bytes(operation)
    return {
        Event.INPUTS_SCANNED: inputs,
        Event.INPUTS_CHANGED: int(columns[0]),
        Event.COMPARISONS: _comparisons(operation, inputs),
        Event.BUFFER_READ: inputs * (_WORD + size),
        Event.BUFFER_WRITE: inputs * size + int(columns[0]) * size,
        Event.TABLE_READ: _past_centroids(operation, inputs) + _comparisons(operation, inputs),
    }


def _delta(
    operation: Operation, inputs: int, outputs: int, listed: bool, columns: Columns, frames: int, hardware: Hardware
) -> Counts:
    """Events of a delta instruction of `inputs` inputs and `outputs` linear outputs.

    A change reads two centroids and the weights of its fan-out, a scan with a deadband every past centroid, and one with
    a table a boundary for each comparison; an
    instruction with a change reads and writes its linear outputs once.
    """
    assert operation.classes is not None
    size, classes = _index_bytes(operation), operation.classes.fan_out.size
    changed = columns[:classes]
    committed, active = int(columns[classes]), int(columns[classes + 2])
    macs = int(changed @ operation.classes.fan_out)
    scanned = 2 * size if listed else _WORD + size
    comparisons = 0 if listed else _comparisons(operation, inputs * frames)
    past = 0 if listed else _past_centroids(operation, inputs * frames)
    return {
        Event.MACS: macs,
        Event.MAC_CYCLES: int(changed @ mac_cycles(operation, hardware.compute.lanes.value)),
        Event.INPUTS_SCANNED: inputs * frames,
        Event.INPUTS_CHANGED: int(changed.sum()),
        Event.COMPARISONS: comparisons,
        Event.EDRAM_READ: macs * _WORD,
        Event.BUFFER_READ: inputs * frames * scanned + active * outputs * _WORD,
        Event.BUFFER_WRITE: (0 if listed else committed * size) + active * outputs * _WORD,
        Event.TABLE_READ: 2 * int(changed.sum()) + past + comparisons,
    }


@_counts(DeltaFc)
def _delta_fc(operation: Operation, delta: DeltaFc, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    inputs, outputs = delta.rows * delta.inputs, delta.rows * delta.outputs
    return _delta(operation, inputs, outputs, bool(delta.listed), columns, frames, hardware)


@_counts(DeltaConv)
def _delta_conv(operation: Operation, delta: DeltaConv, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    inputs = delta.in_channels * delta.in0 * delta.in1 * delta.in2
    outputs = delta.out_channels * delta.out0 * delta.out1 * delta.out2
    return _delta(operation, inputs, outputs, bool(delta.listed), columns, frames, hardware)


@_counts(DenseFc)
def _dense_fc(operation: Operation, dense: DenseFc, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    inputs, outputs = dense.rows * dense.inputs, dense.rows * dense.outputs
    macs = inputs * dense.outputs
    bias = 0 if dense.accumulate else dense.outputs
    kept = outputs if dense.accumulate else 0
    return {
        Event.MACS: macs * frames,
        Event.MAC_CYCLES: inputs * -(-dense.outputs // hardware.compute.lanes.value) * frames,
        Event.EDRAM_READ: (macs + bias) * _WORD * frames,
        Event.BUFFER_READ: (inputs + kept) * _WORD * frames,
        Event.BUFFER_WRITE: outputs * _WORD * frames,
    }


@_counts(DenseMatmul)
def _dense_matmul(
    operation: Operation, dense: DenseMatmul, columns: Columns, frames: int, hardware: Hardware
) -> Counts:
    """Like an FC of every matrix; what would be weights there comes from the I/O buffer, unless it is a constant."""
    matrices = dense.matrices0 * dense.matrices1
    inputs, outputs = matrices * dense.rows * dense.inputs, matrices * dense.rows * dense.outputs
    macs = inputs * dense.outputs
    read = inputs + (outputs if dense.accumulate else 0) + (0 if dense.constant else macs)
    return {
        Event.MACS: macs * frames,
        Event.MAC_CYCLES: inputs * -(-dense.outputs // hardware.compute.lanes.value) * frames,
        Event.EDRAM_READ: (macs if dense.constant else 0) * _WORD * frames,
        Event.BUFFER_READ: read * _WORD * frames,
        Event.BUFFER_WRITE: outputs * _WORD * frames,
    }


@_counts(DenseConv)
def _dense_conv(operation: Operation, dense: DenseConv, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    assert operation.classes is not None
    sizes = operation.classes.sizes
    macs = int(sizes @ operation.classes.fan_out)
    outputs = dense.out_channels * dense.out0 * dense.out1 * dense.out2
    return {
        Event.MACS: macs * frames,
        Event.MAC_CYCLES: int(sizes @ mac_cycles(operation, hardware.compute.lanes.value)) * frames,
        Event.EDRAM_READ: (macs + dense.out_channels) * _WORD * frames,
        Event.BUFFER_READ: int(sizes.sum()) * _WORD * frames,
        Event.BUFFER_WRITE: outputs * _WORD * frames,
    }


@_counts(Function)
def _function(operation: Operation, function: Function, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    elements = function.size0 * function.size1 * function.size2 * function.size3 * frames
    return {
        Event.SPECIAL_OPERATIONS: special_operations(function, hardware.special.passes) * frames,
        Event.BUFFER_READ: elements * function.element.bytes,
        Event.BUFFER_WRITE: elements * function.result.bytes,
    }


@_counts(Elementwise)
def _elementwise(
    operation: Operation, binary: Elementwise, columns: Columns, frames: int, hardware: Hardware
) -> Counts:
    """An operand that is repeated along an axis is read once a repetition."""
    elements = binary.size0 * binary.size1 * binary.size2 * binary.size3 * frames
    size = elements * binary.element.bytes
    return {
        Event.SPECIAL_OPERATIONS: special_operations(binary, hardware.special.passes) * frames,
        Event.EDRAM_READ: size if binary.constant else 0,
        Event.BUFFER_READ: size if binary.constant else 2 * size,
        Event.BUFFER_WRITE: elements * binary.result.bytes,
    }


@_counts(Select)
def _select(operation: Operation, select: Select, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    """Both alternatives are read, whatever the condition."""
    elements = select.size0 * select.size1 * select.size2 * select.size3 * frames
    sizes = (1, select.element.bytes, select.element.bytes)
    constant = (select.c_constant, select.a_constant, select.b_constant)
    fixed = sum(size for size, there in zip(sizes, constant, strict=True) if there)
    return {
        Event.SPECIAL_OPERATIONS: special_operations(select, hardware.special.passes) * frames,
        Event.EDRAM_READ: elements * fixed,
        Event.BUFFER_READ: elements * (sum(sizes) - fixed),
        Event.BUFFER_WRITE: elements * select.element.bytes,
    }


@_counts(Reduce)
def _reduce(operation: Operation, reduce: Reduce, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    """Folding an element is one simple pass, squaring it another (assumed)."""
    outputs = reduce.size0 * reduce.size1
    elements = outputs * reduce.size2 * reduce.size3
    kept = outputs * reduce.result.bytes if reduce.accumulate else 0
    return {
        Event.SPECIAL_OPERATIONS: special_operations(reduce, hardware.special.passes) * frames,
        Event.BUFFER_READ: (elements * reduce.element.bytes + kept) * frames,
        Event.BUFFER_WRITE: outputs * reduce.result.bytes * frames,
    }


@_counts(Scan)
def _scan(operation: Operation, scan: Scan, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    """Folding an element is one simple pass, as in a reduction."""
    size = scan.size0 * scan.size1 * scan.size2 * scan.element.bytes * frames
    return {
        Event.SPECIAL_OPERATIONS: special_operations(scan, hardware.special.passes) * frames,
        Event.BUFFER_READ: size,
        Event.BUFFER_WRITE: size,
    }


@_counts(Resample)
def _resample(operation: Operation, resample: Resample, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    """A tap is one simple pass: a product, added to the sum (assumed)."""
    outputs = resample.outer * resample.entries * resample.inner * frames
    return {
        Event.SPECIAL_OPERATIONS: special_operations(resample, hardware.special.passes) * frames,
        Event.EDRAM_READ: 2 * resample.outer * resample.entries * resample.taps * _WORD * frames,
        Event.BUFFER_READ: outputs * resample.taps * _WORD,
        Event.BUFFER_WRITE: outputs * _WORD,
    }


@_counts(Pool)
def _pool(operation: Operation, pool: Pool, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    operations = special_operations(pool, hardware.special.passes) * frames
    outputs = pool.channels * math.prod((pool.out0, pool.out1, pool.out2)) * frames
    return {
        Event.SPECIAL_OPERATIONS: operations,
        Event.BUFFER_READ: operations * _WORD,
        Event.BUFFER_WRITE: outputs * _WORD,
    }


@_counts(Copy)
def _copy(operation: Operation, copy: Copy, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    """An element that is repeated is read once a repetition."""
    size = _moved_elements(copy) * copy.element_bytes * frames
    return {
        Event.SPECIAL_OPERATIONS: special_operations(copy, hardware.special.passes) * frames,
        Event.EDRAM_READ: size if copy.constant else 0,
        Event.BUFFER_READ: 0 if copy.constant else size,
        Event.BUFFER_WRITE: size,
    }


@_counts(Gather)
def _gather(operation: Operation, gather: Gather, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    """The table is read once for each outer index; an entry that leaves y as it is counts as if it moved (assumed)."""
    size = _moved_elements(gather) * gather.element_bytes * frames
    table = gather.outer * gather.entries * _WORD * frames
    return {
        Event.SPECIAL_OPERATIONS: special_operations(gather, hardware.special.passes) * frames,
        Event.EDRAM_READ: table + (size if gather.constant else 0),
        Event.BUFFER_READ: 0 if gather.constant else size,
        Event.BUFFER_WRITE: size,
    }


@_counts(Host)
def _host(operation: Operation, call: Host, columns: Columns, frames: int, hardware: Hardware) -> Counts:
    return {
        Event.HOST_MACS: call.macs * frames,
        Event.HOST_OPERATIONS: call.operations * frames,
        Event.DRAM_READ: call.read_bytes * frames,
        Event.DRAM_WRITE: call.write_bytes * frames,
    }
