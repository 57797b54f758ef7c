"""Instruction words: what is declared is what is encoded, and anything else is refused by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator import isa
from reuse_compiler.backend.accelerator.codec import decode_all, encode_all
from reuse_compiler.backend.accelerator.isa import (
    INSTRUCTIONS,
    OPCODE_BITS,
    WORD_BYTES,
    Binary,
    Choice,
    ConfigureQuantizer,
    DeltaConv,
    Element,
    Event,
    Field,
    Halt,
    Instruction,
    Load,
    Loop,
    Over,
    Pooling,
    Quantize,
    Space,
    Special,
    Sync,
    Unit,
    decode,
    fields,
)
from reuse_compiler.errors import ProgramError

KINDS = list(INSTRUCTIONS.values())
NAMES = [kind.MNEMONIC for kind in KINDS]


def every_field() -> list[tuple[type[Instruction], Field]]:
    return [(kind, field) for kind in KINDS for field in fields(kind)]


def fields_with_room() -> list[tuple[type[Instruction], Field]]:
    """The choices whose largest number means nothing."""
    return [(k, f) for k, f in every_field() if issubclass(f.kind, Choice) and len(f.kind) < 1 << f.bits]


def field_id(value: Any) -> str:
    return value.name if isinstance(value, Field) else value.MNEMONIC


@given(instruction=st.from_type(Instruction))
def test_a_word_gives_back_its_instruction(instruction: Instruction) -> None:
    word = instruction.encode()
    assert len(word) == WORD_BYTES
    back = decode(word)
    assert type(back) is type(instruction)
    assert back.encode() == word
    if "nan" not in repr(instruction):
        assert repr(back) == repr(instruction)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_fields_lie_where_their_widths_put_them(kind: type[Instruction]) -> None:
    position = OPCODE_BITS
    for field in fields(kind):
        if field.kind is int:
            largest = (1 << field.bits) - 1
            bits = int.from_bytes(kind(**{field.name: largest}).encode(), "little")
            assert bits == largest << position | kind.OPCODE, field.name
        position += field.bits
    assert position <= WORD_BYTES * 8


def test_a_word_by_hand() -> None:
    word = Loop(layer=0x0102, after_compute=3, over=Over.FRAMES, length=0x11223344).encode()
    expected = bytes([0x02, 0x02, 0x01, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0])
    assert word[:15] == expected
    assert int.from_bytes(word[15:], "little") == 1 | 0x11223344 << 1


def test_opcodes_and_mnemonics_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(INSTRUCTIONS[kind.OPCODE] is kind for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_instruction_says_what_it_does(kind: type[Instruction]) -> None:
    assert kind.__doc__
    assert not kind.__doc__.startswith(kind.__name__ + "(")  # the text that dataclass makes up where there is none


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_field_says_what_it_means(kind: type[Instruction]) -> None:
    for field in fields(kind):
        assert len(field.doc) > 5, field.name
        assert ("byte address" in field.doc) == field.address, field.name


@pytest.mark.parametrize("choice", [Unit, Event, Space, Over, Element, Special, Pooling, Binary])
def test_every_choice_says_what_it_means(choice: Any) -> None:
    assert all(member.doc for member in choice)


def test_choices_fit_their_fields() -> None:
    for kind, field in every_field():
        if issubclass(field.kind, Choice):
            assert max(field.kind) < 1 << field.bits, f"{kind.MNEMONIC} {field.name}"


# ----------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("opcode", sorted({*range(256)} - set(INSTRUCTIONS))[::16])
def test_an_unknown_opcode_is_refused(opcode: int) -> None:
    with pytest.raises(ProgramError, match=rf"opcode is {opcode:#04x}"):
        decode(bytes([opcode]) + bytes(WORD_BYTES - 1))


@pytest.mark.parametrize("length", [0, 1, WORD_BYTES - 1, WORD_BYTES + 1])
def test_a_word_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ProgramError, match=f"has {length} bytes: it must have {WORD_BYTES}"):
        decode(bytes(length))


@pytest.mark.parametrize(("kind", "field"), fields_with_room(), ids=field_id)
def test_an_unknown_choice_is_refused_by_name(kind: type[Instruction], field: Field) -> None:
    unknown = (1 << field.bits) - 1
    position = OPCODE_BITS + sum(f.bits for f in fields(kind)[: [f.name for f in fields(kind)].index(field.name)])
    word = (kind.OPCODE | unknown << position).to_bytes(WORD_BYTES, "little")
    message = rf"{re.escape(kind.MNEMONIC)}: field {field.name} is {unknown}: known are 0 \w+"
    with pytest.raises(ProgramError, match=message):
        decode(word)
    with pytest.raises(ProgramError, match=message):
        kind(**{field.name: unknown}).encode()


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_reserved_bits_are_refused(kind: type[Instruction]) -> None:
    used = OPCODE_BITS + sum(field.bits for field in fields(kind))
    for position in {used, WORD_BYTES * 8 - 1} - {WORD_BYTES * 8}:
        word = (kind.OPCODE | 1 << position).to_bytes(WORD_BYTES, "little")
        with pytest.raises(ProgramError, match=rf"{re.escape(kind.MNEMONIC)}: field reserved is not zero"):
            decode(word)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_value_out_of_range_is_refused_by_name(kind: type[Instruction]) -> None:
    numbers = [field for field in fields(kind) if field.kind is int]
    for field, value in [(f, -1) for f in numbers] + [(f, 1 << f.bits) for f in numbers]:
        with pytest.raises(ProgramError, match=rf"{re.escape(kind.MNEMONIC)}: field {field.name} is {value}"):
            kind(**{field.name: value}).encode()


def test_a_float_beyond_float32_is_refused_by_name() -> None:
    with pytest.raises(ProgramError, match=r"configure\.quantizer: field step is 1e\+39"):
        ConfigureQuantizer(step=1e39).encode()


def test_waits_leave_out_the_zeros() -> None:
    assert Quantize(after_data_master=2, after_host=1).waits == {Unit.DATA_MASTER: 2, Unit.HOST: 1}
    assert Halt().waits == {}


# ----------------------------------------------------------------------------------------- many words at once


@given(instructions=st.lists(st.from_type(Instruction), max_size=12))
def test_columns_are_encoded_and_decoded_like_words(instructions: list[Instruction]) -> None:
    words = encode_all(instructions)
    assert words.dtype == np.uint8
    assert words.shape == (len(instructions), WORD_BYTES)
    assert words.tobytes() == b"".join(instruction.encode() for instruction in instructions)
    assert repr(decode_all(words)) == repr(tuple(decode(word.tobytes()) for word in words))


@pytest.mark.parametrize(
    "bad",
    [
        DeltaConv(in_channels=1 << 20),
        DeltaConv(x=-1),
        DeltaConv(x=1 << 70),
        Load(space=3),  # type: ignore[arg-type]
        ConfigureQuantizer(deadband=-1e300),
    ],
)
def test_columns_refuse_what_a_word_refuses(bad: Instruction) -> None:
    with pytest.raises(ProgramError) as alone:
        bad.encode()
    with pytest.raises(ProgramError) as among:
        encode_all([Sync(), type(bad)(), bad, bad])
    assert str(among.value) == f"instruction 2: {alone.value}"


def test_columns_accept_infinities() -> None:
    instruction = ConfigureQuantizer(step=float("inf"), deadband=float("-inf"))
    assert decode_all(encode_all([instruction])) == (instruction,)


def test_columns_name_the_first_bad_word() -> None:
    words = encode_all([Halt(), Sync(), Sync(), Load()])
    words[3, -1] = 0x80
    words[2, 0] = 0xEE
    with pytest.raises(ProgramError, match=r"^instruction 2: field opcode is 0xee"):
        decode_all(words)
    words[2, 0] = Sync.OPCODE
    with pytest.raises(ProgramError, match=r"^instruction 3: load: field reserved is not zero"):
        decode_all(words)


def test_columns_refuse_words_of_another_length() -> None:
    with pytest.raises(ProgramError, match=r"\[2, 64\]: it must be \[instructions, 128\]"):
        decode_all(np.zeros((2, 64), np.uint8))


def test_build_makes_the_kind_that_is_asked_for() -> None:
    assert isa.build(Loop, {"length": 3}) == Loop(length=3)
