"""Timing: the cycles of every frame, from the instructions, their trace columns and the hardware alone.

The control unit issues in program order. Each unit takes its instructions in order::

    start = max(issue, unit free, completion of what it waits for)
    end   = start + busy          the unit is free again
    ready = end + unit latency    waiting instructions may start

Frames are independent: a section ends with `sync`. Arrays run over frames, so that one pass over the instructions
times them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.events import filled_bytes, mac_cycles, moved_bytes, special_operations
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import (
    EXECUTION_UNITS,
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
    Load,
    Pool,
    Quantize,
    Reduce,
    Resample,
    Scan,
    Select,
    Space,
    Store,
    Unit,
)
from reuse_compiler.backend.accelerator.operations import Operation

__all__ = ["Schedule", "Slot", "busy_cycles", "schedule"]

Cycles = NDArray[np.int64]


@dataclass(frozen=True)
class Slot:
    """When one operation runs in each frame: int64 [frames] or scalars."""

    operation: int
    start: Cycles
    end: Cycles
    ready: Cycles


@dataclass(frozen=True)
class Schedule:
    """Cycles of every frame (int64 [frames]), and of every layer: how far the layer's instructions move the end of
    all work (int64 [layers, frames]). Layers sum to the frame."""

    total_cycles: Cycles
    layer_cycles: Cycles
    slots: list[Slot]


def _ceil(count: int, per_cycle: float) -> int:
    """count / per_cycle rounded up, the rate taken as the decimal that it is written as (51.2)."""
    rate = _rate(per_cycle)
    return -(-count * rate.denominator // rate.numerator)


@lru_cache
def _rate(per_cycle: float) -> Fraction:
    return Fraction(repr(per_cycle))


def _transfer(size: int, hardware: Hardware) -> int:
    return hardware.dram.latency_cycles.value + _ceil(size, hardware.dram.bytes_per_cycle.value) if size else 0


def busy_cycles(operation: Operation, rows: NDArray[np.int64], hardware: Hardware) -> Cycles:
    """Cycles that an operation keeps its unit busy: int64 [frames], or a scalar array where all frames are alike.

    `rows` int64 [frames, columns] are its trace columns.
    """
    if isinstance(operation.instruction, DeltaFc | DeltaConv):
        return _delta(operation, rows, hardware)
    return np.asarray(_static(operation, hardware), np.int64)


def _static(operation: Operation, hardware: Hardware) -> int:
    """Busy cycles that the instruction alone decides."""
    instruction, lanes = operation.instruction, hardware.compute.lanes.value
    match instruction:
        case Load() | Store():
            return _transfer(moved_bytes(instruction), hardware)
        case Fill():
            size = filled_bytes(instruction)
            if instruction.space is Space.DRAM:
                return _transfer(size, hardware)
            return _ceil(size, hardware.data_master.buffer_bytes_per_cycle.value)
        case Quantize():
            return _scan(instruction.outer * instruction.channels * instruction.inner, hardware)
        case DenseFc():
            return instruction.rows * instruction.inputs * -(-instruction.outputs // lanes)
        case DenseMatmul():
            rows = instruction.matrices0 * instruction.matrices1 * instruction.rows
            return rows * instruction.inputs * -(-instruction.outputs // lanes)
        case DenseConv():
            assert operation.classes is not None
            return int(operation.classes.sizes @ mac_cycles(operation, lanes))
        case Function() | Elementwise() | Select() | Pool() | Reduce() | Resample() | Scan() | Copy() | Gather():
            return -(-special_operations(instruction, hardware.special.passes) // hardware.special.lanes.value)
        case Host():
            compute = -(-instruction.macs // lanes) + -(-instruction.operations // hardware.special.lanes.value)
            return compute + _transfer(instruction.read_bytes, hardware) + _transfer(instruction.write_bytes, hardware)
    return 0


def _scan(inputs: int, hardware: Hardware) -> int:
    return _ceil(inputs, hardware.quantizer.inputs_per_cycle.value)


def _delta(operation: Operation, rows: NDArray[np.int64], hardware: Hardware) -> Cycles:
    """Changed inputs keep the lanes busy for their fan-out; the scan runs beside, or before where not overlapped."""
    assert operation.classes is not None
    classes = operation.classes.fan_out.size
    scan = _scan(int(operation.classes.sizes.sum()), hardware)
    macs: Cycles = rows[:, :classes] @ mac_cycles(operation, hardware.compute.lanes.value)
    return np.maximum(macs, scan) if hardware.quantizer.overlapped.value else macs + scan


def schedule(
    section: list[Operation], rows: NDArray[np.int64], layers: int, hardware: Hardware, *, keep_slots: bool = False
) -> Schedule:
    """Time a section for all frames at once.

    `rows` int64 [frames, columns] is the trace of the section; a section without trace columns may have one row of
    none. With `keep_slots` the start and end of every operation are kept.
    """
    frames = rows.shape[0]
    latency = {
        Unit.DATA_MASTER: hardware.data_master.latency_cycles.value,
        Unit.COMPUTE: hardware.compute.latency_cycles.value,
        Unit.SPECIAL: hardware.special.latency_cycles.value,
        Unit.HOST: 0,
    }
    zero = np.zeros(frames, np.int64)
    free: dict[Unit, Cycles] = dict.fromkeys(EXECUTION_UNITS, zero)
    ready: dict[Unit, list[Cycles]] = {unit: [] for unit in EXECUTION_UNITS}
    frontier, by_layer, slots = zero, np.zeros((layers, frames), np.int64), []
    column = 0
    for position, operation in enumerate(section):
        unit = operation.instruction.UNIT
        if unit is not Unit.CONTROL:
            start = np.maximum(free[unit], position * hardware.clock.issue_cycles.value)
            for other, number in operation.instruction.waits.items():
                start = np.maximum(start, ready[other][number - 1])
            end = start + busy_cycles(operation, rows[:, column : column + operation.columns], hardware)
            done = end + latency[unit]
            free[unit] = end
            ready[unit].append(done)
            ahead = np.maximum(frontier, done)
            by_layer[operation.instruction.layer] += ahead - frontier
            frontier = ahead
            if keep_slots:
                slots.append(Slot(position, start, end, done))
        column += operation.columns
    issued = len(section) * hardware.clock.issue_cycles.value
    total = np.maximum(frontier, issued)
    if layers:
        by_layer[-1] += total - frontier
    return Schedule(total, by_layer, slots)
