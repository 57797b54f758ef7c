"""The text of a program: it reads well, gives back every byte, and its errors say where and what."""

from __future__ import annotations

import dataclasses
import math
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.assembler import assemble, disassemble
from reuse_compiler.backend.accelerator.isa import (
    INSTRUCTIONS,
    Choice,
    ConfigureQuantizer,
    DeltaFc,
    Halt,
    Instruction,
    Load,
    Loop,
    Over,
    Quantize,
    Sync,
    build,
    fields,
)
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.errors import ProgramError


def with_code(program: Program, reuse: list[Instruction], baseline: list[Instruction]) -> Program:
    return dataclasses.replace(
        program,
        reuse=dataclasses.replace(program.reuse, instructions=tuple(reuse)),
        baseline=dataclasses.replace(program.baseline, instructions=tuple(baseline)),
    )


def code_bytes(program: Program) -> tuple[bytes, bytes]:
    return (
        b"".join(i.encode() for i in program.reuse.instructions),
        b"".join(i.encode() for i in program.baseline.instructions),
    )


def extremes(kind: type[Instruction], real: float) -> Instruction:
    """An instruction whose every field is as large as it can be."""
    return build(
        kind,
        {
            field.name: real
            if field.kind is float
            else list(field.kind)[-1]
            if issubclass(field.kind, Choice)
            else (1 << field.bits) - 1
            for field in fields(kind)
        },
    )


SOME = st.lists(st.from_type(Instruction), max_size=10)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(reuse=SOME, baseline=SOME)
def test_assembling_gives_back_every_byte(
    program: Program, reuse: list[Instruction], baseline: list[Instruction]
) -> None:
    before = with_code(program, reuse, baseline)
    after = assemble(disassemble(before), program)
    assert code_bytes(after) == code_bytes(before)


@pytest.mark.parametrize("kind", INSTRUCTIONS.values(), ids=lambda kind: kind.MNEMONIC)
@pytest.mark.parametrize("real", [0.0, -0.0, math.inf, -math.inf, math.nan, 3.4028234663852886e38, -1e-45, 0.1])
def test_extreme_values_come_back(program: Program, kind: type[Instruction], real: float) -> None:
    before = with_code(program, [extremes(kind, real)], [kind()])
    assert code_bytes(assemble(disassemble(before), program)) == code_bytes(before)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=500)
@given(bits=st.integers(0, (1 << 32) - 1))
@example(bits=0x7FC00001)
@example(bits=0xFFC00000)
@example(bits=0x80000000)
@example(bits=0x00000001)
def test_every_float_comes_back(program: Program, bits: int) -> None:
    value = struct.unpack("<f", struct.pack("<I", bits))[0]
    before = with_code(program, [ConfigureQuantizer(step=value)], [])
    assert code_bytes(assemble(disassemble(before), program)) == code_bytes(before)


def test_what_is_not_code_comes_from_the_program(program: Program) -> None:
    after = assemble(disassemble(program), program)
    assert after.constants is program.constants
    assert after.reuse == program.reuse
    assert after.baseline == program.baseline
    assert (after.layers, after.tiling, after.model_sha256) == (program.layers, program.tiling, program.model_sha256)


READABLE = """
reuse:  ; 15 instructions
  ; once
  load                 layer=1  space=EDRAM run_bytes=60 count0=1 count1=1  ; fc
  sync
  loop                 over=SEQUENCES length=11  ; for every sequence of the stream
    fill                 layer=1  space=BUFFER value=16 element_bytes=1 repeat=4  ; fc
    fill                 layer=1  space=BUFFER address=0x10 source=0x30 count=3 repeat=1 copies=1  ; fc
    sync
    loop                 over=FRAMES length=7  ; for every frame of the sequence
      load                 layer=1  space=BUFFER dram_address=0x100 address=0x80 run_bytes=16 count0=1 count1=1  ; fc
      configure.quantizer  layer=1  step=0.1 zero=16 clusters=32  ; fc
      delta.fc             layer=1  after dm=1  x=0x80 x_stride=4 index_stride=4 z=0x10 z_stride=3 weights_stride=3 rows=1 inputs=4 outputs=3 commit=1  ; fc
      function             layer=1  after ce=1  function=RAMP element=FLOAT32 result=FLOAT32 beta=inf x=0x10 y=0x20 size0=1 size1=1 size2=1 size3=3  ; fc
      store                layer=2  after sfu=1  dram_address=0x180 address=0x20 run_bytes=12 count0=1 count1=1  ; softmax ; odd\\nname
      host                 layer=2  after dm=2  operations=9 read_bytes=12 write_bytes=12  ; softmax ; odd\\nname
      sync
  halt
"""


def test_a_person_can_read_it(program: Program) -> None:
    assert READABLE in disassemble(program)


def test_choices_and_all_units_are_spelled_out(program: Program) -> None:
    quantize = Quantize(layer=9, after_data_master=1, after_compute=2, after_special=3, after_host=4, x=255)
    text = disassemble(with_code(program, [quantize], [Loop(over=Over.SEQUENCES)]))
    assert "  quantize             layer=9  after dm=1 ce=2 sfu=3 host=4  x=0xff\n" in text
    assert "  loop                 over=SEQUENCES  ; for every sequence of the stream\n" in text


def test_a_person_can_write_it(program: Program) -> None:
    text = """
        baseline:          ; in any order

        halt
        reuse:
        sync;              done
        delta.fc rows=0x10 after ce=0b11 dm=1_000 layer=3 ; fields in any order, any base
        configure.quantizer step=1e-3 deadband=-inf
        halt layer=0
    """
    after = assemble(text.replace("\n", "\r\n"), program)
    assert after.baseline.instructions == (Halt(),)
    assert after.reuse.instructions == (
        Sync(),
        DeltaFc(layer=3, after_data_master=1000, after_compute=3, rows=16),
        ConfigureQuantizer(step=float(np.float32(1e-3)), deadband=-math.inf),
        Halt(),
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("deltafc rows=1", "deltafc is no instruction: known are halt, sync"),
        ("delta.fc row=1", "delta.fc: field row is unknown: known are layer, x, x_stride"),
        ("halt over=FRAMES", "halt: field over is unknown: known are layer, after dm= ce= sfu= host="),
        ("delta.fc dm=1", "delta.fc: field dm is unknown"),
        ("delta.fc after_compute=1", "delta.fc: field after_compute is unknown"),
        ("delta.fc after npu=1", "delta.fc: field npu is unknown"),
        ("delta.fc rows=1 rows=1", "delta.fc: field rows occurs twice"),
        ("delta.fc after dm=1 dm=2", "delta.fc: field dm occurs twice"),
        ("delta.fc rows", "delta.fc: rows is no field: write name=value"),
        ("delta.fc rows=", "delta.fc: rows= is no field: write name=value"),
        ("delta.fc rows = 3", "delta.fc: rows is no field: write name=value"),
        ("delta.fc after after dm=2", "delta.fc: after is no field: write name=value"),
        ("delta.fc rows=many", "delta.fc: field rows is many: it must be a number"),
        ("delta.fc rows=1.5", "delta.fc: field rows is 1.5: it must be a number"),
        ("delta.fc rows=-1", "delta.fc: field rows is -1: it must be 0 to 4294967295"),
        ("delta.fc commit=2", "delta.fc: field commit is 2: it must be 0 to 1"),
        ("delta.fc after ce=0x1000000", "delta.fc: field after_compute is 16777216: it must be 0 to 16777215"),
        ("configure.quantizer step=small", "configure.quantizer: field step is small: it must be a number"),
        ("configure.quantizer step=1e39", "configure.quantizer: field step is 1e+39: it is too large"),
        ("load space=ROM", "load: field space is ROM: known are DRAM, EDRAM, BUFFER"),
        ("load space=1", "load: field space is 1: known are DRAM, EDRAM, BUFFER"),
        ("reuse:", "machine reuse occurs twice"),
        ("gpu:", "gpu: opens no machine: write one of reuse, baseline"),
        ("baseline: halt", "baseline: halt opens no machine"),
    ],
)
def test_an_error_names_line_instruction_and_field(program: Program, line: str, problem: str) -> None:
    with pytest.raises(ProgramError) as error:
        assemble(f"reuse:\nhalt\n; a comment\n{line} ; and why\nbaseline:\nhalt\n", program)
    assert str(error.value).startswith(f"line 4: {problem}")
    assert "\n" not in str(error.value)


def test_an_instruction_before_the_first_machine_is_refused(program: Program) -> None:
    with pytest.raises(ProgramError, match="line 2: sync stands before the first machine"):
        assemble("\nsync\nreuse:\nbaseline:\n", program)


@pytest.mark.parametrize(
    ("text", "missing"), [("reuse:\nhalt", "baseline"), ("baseline:\nhalt", "reuse"), ("", "reuse")]
)
def test_a_missing_machine_is_named(program: Program, text: str, missing: str) -> None:
    with pytest.raises(ProgramError, match=f"machine {missing} is missing"):
        assemble(text, program)


def test_what_has_no_word_has_no_text(program: Program) -> None:
    with pytest.raises(ProgramError, match="load: field count0 is 16777216"):
        disassemble(with_code(program, [Load(count0=1 << 24)], []))
