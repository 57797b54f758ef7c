"""A small program with one of everything, and what hypothesis makes of the word "instruction"."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.backend.accelerator.isa import (
    INSTRUCTIONS,
    Choice,
    ConfigureQuantizer,
    DeltaFc,
    DenseFc,
    Field,
    Fill,
    Function,
    Halt,
    Host,
    Instruction,
    Load,
    Loop,
    Over,
    Space,
    Special,
    Store,
    Sync,
    build,
    fields,
)
from reuse_compiler.backend.accelerator.program import (
    Binding,
    Code,
    HostModel,
    LayerInfo,
    Program,
    SiteInfo,
    Tiling,
)


def field_values(field: Field) -> st.SearchStrategy[Any]:
    """Every value that a field can hold, its largest often."""
    if field.kind is float:
        return st.floats(width=32)
    if issubclass(field.kind, Choice):
        return st.sampled_from(list(field.kind))
    largest = (1 << field.bits) - 1
    return st.just(largest) | st.integers(0, largest)


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    """An instruction of any kind, some of its fields set to anything."""
    kind = draw(st.sampled_from(list(INSTRUCTIONS.values())))
    chosen = draw(st.lists(st.sampled_from(fields(kind)), unique=True, max_size=8))
    return build(kind, {field.name: draw(field_values(field)) for field in chosen})


st.register_type_strategy(Instruction, instructions())


STEP = float(np.float32(0.1))
HOST = HostModel(
    name="softmax",
    model=b"not really ONNX, and no one here looks",
    inputs=(Binding("z", 0x180, (1, 3), "float32"),),
    outputs=(Binding("p", 0x200, (1, 3), "float32"),),
)


def code(frame: tuple[Instruction, ...], start: tuple[Instruction, ...] = (Sync(),)) -> Code:
    """A code with these sections around one FC 4 -> 3 whose weights are loaded once."""
    setup = (Load(layer=1, space=Space.EDRAM, dram_address=0, run_bytes=60, count0=1, count1=1), Sync())
    return Code(
        instructions=(
            *setup,
            Loop(over=Over.SEQUENCES, length=len(start) + 1 + len(frame)),
            *start,
            Loop(over=Over.FRAMES, length=len(frame)),
            *frame,
            Halt(),
        ),
        dram_bytes=0x400,
        buffer_bytes=0x100,
        inputs=(Binding("x", 0x100, (1, 4), "float32"),),
        outputs=(Binding("p", 0x200, (1, 3), "float32"),),
        hosts=(HOST,),
        sites=(),
    )


@pytest.fixture
def program() -> Program:
    """One FC 4 -> 3 with Relu and a softmax on the host, for the reuse machine and for the baseline."""
    copy_in = Load(layer=1, space=Space.BUFFER, dram_address=0x100, address=0x80, run_bytes=16, count0=1, count1=1)
    relu = Function(
        layer=1, after_compute=1, function=Special.RAMP, beta=float("inf"),
        x=0x10, y=0x20, size0=1, size1=1, size2=1, size3=3,
    )  # fmt: skip
    copy_out = Store(layer=2, after_special=1, dram_address=0x180, address=0x20, run_bytes=12, count0=1, count1=1)
    on_host = Host(layer=2, after_data_master=2, model=0, operations=9, read_bytes=12, write_bytes=12)
    delta = DeltaFc(
        layer=1, after_data_master=1, x=0x80, x_stride=4, index=0, index_stride=4, z=0x10, z_stride=3,
        weights=0, weights_stride=3, rows=1, inputs=4, outputs=3, commit=1,
    )  # fmt: skip
    dense = DenseFc(
        layer=1, after_data_master=1, x=0x80, x_stride=4, z=0x10, z_stride=3,
        weights=0, weights_stride=3, bias=48, rows=1, inputs=4, outputs=3,
    )  # fmt: skip
    start = (
        Fill(layer=1, space=Space.BUFFER, address=0, value=16, element_bytes=1, repeat=4),
        Fill(layer=1, space=Space.BUFFER, address=0x10, source=48, count=3, repeat=1, copies=1),
        Sync(),
    )
    quantizer = ConfigureQuantizer(layer=1, step=STEP, zero=16, clusters=32)
    reuse = code((copy_in, quantizer, delta, relu, copy_out, on_host, Sync()), start)
    site = SiteInfo("fc", 1, "buffer", 0, 4, "buffer", 0x10, 12, (1, 4), (1, 3), "uint8")
    return Program(
        reuse=Code(**{**vars(reuse), "sites": (site,)}),
        baseline=code((copy_in, dense, relu, copy_out, on_host, Sync())),
        constants=np.arange(60, dtype=np.uint8),
        layers=(
            LayerInfo("", "", "dense", 0, 0),
            LayerInfo("fc", "Gemm", "reuse", 12, 4, 32, STEP, (0.0, 0.25)),
            LayerInfo("softmax ; odd\nname", "Softmax", "host", 0, 0),
        ),
        tiling=Tiling("isca18", 128, 4096, 1 << 25, 1 << 20, 1 << 21),
        model_sha256="ab" * 32,
    )


@pytest.fixture(scope="session")
def hardware() -> Hardware:
    """The default accelerator."""
    return load_hardware("isca18")
