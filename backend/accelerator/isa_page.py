"""The reference page ``docs/isa.md``, written from the declarations by ``make docs``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

import numpy as np

from reuse_compiler.backend.accelerator import isa
from reuse_compiler.backend.accelerator.assembler import disassemble
from reuse_compiler.backend.accelerator.isa import (
    INSTRUCTIONS,
    OPCODE_BITS,
    WORD_BYTES,
    Binary,
    Choice,
    Computed,
    ConfigureQuantizer,
    DeltaFc,
    DenseFc,
    Element,
    Event,
    Field,
    Fill,
    Function,
    Halt,
    Instruction,
    Load,
    Loop,
    Over,
    Pooling,
    Reduction,
    Space,
    Special,
    Store,
    Sync,
    Unit,
)
from reuse_compiler.backend.accelerator.program import Code, LayerInfo, Program, Tiling

__all__ = ["page"]

_CHOICES: tuple[type[Choice], ...] = (Space, Over, Element, Special, Binary, Pooling, Reduction)

_CLAUSE_END = re.compile(r"[.:;](?:\s|$)")

_INTRODUCTION = """\
# The instruction set

<!-- Written by `make docs` from reuse_compiler/backend/accelerator/isa/: change the declarations, not this page. -->

The accelerator that a model is compiled for has four execution units and three memories. An instruction moves or
computes one tile of one layer. The program says in full what depends on what, so all overlap of loads, computation and
stores can be read from it.

The machine reuses what it computed for the frame before. It keeps, for the input of every layer that reuses, the
*index* of each element, which is the number of the nearest centroid of a quantizer, and the layer's *linear outputs*,
which are its outputs before the activation. In the next frame a `delta` instruction quantizes the input anew, compares
the indices, and corrects the linear outputs by what the changed inputs alone contribute."""

_PROGRAM = """\
## A program

A program has two codes over one set of constants: one for the machine that reuses, and one for the baseline, the same
machine with every layer dense. Both have this form:

| section | executed | what it does |
|---|---|---|
| setup | once | loads the weights that stay in the eDRAM |
| `loop over=SEQUENCES` | | |
| start | at the start of every sequence | sets indices and linear outputs to what a sequence starts with |
| `loop over=FRAMES` | | |
| frame | for every frame | copies the inputs in, computes, copies the outputs out |
| `halt` | once | |

Each section that has instructions ends with `sync`. Before a frame begins, the frame's inputs are put into DRAM at the addresses that the
program binds to their names; after it, the outputs are taken from there. The constants fill DRAM from address 0.

| memory | holds | addressed by |
|---|---|---|
| DRAM | constants, inputs, outputs, and what has no room elsewhere | `load`, `store`, `fill`, `host` |
| eDRAM | weights, biases, deadbands, tables | `load`, `fill`, `elementwise`, `select`, `copy`, `gather`, and the compute instructions |
| I/O buffer | activations, indices, linear outputs | everything but `host` |

All numbers are little endian: float32 for activations, weights and linear outputs; indices take one byte up to 256
clusters and two above. Addresses count bytes from the start of their memory. Strides count elements, those of `load`
and `store` bytes."""

_ORDER = """\
## Order

The control unit issues the instructions in program order into one queue per execution unit, and each unit works its
own queue off in order. Nothing else orders instructions but what their headers say: an instruction starts when, for
every unit, the number of that unit's instructions that its `after_` field gives are complete. Only instructions of the
same section count, and of these the ones since the last `sync`.

An instruction is complete when its results can be read. So one that reads what another wrote waits for it, also on
the same unit. One that overwrites what another reads or wrote waits for it where that is on another unit; on the same
unit the queue puts them in order.

Instructions of the control unit take effect when they are issued; what they configure holds for the instructions
behind them in the program, whenever those execute."""

_TEXT = """\
## As text

`reusec disasm` writes the code of both machines as text and `reusec asm` reads it back, byte for byte. One instruction
a line: mnemonic, layer, what it waits for, the choices, and all other fields that are not zero. `after dm=2 ce=1` stands
for `after_data_master` 2 and `after_compute` 1; `sfu` and `host` are the other two. Numbers are decimal or hexadecimal
(`0x`), floats also `inf`, `-inf` and `nan`. A comment runs from `;` to the end of the line. This is a program for one
fully connected layer with 4 inputs, 3 outputs and a Relu:"""


def page() -> str:
    """The page as Markdown."""
    blocks = [
        _INTRODUCTION,
        _PROGRAM,
        "## Units",
        _table(("unit", "what it does"), ((_code(unit.name), unit.doc) for unit in Unit)),
        _ORDER,
        _word(),
        "## Instructions",
        _table(
            ("opcode", "instruction", "unit", "what it does"),
            (
                (
                    _code(f"{kind.OPCODE:#04x}"),
                    f"[{_code(kind.MNEMONIC)}](#{_anchor(kind)})",
                    _code(kind.UNIT.name),
                    _CLAUSE_END.split(_semantics(kind))[0],
                )
                for kind in INSTRUCTIONS.values()
            ),
        ),
        *(_instruction(kind) for kind in INSTRUCTIONS.values()),
        "## Choices\n\nFields that hold one of a few numbers.",
        *(_choice(choice) for choice in _CHOICES),
        "## Events\n\nWhat is counted when an instruction executes. Cycles and energy are computed from these counts.",
        _table(("event", "meaning"), ((_code(event.value), event.doc) for event in Event)),
        _TEXT,
        f"```\n{disassemble(_example()).rstrip()}\n```",
    ]
    return "\n\n".join(blocks) + "\n"


def _word() -> str:
    header = isa.fields(Sync)
    rows = [(f"0..{OPCODE_BITS - 1}", _code("opcode"), "number", "which instruction this is")]
    end = OPCODE_BITS + sum(field.bits for field in header)
    text = (
        f"## The word\n\nEvery instruction is one word of {WORD_BYTES * 8:,} bits, {WORD_BYTES} bytes. Bit 0 is the lowest"
        " bit of the first byte. The header\n"
        f"is the same for all; operands follow from bit {end} in the order of their tables, packed without gaps, and all"
        " bits\nbehind the last one are zero."
    )
    return f"{text}\n\n{_table(('bits', 'field', 'type', 'meaning'), [*rows, *_field_rows(header, OPCODE_BITS)])}"


def _instruction(kind: type[Instruction]) -> str:
    header = isa.fields(Sync)
    operands = isa.fields(kind)[len(header) :]
    first = OPCODE_BITS + sum(field.bits for field in header)
    blocks = [f"### {kind.MNEMONIC}", _semantics(kind)]
    events = ", ".join(_code(event.value) for event in kind.EVENTS) or "none"
    blocks.append(f"Opcode {_code(f'{kind.OPCODE:#04x}')}, unit {_code(kind.UNIT.name)}. Events: {events}.")
    if operands:
        blocks.append(_table(("bits", "field", "type", "meaning"), _field_rows(operands, first)))
    return "\n\n".join(blocks)


def _semantics(kind: type[Instruction]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _field_rows(layout: Sequence[Field], position: int) -> Iterable[tuple[str, str, str, str]]:
    for field in layout:
        last = position + field.bits - 1
        yield (f"{position}..{last}" if field.bits > 1 else f"{position}", _code(field.name), _type(field), field.doc)
        position += field.bits


def _type(field: Field) -> str:
    if field.kind is float:
        return "float32"
    if issubclass(field.kind, Choice):
        return f"[{field.kind.__name__}](#{field.kind.__name__.lower()})"
    return "address" if field.address else "number"


def _choice(choice: type[Choice]) -> str:
    head: tuple[str, ...] = ("number", "name", "meaning")
    rows: list[tuple[str, ...]] = [(str(member.value), _code(member.name), member.doc) for member in choice]
    if issubclass(choice, Computed):
        head = (*head, "an element passes through")
        rows = [(*row, ", ".join(member.passes)) for row, member in zip(rows, choice, strict=True)]
    return f"### {choice.__name__}\n\n{(choice.__doc__ or '').strip()}\n\n{_table(head, rows)}"


def _anchor(kind: type[Instruction]) -> str:
    """The name that GitHub gives to the heading of an instruction."""
    return kind.MNEMONIC.replace(".", "")


def _code(text: str) -> str:
    return f"`{text}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _example() -> Program:
    """One fully connected layer, 4 inputs, 3 outputs, with a Relu."""
    copy_in = Load(layer=1, space=Space.BUFFER, dram_address=0x40, address=0x40, run_bytes=16, count0=1, count1=1)
    tile = {"x": 0x40, "x_stride": 4, "z": 0x10, "z_stride": 3, "weights_stride": 3, "inputs": 4, "outputs": 3}
    quantizer = ConfigureQuantizer(layer=1, step=float(np.float32(0.1)), zero=16, clusters=32)
    delta = DeltaFc(layer=1, after_data_master=1, **tile, index_stride=4, rows=1, commit=1)
    dense = DenseFc(layer=1, after_data_master=1, **tile, bias=0x30, rows=1)
    relu = Function(
        layer=1, after_compute=1, function=Special.RAMP, beta=float("inf"), x=0x10, y=0x20,
        size0=1, size1=1, size2=1, size3=3,
    )  # fmt: skip
    copy_out = Store(layer=1, after_special=1, dram_address=0x50, address=0x20, run_bytes=12, count0=1, count1=1)
    start = (
        Fill(layer=1, space=Space.BUFFER, address=0, value=16, element_bytes=1, repeat=4),
        Fill(layer=1, space=Space.BUFFER, address=0x10, source=0x30, count=3, repeat=1, copies=1),
        Sync(),
    )
    return Program(
        reuse=_example_code(start, (copy_in, quantizer, delta, relu, copy_out, Sync())),
        baseline=_example_code((Sync(),), (copy_in, dense, relu, copy_out, Sync())),
        constants=np.zeros(0x3C, np.uint8),
        layers=(LayerInfo("input", "", "dense", 0, 0), LayerInfo("fc", "Gemm", "reuse", 12, 4)),
        tiling=Tiling("", 0, 0, 0, 0, 0),
        model_sha256="0" * 64,
    )


def _example_code(start: tuple[Instruction, ...], frame: tuple[Instruction, ...]) -> Code:
    setup = (Load(layer=1, space=Space.EDRAM, run_bytes=0x3C, count0=1, count1=1), Sync())
    loops = Loop(over=Over.SEQUENCES, length=len(start) + 1 + len(frame)), Loop(over=Over.FRAMES, length=len(frame))
    return Code(
        instructions=(*setup, loops[0], *start, loops[1], *frame, Halt()),
        dram_bytes=0x60,
        buffer_bytes=0x50,
        inputs=(),
        outputs=(),
        hosts=(),
        sites=(),
    )


if __name__ == "__main__":
    sys.stdout.write(page())
