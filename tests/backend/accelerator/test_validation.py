"""What a hand edit of a program can break is found before it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.isa import DenseFc, Host, Instruction
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.backend.accelerator.validation import check_program, check_references
from reuse_compiler.errors import ProgramError, VerificationError
from reuse_compiler.frontend import load
from reuse_compiler.models import autopilot


@pytest.fixture(scope="module")
def sound() -> Program:
    """AutoPilot with every site dense."""
    model = load(autopilot.path())
    return lower(model.ir, load_hardware("isca18").tiling, model.sha256)


def edited(program: Program, number: int, instruction: Instruction) -> Program:
    code = list(program.reuse.instructions)
    code[number] = instruction
    return replace(program, reuse=replace(program.reuse, instructions=tuple(code)))


def first(program: Program, mnemonic: str) -> int:
    return next(i for i, each in enumerate(program.reuse.instructions) if mnemonic == each.MNEMONIC)


def test_a_lowered_program_holds_together(sound: Program) -> None:
    check_program(sound)


def test_a_layer_that_is_none(sound: Program) -> None:
    number = first(sound, "dense.fc")
    damaged = edited(sound, number, replace(sound.reuse.instructions[number], layer=77))
    with pytest.raises(ProgramError, match=f"reuse: instruction {number}, dense.fc: field layer is 77"):
        check_references(damaged)


def test_a_host_model_that_is_none(sound: Program) -> None:
    with pytest.raises(ProgramError, match="field model is 3: there are 0"):
        check_references(edited(sound, 0, Host(model=3)))


def test_a_wait_that_is_missing(sound: Program) -> None:
    number = first(sound, "function")
    damaged = edited(sound, number, replace(sound.reuse.instructions[number], after_compute=0))
    with pytest.raises(ProgramError, match="does not wait for instruction"):
        check_program(damaged)


def test_a_tile_that_does_less(sound: Program) -> None:
    number = first(sound, "dense.fc")
    whole = sound.reuse.instructions[number]
    assert isinstance(whole, DenseFc)
    damaged = edited(sound, number, replace(whole, inputs=8))
    with pytest.raises(VerificationError, match="the program was edited or is damaged"):
        check_program(damaged)
