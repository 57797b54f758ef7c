"""The program's code as text, and back, byte for byte.

One instruction a line: mnemonic, layer, what it waits for, every choice, and every other field that is not zero::

    delta.fc             layer=2  after dm=3 ce=1  x=0x1c00 x_stride=400 ..  ; dense_1

``after dm=3 ce=1`` says: start when three data master instructions and one compute instruction of the section are
complete (``sfu`` the special function unit, ``host`` the host). A comment runs from ``;`` to the end of the line.
The text covers the code of both machines, each under its name and a colon; all else of a program stays in its file.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from reuse_compiler.backend.accelerator import isa
from reuse_compiler.backend.accelerator.isa import INSTRUCTIONS, Choice, Field, Halt, Instruction, Loop, Over, Sync
from reuse_compiler.backend.accelerator.program import LayerInfo, Program
from reuse_compiler.errors import ProgramError

__all__ = ["assemble", "disassemble"]

_MACHINES = ("reuse", "baseline")
_WAITS = {"dm": "after_data_master", "ce": "after_compute", "sfu": "after_special", "host": "after_host"}
_WAIT_OF = {field: unit for unit, field in _WAITS.items()}
_KINDS = {kind.MNEMONIC: kind for kind in INSTRUCTIONS.values()}
_FIELDS = {
    kind: {_WAIT_OF.get(field.name, field.name): field for field in isa.fields(kind)} for kind in _KINDS.values()
}
_MNEMONIC_WIDTH = max(map(len, _KINDS))
_LOOP_COMMENTS = {Over.SEQUENCES: "for every sequence of the stream", Over.FRAMES: "for every frame of the sequence"}
_NAN = 0x7FC00000
_NAN_TEXT = re.compile(r"nan\((0x[0-9a-f]{8})\)")


# --------------------------------------------------------------------------------------------------- program to text


def disassemble(program: Program) -> str:
    """The code of both machines as text. Raises ProgramError naming a field that does not fit its word."""
    lines = [
        f"; code for the model with sha256 {program.model_sha256}",
        "; a field left out is zero; docs/isa.md has them all",
    ]
    for name in _MACHINES:
        instructions = getattr(program, name).instructions
        lines += ["", f"{name}:  ; {len(instructions):,} instructions"]
        lines += _code_lines(instructions, program.layers)
    return "\n".join(lines) + "\n"


def _code_lines(instructions: Sequence[Instruction], layers: Sequence[LayerInfo]) -> Iterator[str]:
    ends: list[int] = []
    if instructions and not isinstance(instructions[0], Loop):
        yield "  ; once"
    for number, instruction in enumerate(instructions):
        ends = [end for end in ends if end > number]
        comment = _comment(instruction, layers)
        yield "  " * (1 + len(ends)) + _instruction_text(instruction) + (f"  ; {comment}" if comment else "")
        if isinstance(instruction, Loop):
            ends.append(number + 1 + instruction.length)


def _comment(instruction: Instruction, layers: Sequence[LayerInfo]) -> str:
    if isinstance(instruction, Loop):
        return _LOOP_COMMENTS[instruction.over]
    if isinstance(instruction, Sync | Halt) or instruction.layer >= len(layers):
        return ""
    name = layers[instruction.layer].name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _instruction_text(instruction: Instruction) -> str:
    bits = {
        field: field.to_bits(getattr(instruction, field.name), instruction.MNEMONIC)
        for field in isa.fields(type(instruction))
    }
    header = {field.name: number for field, number in bits.items() if field.name == "layer" or field.name in _WAIT_OF}
    shows_layer = header["layer"] or not isinstance(instruction, Sync | Halt | Loop)
    waits = [f"{_WAIT_OF[name]}={number}" for name, number in header.items() if number and name in _WAIT_OF]
    operands = [
        f"{field.name}={_value_text(field, number, instruction.MNEMONIC)}"
        for field, number in bits.items()
        if (number or issubclass(field.kind, Choice)) and field.name not in header
    ]
    parts = [
        f"layer={header['layer']}" if shows_layer else "",
        "after " + " ".join(waits) if waits else "",
        " ".join(operands),
    ]
    mnemonic = instruction.MNEMONIC.ljust(_MNEMONIC_WIDTH)
    return "  ".join([mnemonic, *(part for part in parts if part)]).rstrip()


def _value_text(field: Field, bits: int, mnemonic: str) -> str:
    if field.kind is float:
        return _float_text(bits)
    if issubclass(field.kind, Choice):
        return field.member(bits, mnemonic).name
    return f"{bits:#x}" if field.address else str(bits)


def _float_text(bits: int) -> str:
    """Text from which `_float_value` gives exactly these bits: the shortest decimal wherever that is enough."""
    value = np.uint32(bits).view(np.float32)
    if np.isnan(value):
        return "nan" if bits == _NAN else f"nan({bits:#010x})"
    text = str(value)
    return text if np.float32(float(text)) == value else repr(float(value))


# --------------------------------------------------------------------------------------------------- text to program


def assemble(text: str, data: Program) -> Program:
    """The program with the code of `text`, and the constants, layers, bindings and host models of `data`.

    Raises ProgramError naming the line, the mnemonic and the field where the text is wrong, or the machine that it
    lacks.
    """
    codes: dict[str, list[Instruction]] = {}
    current: list[Instruction] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        tokens = line.partition(";")[0].split()
        if not tokens:
            continue
        try:
            if tokens[0].endswith(":"):
                current = _open_machine(tokens, codes)
            elif current is None:
                raise ProgramError(f"{tokens[0]} stands before the first machine: write reuse: or baseline: above it")
            else:
                current.append(_parse(tokens))
        except ProgramError as error:
            raise ProgramError(f"line {number}: {error}") from error
    for name in _MACHINES:
        if name not in codes:
            raise ProgramError(f"machine {name} is missing: write {name}: and its instructions")
    return dataclasses.replace(
        data,
        reuse=dataclasses.replace(data.reuse, instructions=tuple(codes["reuse"])),
        baseline=dataclasses.replace(data.baseline, instructions=tuple(codes["baseline"])),
    )


def _open_machine(tokens: list[str], codes: dict[str, list[Instruction]]) -> list[Instruction]:
    name = tokens[0][:-1]
    if name not in _MACHINES or len(tokens) > 1:
        raise ProgramError(f"{' '.join(tokens)} opens no machine: write one of {', '.join(_MACHINES)} and a colon")
    if name in codes:
        raise ProgramError(f"machine {name} occurs twice: keep one")
    codes[name] = []
    return codes[name]


def _parse(tokens: list[str]) -> Instruction:
    mnemonic, *operands = tokens
    kind = _KINDS.get(mnemonic)
    if kind is None:
        raise ProgramError(f"{mnemonic} is no instruction: known are {', '.join(_KINDS)}")
    known = _FIELDS[kind]
    values: dict[str, int | float] = {}
    waiting = False
    for token in operands:
        if token == "after" and not waiting:
            waiting = True
            continue
        name, equals, text = token.partition("=")
        if not equals or not text:
            raise ProgramError(f"{mnemonic}: {token} is no field: write name=value")
        field = known.get(name)
        if field is None or (name in _WAITS and not waiting):
            raise ProgramError(f"{mnemonic}: field {name} is unknown: known are {_known_text(kind)}")
        if field.name in values:
            raise ProgramError(f"{mnemonic}: field {name} occurs twice: keep one")
        values[field.name] = _parse_value(field, text, mnemonic)
    return isa.build(kind, values)


def _known_text(kind: type[Instruction]) -> str:
    waits = " ".join(f"{unit}=" for unit in _WAITS)
    names = (name for name in _FIELDS[kind] if name not in _WAITS)
    return f"{', '.join(names)}, after {waits}"


def _parse_value(field: Field, text: str, mnemonic: str) -> int | float:
    if issubclass(field.kind, Choice):
        return _choice_value(field.kind, field, text, mnemonic)
    convert: Callable[[str], int | float] = _float_value if field.kind is float else _int_value
    try:
        value = convert(text)
    except ValueError as error:
        raise ProgramError(f"{mnemonic}: field {field.name} is {text}: it must be a number") from error
    return field.from_bits(field.to_bits(value, mnemonic), mnemonic)  # type: ignore[no-any-return]


def _choice_value(kind: type[Choice], field: Field, text: str, mnemonic: str) -> Choice:
    if text not in kind.__members__:
        raise ProgramError(f"{mnemonic}: field {field.name} is {text}: known are {', '.join(kind.__members__)}")
    return kind[text]


def _int_value(text: str) -> int:
    return int(text, 0)


def _float_value(text: str) -> float:
    payload = _NAN_TEXT.fullmatch(text)
    if payload:
        return float(struct.unpack("<f", bytes.fromhex(payload[1][2:])[::-1])[0])
    return float(text)
