"""Whether a program holds together: what a hand edit can break, and a lowering must not."""

from __future__ import annotations

from reuse_compiler.backend.accelerator.accounting import check_code
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.isa import Host
from reuse_compiler.backend.accelerator.program import Code, Program
from reuse_compiler.errors import ProgramError

__all__ = ["check_program", "check_references"]


def check_references(program: Program) -> None:
    """Check that every instruction names a layer and a host model that the program has.

    Raises ProgramError naming the machine and the instruction.
    """
    for name, code in (("reuse", program.reuse), ("baseline", program.baseline)):
        for number, instruction in enumerate(code.instructions):
            where = f"{name}: instruction {number}, {instruction.MNEMONIC}"
            if instruction.layer >= max(len(program.layers), 1):
                raise ProgramError(f"{where}: field layer is {instruction.layer}: there are {len(program.layers)}")
            if isinstance(instruction, Host) and instruction.model >= len(code.hosts):
                raise ProgramError(f"{where}: field model is {instruction.model}: there are {len(code.hosts)}")


def check_program(program: Program) -> None:
    """Check references, the order of memory accesses, and that each layer's tiles do all of its work.

    Raises ProgramError naming machine and instruction, or VerificationError naming the layer.
    """
    check_references(program)
    hardware = load_hardware("isca18")  # moves are counted alike on any
    for name, code in (("reuse", program.reuse), ("baseline", program.baseline)):
        _check_waits(name, code)
        check_code(program, code, hardware)


def _check_waits(name: str, code: Code) -> None:
    found = races(code)
    if found:
        race = found[0]
        raise ProgramError(
            f"{name}: instruction {race.second} does not wait for instruction {race.first}: both access byte"
            f" {race.address:,} of the {race.memory.name} ({race.kind}): add the wait"
        )
