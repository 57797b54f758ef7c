"""What an instruction touches, byte for byte, against numpy's own strided views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.accesses import Configuration, accesses
from reuse_compiler.backend.accelerator.isa import (
    INSTRUCTIONS,
    ConfigureConv,
    ConfigureQuantizer,
    ConfigureTable,
    Copy,
    DeltaConv,
    DeltaFc,
    DenseConv,
    DenseFc,
    Elementwise,
    Fill,
    Function,
    Gather,
    Host,
    Instruction,
    Load,
    Pool,
    Quantize,
    Space,
    Store,
    Unit,
)
from reuse_compiler.backend.accelerator.program import Binding, HostModel
from reuse_compiler.errors import ProgramError

DRAM, EDRAM, BUFFER = Space.DRAM, Space.EDRAM, Space.BUFFER
Touched = dict[tuple[Space, bool], set[int]]

HOSTS = (
    HostModel("first", b"", (), ()),
    HostModel(
        "second",
        b"",
        (Binding("a", 100, (2, 3), "float32"), Binding("b", 200, (4,), "int64")),
        (Binding("c", 300, (), "float32"),),
    ),
)


def touched(instruction: Instruction, *configured: Instruction) -> Touched:
    """The bytes that `instruction` reads (False) and writes (True) per memory; nothing where it touches none."""
    configuration = Configuration()
    for one in configured:
        configuration.apply(one)
    found: Touched = {}
    for access in accesses(instruction, configuration, HOSTS):
        parts = [np.arange(start, end) for start, end in zip(access.starts, access.ends, strict=True)]
        numbers = set(np.concatenate(parts).tolist()) if parts else set()
        found.setdefault((access.memory, access.writes), set()).update(numbers)
    return {key: numbers for key, numbers in found.items() if numbers}


def block(address: int, item: int, sizes: Sequence[int], strides: Sequence[int]) -> set[int]:
    """The bytes of a strided block; strides in elements."""
    if 0 in sizes:
        return set()
    span = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) * item + item
    memory = np.arange(address, address + span)
    view = np.lib.stride_tricks.as_strided(memory, (*sizes, item), [*(8 * item * s for s in strides), 8])
    return set(view.ravel().tolist())


def run(address: int, length: int) -> set[int]:
    return set(range(address, address + length))


SIZE = st.integers(0, 4)
SIZES = st.tuples(SIZE, SIZE, SIZE, SIZE)
STRIDES = st.tuples(*[st.integers(0, 12)] * 4)


@given(sizes=SIZES, a=STRIDES, b=STRIDES, y=STRIDES, constant=st.booleans())
def test_elementwise(
    sizes: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...], constant: bool
) -> None:
    instruction = Elementwise(
        constant=int(constant),
        a=1000, a_stride0=a[0], a_stride1=a[1], a_stride2=a[2], a_stride3=a[3],
        b=5000, b_stride0=b[0], b_stride1=b[1], b_stride2=b[2], b_stride3=b[3],
        y=9000, y_stride0=y[0], y_stride1=y[1], y_stride2=y[2], y_stride3=y[3],
        size0=sizes[0], size1=sizes[1], size2=sizes[2], size3=sizes[3],
    )  # fmt: skip
    reads = block(1000, 4, sizes, a), block(5000, 4, sizes, b)
    expected = {
        (BUFFER, False): reads[0] if constant else reads[0] | reads[1],
        (EDRAM, False): reads[1] if constant else set(),
        (BUFFER, True): block(9000, 4, sizes, y),
    }
    assert touched(instruction) == {key: numbers for key, numbers in expected.items() if numbers}


@given(length=st.integers(0, 9), counts=st.tuples(SIZE, SIZE), near=STRIDES, far=STRIDES)
def test_load_and_store(length: int, counts: tuple[int, int], near: tuple[int, ...], far: tuple[int, ...]) -> None:
    inner = np.arange(length)
    grid = np.arange(counts[0])[:, None, None], np.arange(counts[1])[:, None]

    def bytes_at(address: int, strides: tuple[int, ...]) -> set[int]:
        return set((address + grid[0] * strides[0] + grid[1] * strides[1] + inner).ravel().tolist())

    load = Load(
        space=EDRAM, dram_address=10, dram_stride0=far[0], dram_stride1=far[1],
        address=20, stride0=near[0], stride1=near[1], run_bytes=length, count0=counts[0], count1=counts[1],
    )  # fmt: skip
    store = Store(
        dram_address=10, dram_stride0=far[0], dram_stride1=far[1],
        address=20, stride0=near[0], stride1=near[1], run_bytes=length, count0=counts[0], count1=counts[1],
    )  # fmt: skip
    expected = {(DRAM, False): bytes_at(10, far), (EDRAM, True): bytes_at(20, near)}
    assert touched(load) == {key: numbers for key, numbers in expected.items() if numbers}
    expected = {(BUFFER, False): bytes_at(20, near), (DRAM, True): bytes_at(10, far)}
    assert touched(store) == {key: numbers for key, numbers in expected.items() if numbers}


def test_fill_with_a_value() -> None:
    fill = Fill(space=DRAM, address=1 << 33, value=7, element_bytes=2, repeat=5, copies=9, source=1)
    assert touched(fill) == {(DRAM, True): run(1 << 33, 10)}


def test_fill_from_a_source() -> None:
    fill = Fill(space=BUFFER, address=64, source=8, count=3, repeat=2, copies=5)
    assert touched(fill) == {(EDRAM, False): run(8, 12), (BUFFER, True): run(64, 120)}


@pytest.mark.parametrize(("clusters", "item"), [(256, 1), (257, 2)])
def test_quantize(clusters: int, item: int) -> None:
    quantize = Quantize(x=1000, index=2000, list=3000, channel=4, outer=2, channels=3, inner=5)
    expected = {
        (BUFFER, False): run(1000, 120) | run(2000, 30 * item),
        (BUFFER, True): run(2000, 30 * item) | run(3000, 30 * item),
    }
    assert touched(quantize, ConfigureQuantizer(clusters=clusters)) == expected
    deadbands = ConfigureQuantizer(clusters=clusters, deadband_channels=9, deadband_address=44)
    assert touched(quantize, deadbands) == {**expected, (EDRAM, False): run(44 + 4 * 4, 3 * 4)}


def test_quantize_with_a_table() -> None:
    quantize = Quantize(x=1000, index=2000, list=3000, channel=4, outer=2, channels=3, inner=5)
    table = ConfigureTable(clusters=16, table_address=256, deadband_channels=9, deadband_address=44)
    found = touched(quantize, table)
    assert found[EDRAM, False] == run(256, 31 * 4) | run(44 + 4 * 4, 3 * 4)
    assert found[BUFFER, True] == run(2000, 30) | run(3000, 30)


def test_dense_fc() -> None:
    tile = {"x": 1000, "x_stride": 7, "z": 2000, "z_stride": 9, "weights": 3000, "weights_stride": 11, "bias": 4000}
    instruction = DenseFc(**tile, rows=2, inputs=5, outputs=3)
    x, z = block(1000, 4, (2, 5), (7, 1)), block(2000, 4, (2, 3), (9, 1))
    weights = block(3000, 4, (5, 3), (11, 1))
    assert touched(instruction) == {
        (BUFFER, False): x,
        (EDRAM, False): weights | run(4000, 12),
        (BUFFER, True): z,
    }
    accumulating = DenseFc(**tile, rows=2, inputs=5, outputs=3, accumulate=1)
    assert touched(accumulating) == {(BUFFER, False): x | z, (EDRAM, False): weights, (BUFFER, True): z}


@pytest.mark.parametrize("commit", [0, 1])
@pytest.mark.parametrize("listed", [0, 1])
@pytest.mark.parametrize("item", [1, 2])
def test_delta_fc(commit: int, listed: int, item: int) -> None:
    instruction = DeltaFc(
        x=1000, x_stride=7, index=2000, index_stride=6, list=2500, list_stride=8, z=3000, z_stride=9,
        weights=4000, weights_stride=11, rows=2, inputs=5, outputs=3, listed=listed, commit=commit, channel=7,
    )  # fmt: skip
    x, z = block(1000, 4, (2, 5), (7, 1)), block(3000, 4, (2, 3), (9, 1))
    index, past = block(2000, item, (2, 5), (6, 1)), block(2500, item, (2, 5), (8, 1))
    quantizer = ConfigureQuantizer(clusters=32 if item == 1 else 1000, deadband_channels=20, deadband_address=0)
    weights = block(4000, 4, (5, 3), (11, 1))
    assert touched(instruction, quantizer) == {
        (BUFFER, False): z | index | (past if listed else x),
        (EDRAM, False): weights if listed else weights | run(4 * 7, 4 * 5),
        (BUFFER, True): z | index if commit and not listed else z,
    }


KERNEL = ConfigureConv(kernel0=1, kernel1=3, kernel2=2)
CONV = {
    "x": 1000, "x_stride_c": 60, "x_stride0": 60, "x_stride1": 12,
    "z": 9000, "z_stride_c": 40, "z_stride0": 40, "z_stride1": 8,
    "weights": 500, "in_channels": 4, "out_channels": 6, "group": 2,
    "in0": 1, "in1": 5, "in2": 10, "out0": 1, "out1": 3, "out2": 7,
}  # fmt: skip
CONV_X = block(1000, 4, (4, 1, 5, 10), (60, 60, 12, 1))
CONV_Z = block(9000, 4, (6, 1, 3, 7), (40, 40, 8, 1))
CONV_WEIGHTS = run(500, 6 * 2 * 6 * 4)


def test_dense_conv() -> None:
    assert touched(DenseConv(**CONV, bias=4000), KERNEL) == {
        (BUFFER, False): CONV_X,
        (EDRAM, False): CONV_WEIGHTS | run(4000, 24),
        (BUFFER, True): CONV_Z,
    }


@pytest.mark.parametrize("item", [1, 2])
@pytest.mark.parametrize("listed", [0, 1])
@pytest.mark.parametrize("commit", [(0, 0, 0), (1, 5, 10), (1, 3, 9), (1, 3, 0)])
def test_delta_conv_writes_the_indices_of_the_committed_block_alone(
    item: int, listed: int, commit: tuple[int, int, int]
) -> None:
    instruction = DeltaConv(
        **CONV, channel=8, listed=listed, commit0=commit[0], commit1=commit[1], commit2=commit[2],
        index=20000, index_stride_c=50, index_stride0=50, index_stride1=10,
        list=30000, list_stride_c=70, list_stride0=70, list_stride1=14,
    )  # fmt: skip
    index = block(20000, item, (4, 1, 5, 10), (50, 50, 10, 1))
    past = block(30000, item, (4, 1, 5, 10), (70, 70, 14, 1))
    committed = block(20000, item, (4, *commit), (50, 50, 10, 1))
    quantizer = ConfigureQuantizer(clusters=32 if item == 1 else 1000, deadband_channels=16, deadband_address=100)
    assert touched(instruction, KERNEL, quantizer) == {
        (BUFFER, False): CONV_Z | index | (past if listed else CONV_X),
        (EDRAM, False): CONV_WEIGHTS if listed else CONV_WEIGHTS | run(100 + 4 * 8, 4 * 4),
        (BUFFER, True): CONV_Z if listed else CONV_Z | committed,
    }


def test_function() -> None:
    instruction = Function(
        x=1000, x_stride0=100, x_stride1=30, x_stride2=9, y=5000, y_stride0=0, y_stride1=20, y_stride2=5,
        size0=2, size1=3, size2=2, size3=4,
    )  # fmt: skip
    assert touched(instruction) == {
        (BUFFER, False): block(1000, 4, (2, 3, 2, 4), (100, 30, 9, 1)),
        (BUFFER, True): block(5000, 4, (2, 3, 2, 4), (0, 20, 5, 1)),
    }


@given(sizes=SIZES, x=STRIDES, y=STRIDES, constant=st.booleans(), backwards=st.integers(0, 15))
def test_copy(sizes: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...], constant: bool, backwards: int) -> None:
    instruction = Copy(
        element_bytes=2, constant=int(constant), backwards=backwards,
        x=1000, x_stride0=x[0], x_stride1=x[1], x_stride2=x[2], x_stride3=x[3],
        y=9000, y_stride0=y[0], y_stride1=y[1], y_stride2=y[2], y_stride3=y[3],
        size0=sizes[0], size1=sizes[1], size2=sizes[2], size3=sizes[3],
    )  # fmt: skip
    expected = {
        (EDRAM if constant else BUFFER, False): block(1000, 2, sizes, x),
        (BUFFER, True): block(9000, 2, sizes, y),
    }
    assert touched(instruction) == {key: numbers for key, numbers in expected.items() if numbers}


@given(sizes=SIZES, x=STRIDES, y=STRIDES, constant=st.booleans())
def test_gather(sizes: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...], constant: bool) -> None:
    outer, rows, entries, inner = sizes
    instruction = Gather(
        element_bytes=8, constant=int(constant), table=20000, outer=outer, rows=rows, entries=entries, inner=inner,
        x=1000, x_stride0=x[0], x_stride1=x[1], x_stride2=x[2], y=9000, y_stride0=y[0], y_stride1=y[1], y_stride2=y[2],
    )  # fmt: skip
    source = block(1000, 8, (outer, rows, inner), x[:3]) if entries else set()
    table = run(20000, 4 * entries) if outer and inner else set()
    expected = {
        (BUFFER, False): set() if constant else source,
        (EDRAM, False): table | source if constant else table,
        (BUFFER, True): block(9000, 8, (outer, entries, inner), y[:3]),
    }
    assert touched(instruction) == {key: numbers for key, numbers in expected.items() if numbers}


def test_pool() -> None:
    instruction = Pool(
        x=1000, x_stride_c=50, x_stride0=25, x_stride1=5, y=5000, y_stride_c=9, y_stride0=9, y_stride1=3,
        channels=3, in0=2, in1=4, in2=5, out0=1, out1=2, out2=3, kernel0=2, kernel1=2, kernel2=2,
    )  # fmt: skip
    assert touched(instruction) == {
        (BUFFER, False): block(1000, 4, (3, 2, 4, 5), (50, 25, 5, 1)),
        (BUFFER, True): block(5000, 4, (3, 1, 2, 3), (9, 9, 3, 1)),
    }


def test_host() -> None:
    assert touched(Host(model=0)) == {}
    assert touched(Host(model=1)) == {(DRAM, False): run(100, 24) | run(200, 32), (DRAM, True): run(300, 4)}
    with pytest.raises(ProgramError, match="field model is 2: the host table has 2 entries"):
        touched(Host(model=2))


def test_a_contiguous_block_is_one_run() -> None:
    function = Function(x_stride0=24, x_stride1=8, x_stride2=4, size0=2, size1=3, size2=2, size3=4)
    read, write = accesses(function, Configuration(), ())
    assert (read.starts.tolist(), read.ends.tolist()) == ([0], [192])
    assert (write.starts.tolist(), write.ends.tolist()) == ([0], [16])


@pytest.mark.parametrize(
    ("instruction", "problem"),
    [
        (DenseConv(), "no convolution is configured"),
        (DeltaFc(), "no quantizer is configured"),
        (Quantize(), "no quantizer is configured"),
    ],
)
def test_a_missing_configuration_is_named(instruction: Instruction, problem: str) -> None:
    with pytest.raises(ProgramError, match=problem):
        touched(instruction)


@pytest.mark.parametrize("kind", INSTRUCTIONS.values(), ids=lambda kind: kind.MNEMONIC)
def test_the_accesses_of_every_instruction_of_an_execution_unit_are_known(kind: type[Instruction]) -> None:
    if kind.UNIT is Unit.CONTROL:
        with pytest.raises(ProgramError, match=r"the memory that .* touches is not known"):
            touched(kind())
    else:
        touched(kind(), KERNEL, ConfigureQuantizer())
