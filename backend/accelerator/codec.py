"""Many instruction words at once: the layout that isa/ declares, applied to whole columns of fields.

The bytes, values and errors are those of ``Instruction.encode`` and ``isa.decode``; a program of 100,000 instructions
takes a second instead of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator import isa
from reuse_compiler.backend.accelerator.isa import INSTRUCTIONS, OPCODE_BITS, WORD_BYTES, Choice, Field, Instruction
from reuse_compiler.errors import ProgramError

__all__ = ["Words", "decode_all", "encode_all"]

Words = NDArray[np.uint8]
Bits = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_LANE = 64
_LANES = WORD_BYTES * 8 // _LANE


def encode_all(instructions: Sequence[Instruction]) -> Words:
    """The words of `instructions`: uint8 [instructions, 128].

    Raises ProgramError naming the number of the first instruction that does not fit its word, and the field.
    """
    lanes = np.zeros((len(instructions), _LANES), "<u8")
    members: dict[type[Instruction], list[int]] = {}
    for number, instruction in enumerate(instructions):
        members.setdefault(type(instruction), []).append(number)
    for kind, numbers in members.items():
        try:
            lanes[numbers] = _encode_kind(kind, [instructions[number] for number in numbers])
        except (OverflowError, ProgramError):
            _fail_encoding(instructions)
            raise
    return lanes.view(np.uint8)


def decode_all(words: Words) -> tuple[Instruction, ...]:
    """The instructions of `words`, uint8 [instructions, 128].

    Raises ProgramError naming the number of the first instruction that means nothing, and the field.
    """
    if words.ndim != 2 or words.shape[1] != WORD_BYTES:
        raise ProgramError(f"code has the shape {list(words.shape)}: it must be [instructions, {WORD_BYTES}]")
    lanes = np.ascontiguousarray(words).view("<u8")
    opcodes = words[:, 0]
    sound = np.zeros(len(words), np.bool_)
    decoded: list[Any] = [None] * len(words)
    for opcode in np.unique(opcodes).tolist():
        numbers = np.flatnonzero(opcodes == opcode)
        kind = INSTRUCTIONS.get(opcode)
        if kind is None:
            continue
        sound[numbers], instructions = _decode_kind(kind, lanes[numbers])
        for number, instruction in zip(numbers.tolist(), instructions, strict=False):
            decoded[number] = instruction
    if not sound.all():
        _fail_decoding(words, int(np.argmin(sound)))
    return tuple(decoded)


def _encode_kind(kind: type[Instruction], instructions: list[Instruction]) -> Bits:
    layout = isa.fields(kind)
    rows = map(attrgetter(*(field.name for field in layout)), instructions)
    lanes = np.zeros((len(instructions), _LANES), np.uint64)
    lanes[:, 0] = kind.OPCODE
    position = OPCODE_BITS
    for field, column in zip(layout, zip(*rows, strict=True), strict=True):
        _insert(lanes, position, field.bits, _to_bits(field, column, kind.MNEMONIC))
        position += field.bits
    return lanes


def _decode_kind(kind: type[Instruction], lanes: Bits) -> tuple[Mask, list[Instruction]]:
    """Which words are sound, and the instructions if all are."""
    layout = isa.fields(kind)
    used = np.zeros((1, _LANES), np.uint64)
    _insert(used, 0, OPCODE_BITS, np.array([(1 << OPCODE_BITS) - 1], np.uint64))
    sound = np.ones(len(lanes), np.bool_)
    columns: list[list[Any]] = []
    position = OPCODE_BITS
    for field in layout:
        bits = _extract(lanes, position, field.bits)
        _insert(used, position, field.bits, np.array([(1 << field.bits) - 1], np.uint64))
        known, column = _from_bits(field, bits)
        sound &= known
        columns.append(column)
        position += field.bits
    sound &= ~(lanes & ~used).any(axis=1)
    if not sound.all():
        return sound, []
    names = [field.name for field in layout]
    rows = zip(*columns, strict=True)
    return sound, [isa.build(kind, dict(zip(names, row, strict=True))) for row in rows]


def _to_bits(field: Field, column: Sequence[Any], mnemonic: str) -> Bits:
    if field.kind is float:
        with np.errstate(over="ignore"):
            values = np.array(column, np.float32)
        if np.isinf(values).any():
            for value in column:
                field.to_bits(value, mnemonic)
        return values.view(np.uint32).astype(np.uint64)
    if issubclass(field.kind, Choice):
        for value in set(column):
            field.member(value, mnemonic)
    bits = np.array(column, np.uint64)
    if int(bits.max()) >> field.bits:
        raise ProgramError(f"{mnemonic}: field {field.name} does not fit {field.bits} bits")
    return bits


def _from_bits(field: Field, bits: Bits) -> tuple[Mask, list[Any]]:
    """Which bits mean something, and the values."""
    everything = np.ones(len(bits), np.bool_)
    if field.kind is float:
        return everything, bits.astype(np.uint32).view(np.float32).tolist()
    if not issubclass(field.kind, Choice):
        return everything, bits.tolist()
    members = {member.value: member for member in field.kind}
    return np.isin(bits, list(members)), [members.get(value) for value in bits.tolist()]


def _insert(lanes: Bits, position: int, width: int, bits: Bits) -> None:
    lane, shift = divmod(position, _LANE)
    lanes[:, lane] |= bits << np.uint64(shift)
    if shift + width > _LANE:
        lanes[:, lane + 1] |= bits >> np.uint64(_LANE - shift)


def _extract(lanes: Bits, position: int, width: int) -> Bits:
    lane, shift = divmod(position, _LANE)
    bits: Bits = lanes[:, lane] >> np.uint64(shift)
    if shift + width > _LANE:
        bits |= lanes[:, lane + 1] << np.uint64(_LANE - shift)
    return bits & np.uint64((1 << width) - 1)


def _fail_encoding(instructions: Sequence[Instruction]) -> None:
    for number, instruction in enumerate(instructions):
        try:
            instruction.encode()
        except ProgramError as error:
            raise ProgramError(f"instruction {number}: {error}") from error


def _fail_decoding(words: Words, number: int) -> None:
    try:
        isa.decode(words[number].tobytes())
    except ProgramError as error:
        raise ProgramError(f"instruction {number}: {error}") from error
    raise AssertionError(f"instruction {number} decodes alone and not among others")
