"""Accounts: what must close after every run, whatever the model and the stream."""

from __future__ import annotations

import math

import numpy as np

from reuse_compiler.backend.accelerator.cost import Costs, MachineCost
from reuse_compiler.backend.accelerator.events import count_events, moved_bytes
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import (
    DeltaConv,
    DeltaFc,
    DenseConv,
    DenseFc,
    DenseMatmul,
    Event,
    Load,
    Store,
)
from reuse_compiler.backend.accelerator.operations import Operation, operations
from reuse_compiler.backend.accelerator.program import Code, Program
from reuse_compiler.errors import VerificationError

__all__ = ["check_accounts", "check_code"]

_NO_COLUMNS = np.zeros(0, np.int64)


def check_accounts(program: Program, costs: Costs, hardware: Hardware) -> None:
    """Check a run: work reused and done sums to the model's, energy to its components, nothing is negative, and what
    leaves one memory arrives in another. Raises VerificationError naming the account that does not close."""
    for layer, info in zip(costs.layers, program.layers, strict=True):
        total = info.macs * costs.frames
        _require(0 <= layer.macs_done <= total, f"layer {info.name}: {layer.macs_done} MACs done of {total}")
        skipped = total - layer.macs_done
        _require(
            0 <= layer.macs_skipped_zero <= skipped,
            f"layer {info.name}: {layer.macs_skipped_zero} MACs skipped on zero, {skipped} skipped",
        )
        _require(0 <= layer.changed <= layer.inputs, f"layer {info.name}: {layer.changed} of {layer.inputs} changed")
    for name, machine in (("reuse", costs.reuse), ("baseline", costs.baseline)):
        _check_machine(name, machine)
    for number, info in enumerate(program.layers):
        counted = costs.reuse.events[number].get(Event.MACS, 0) + costs.reuse.events[number].get(Event.HOST_MACS, 0)
        _require(
            counted == costs.layers[number].macs_done,
            f"layer {info.name}: events count {counted} MACs, the trace {costs.layers[number].macs_done}",
        )
        dense = costs.baseline.events[number]
        counted = dense.get(Event.MACS, 0) + dense.get(Event.HOST_MACS, 0)
        _require(
            counted == info.macs * costs.frames,
            f"layer {info.name}: the baseline does {counted} MACs of {info.macs * costs.frames}",
        )


def _check_machine(name: str, machine: MachineCost) -> None:
    _require(bool((machine.cycles >= 0).all()), f"{name}: a layer has negative cycles")
    for layer in machine.events:
        negative = [event for event, count in layer.items() if count < 0]
        _require(not negative, f"{name}: negative count of {negative}")
    by_layer = sum(sum(layer.values()) for layer in machine.energy_pj)
    _require(
        math.isclose(by_layer, machine.total_energy_pj, rel_tol=1e-9, abs_tol=1e-9),
        f"{name}: layers sum to {by_layer} pJ, components to {machine.total_energy_pj} pJ",
    )


def check_code(program: Program, code: Code, hardware: Hardware) -> None:
    """Check what a code promises before it runs: moves conserve bytes, each layer's tiles do all of its work, and each
    input of a reuse layer is committed exactly once. Raises VerificationError naming the layer."""
    frame = operations(code.sections.frame)
    macs = [0] * len(program.layers)
    committed = [0] * len(program.layers)
    for operation in frame:
        instruction = operation.instruction
        if isinstance(instruction, Load | Store):
            _check_move(operation, hardware)
        macs[instruction.layer] += _all_macs(operation)
        committed[instruction.layer] += _committed(operation)
    for number, info in enumerate(program.layers):
        if info.backend != "host":
            _require_code(macs[number] == info.macs, f"layer {info.name}: tiles do {macs[number]} MACs of {info.macs}")
        if code is program.reuse:
            _require_code(
                committed[number] == info.inputs,
                f"layer {info.name}: tiles commit {committed[number]} inputs of {info.inputs}",
            )


def _check_move(operation: Operation, hardware: Hardware) -> None:
    assert isinstance(operation.instruction, Load | Store)
    size = moved_bytes(operation.instruction)
    counts = count_events(operation, _NO_COLUMNS, 1, hardware)
    read = sum(counts.get(event, 0) for event in (Event.DRAM_READ, Event.EDRAM_READ, Event.BUFFER_READ))
    written = sum(counts.get(event, 0) for event in (Event.DRAM_WRITE, Event.EDRAM_WRITE, Event.BUFFER_WRITE))
    _require_code(read == written == size, f"a move of {size} bytes reads {read} and writes {written}")


def _all_macs(operation: Operation) -> int:
    """Multiply-accumulates of an instruction all of whose inputs changed."""
    instruction = operation.instruction
    if isinstance(instruction, DenseFc):
        return instruction.rows * instruction.inputs * instruction.outputs
    if isinstance(instruction, DenseMatmul):
        matrices = instruction.matrices0 * instruction.matrices1
        return matrices * instruction.rows * instruction.inputs * instruction.outputs
    if isinstance(instruction, DenseConv | DeltaConv | DeltaFc):
        assert operation.classes is not None
        return int(operation.classes.sizes @ operation.classes.fan_out)
    return 0


def _committed(operation: Operation) -> int:
    instruction = operation.instruction
    if isinstance(instruction, DeltaFc):
        return instruction.rows * instruction.inputs if instruction.commit else 0
    if isinstance(instruction, DeltaConv):
        return instruction.in_channels * instruction.commit0 * instruction.commit1 * instruction.commit2
    return 0


def _require_code(holds: bool, message: str) -> None:
    if not holds:
        raise VerificationError(f"{message}: the program was edited or is damaged: compile again")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise VerificationError(f"the accounts do not close: {message}: this is a defect of the compiler, report it")
