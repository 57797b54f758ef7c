"""Accounts that do not close are found, and the layer is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.accounting import check_accounts, check_code
from reuse_compiler.backend.accelerator.cost import Costs, LayerReuse, cost_trace
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DeltaFc, DenseFc, Event, Instruction
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.errors import VerificationError

Change = Callable[[Costs], Costs]


@pytest.fixture
def machine(hardware: Hardware, program: Program) -> Hardware:
    tiling = program.tiling
    return hardware.varied(
        {
            "compute.accumulators": tiling.accumulators,
            "edram.bytes": tiling.edram_bytes,
            "buffer.base.bytes": tiling.buffer_bytes_base,
            "buffer.reuse.bytes": tiling.buffer_bytes_reuse,
        },
    )


@pytest.fixture
def costs(program: Program, machine: Hardware) -> Costs:
    """Two frames of an FC of 4 inputs and 3 outputs, 3 inputs changed in all."""
    return cost_trace(program, [np.array([[2, 2, 3, 1], [1, 1, 0, 1]], np.int64)], 1, machine)


def of_layer(number: int, **values: int) -> Change:
    def change(costs: Costs) -> Costs:
        layers: list[LayerReuse] = list(costs.layers)
        layers[number] = replace(layers[number], **values)
        return replace(costs, layers=layers)

    return change


def of_machine(name: str, change: Callable[[Any], object]) -> Change:
    def apply(costs: Costs) -> Costs:
        change(getattr(costs, name))
        return costs

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_layer(1, macs_done=25), "layer fc: 25 MACs done of 24"),
        (of_layer(1, macs_done=-1), "layer fc: -1 MACs done of 24"),
        (of_layer(1, macs_done=8), "layer fc: events count 9 MACs, the trace 8"),
        (of_layer(1, macs_skipped_zero=16), "layer fc: 16 MACs skipped on zero, 15 skipped"),
        (of_layer(1, changed=9), "layer fc: 9 of 8 changed"),
        (of_layer(1, changed=-1), "layer fc: -1 of 8 changed"),
        (
            of_machine("reuse", lambda m: m.events[1].update({Event.MACS: 8})),
            "layer fc: events count 8 MACs, the trace 9",
        ),
        (
            of_machine("baseline", lambda m: m.events[1].update({Event.MACS: 23})),
            "layer fc: the baseline does 23 MACs of 24",
        ),
        (of_machine("baseline", lambda m: m.events[2].update({Event.DRAM_READ: -1})), "baseline: negative count of"),
        (of_machine("reuse", lambda m: m.energy_pj[1].update({"magic": 1e6})), "reuse: layers sum to"),
        (of_machine("reuse", lambda m: m.cycles.__setitem__(1, -1)), "reuse: a layer has negative cycles"),
    ],
)
def test_an_account_of_a_run_that_does_not_close(
    change: Change, message: str, program: Program, costs: Costs, machine: Hardware
) -> None:
    check_accounts(program, costs, machine)
    with pytest.raises(VerificationError, match=f"the accounts do not close: {message}"):
        check_accounts(program, change(costs), machine)


def edited(program: Program, name: str, kind: type[Instruction], **values: Any) -> Program:
    """The program with other operands in all instructions of a kind."""
    code = getattr(program, name)
    instructions = [
        replace(instruction, **values) if isinstance(instruction, kind) else instruction
        for instruction in code.instructions
    ]
    return replace(program, **{name: replace(code, instructions=tuple(instructions))})


@pytest.mark.parametrize(
    ("name", "kind", "values", "message"),
    [
        ("reuse", DeltaFc, {"outputs": 2}, "layer fc: tiles do 8 MACs of 12"),
        ("reuse", DeltaFc, {"commit": 0}, "layer fc: tiles commit 0 inputs of 4"),
        ("reuse", DeltaFc, {"inputs": 8, "outputs": 3}, "layer fc: tiles do 24 MACs of 12"),
        ("baseline", DenseFc, {"rows": 2}, "layer fc: tiles do 24 MACs of 12"),
    ],
)
def test_code_that_does_not_do_its_layers(
    name: str, kind: type[Instruction], values: dict[str, int], message: str, program: Program, machine: Hardware
) -> None:
    for code in (program.reuse, program.baseline):
        check_code(program, code, machine)
    wrong = edited(program, name, kind, **values)
    with pytest.raises(VerificationError, match=message):
        check_code(wrong, getattr(wrong, name), machine)


def test_the_message_asks_for_a_report(program: Program, costs: Costs, machine: Hardware) -> None:
    wrong = dataclasses.replace(
        program, layers=(*program.layers[:1], replace(program.layers[1], macs=99), program.layers[2])
    )
    with pytest.raises(VerificationError, match="this is a defect of the compiler, report it"):
        check_accounts(wrong, costs, machine)
