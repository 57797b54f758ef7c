"""What reduce, scan, resample and dense.matmul touch, count and cost, against numpy's own strided views and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.accesses import Configuration, accesses
from reuse_compiler.backend.accelerator.events import count_events
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import (
    DenseMatmul,
    Element,
    Instruction,
    Reduce,
    Reduction,
    Resample,
    Scan,
    Space,
)
from reuse_compiler.backend.accelerator.operations import Operation
from reuse_compiler.backend.accelerator.timing import busy_cycles

EDRAM, BUFFER = Space.EDRAM, Space.BUFFER
NOTHING = np.zeros(0, np.int64)
SIZES = st.tuples(*[st.integers(1, 4)] * 5)
STRIDES = st.tuples(*[st.integers(0, 12)] * 4)


def touched(instruction: Instruction) -> dict[tuple[Space, bool], set[int]]:
    """The bytes that `instruction` reads (False) and writes (True) per memory."""
    found: dict[tuple[Space, bool], set[int]] = {}
    for access in accesses(instruction, Configuration(), ()):
        for start, end in zip(access.starts.tolist(), access.ends.tolist(), strict=True):
            found.setdefault((access.memory, access.writes), set()).update(range(start, end))
    return found


def block(address: int, item: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> set[int]:
    """The bytes of a strided block, one element after the other."""
    return {
        address + item * sum(i * stride for i, stride in zip(place, strides, strict=True)) + byte
        for place in np.ndindex(*sizes)
        for byte in range(item)
    }


def by_axis(name: str, values: tuple[int, ...]) -> dict[str, Any]:
    return {f"{name}{axis}": value for axis, value in enumerate(values)}


@given(sizes=SIZES, x=STRIDES, y=STRIDES, wide=st.booleans(), accumulate=st.integers(0, 1))
def test_a_reduction_reads_all_of_x_and_writes_what_stays(
    sizes: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...], wide: bool, accumulate: int
) -> None:
    element = Element.INT64 if wide else Element.FLOAT32
    reduce = Reduce(
        element=element, result=element, accumulate=accumulate, x=1000, y=9000,
        **by_axis("x_stride", x), **by_axis("y_stride", y[:2]), **by_axis("size", sizes[:4]),
    )  # fmt: skip
    item = 8 if wide else 4
    source, target = block(1000, item, sizes[:4], x), block(9000, item, sizes[:2], y[:2])
    assert touched(reduce) == {(BUFFER, False): source | (target if accumulate else set()), (BUFFER, True): target}


@given(sizes=SIZES, x=STRIDES, w=STRIDES, z=STRIDES, constant=st.integers(0, 1), accumulate=st.integers(0, 1))
def test_a_product_reads_both_operands_and_writes_its_own(
    sizes: tuple[int, ...], x: tuple[int, ...], w: tuple[int, ...], z: tuple[int, ...], constant: int, accumulate: int
) -> None:
    first, second, rows, inputs, outputs = sizes
    product = DenseMatmul(
        matrices0=first, matrices1=second, rows=rows, inputs=inputs, outputs=outputs, constant=constant,
        accumulate=accumulate, x=1000, w=5000, z=9000,
        **by_axis("x_stride", x), **by_axis("w_stride", w), **by_axis("z_stride", z),
    )  # fmt: skip
    read, kept = block(1000, 4, (first, second, rows, inputs), x), block(9000, 4, (first, second, rows, outputs), z)
    factor = block(5000, 4, (first, second, inputs, outputs), w)
    expected = {(BUFFER, False): read | (kept if accumulate else set()) | (set() if constant else factor)}
    expected |= {(EDRAM, False): factor} if constant else {}
    assert touched(product) == expected | {(BUFFER, True): kept}


@given(sizes=SIZES, x=STRIDES, y=STRIDES)
def test_scans_and_interpolations_touch_their_blocks(
    sizes: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...]
) -> None:
    outer, rows, inner, entries, taps = sizes
    strides = by_axis("x_stride", x[:3]) | by_axis("y_stride", y[:3])
    scan = Scan(element=Element.INT16, x=1000, y=9000, **strides, **by_axis("size", sizes[:3]))
    assert touched(scan) == {
        (BUFFER, False): block(1000, 2, sizes[:3], x[:3]),
        (BUFFER, True): block(9000, 2, sizes[:3], y[:3]),
    }
    resample = Resample(
        table=400,
        weights=800,
        x=1000,
        y=9000,
        outer=outer,
        rows=rows,
        entries=entries,
        taps=taps,
        inner=inner,
        **strides,
    )
    tables = block(400, 4, (entries, taps), (taps, 1)) | block(800, 4, (entries, taps), (taps, 1))
    assert touched(resample) == {
        (EDRAM, False): tables,
        (BUFFER, False): block(1000, 4, (outer, rows, inner), x[:3]),
        (BUFFER, True): block(9000, 4, (outer, entries, inner), y[:3]),
    }


FOLD: dict[str, Any] = {"size0": 2, "size1": 3, "size2": 5, "size3": 7}  # 210 elements folded to 6
PRODUCT: dict[str, Any] = {
    "matrices0": 2,
    "matrices1": 3,
    "rows": 5,
    "inputs": 7,
    "outputs": 300,
}  # 6 products of 5 x 7 x 300


@pytest.mark.parametrize(
    ("instruction", "expected", "cycles"),
    [
        # A pass of 210 elements on 16 lanes takes 14 cycles; a square is a pass of its own.
        (
            Reduce(reduction=Reduction.SUM, **FOLD),
            {"special_operations": 210, "buffer_read_bytes": 840, "buffer_write_bytes": 24},
            14,
        ),
        (
            Reduce(reduction=Reduction.SUM_SQUARES, accumulate=1, **FOLD),
            {"special_operations": 420, "buffer_read_bytes": 864, "buffer_write_bytes": 24},
            27,
        ),
        (
            Reduce(reduction=Reduction.ARG_MAX, element=Element.INT16, result=Element.INT64, **FOLD),
            {"special_operations": 210, "buffer_read_bytes": 420, "buffer_write_bytes": 48},
            14,
        ),
        (
            Scan(size0=2, size1=9, size2=5),
            {"special_operations": 90, "buffer_read_bytes": 360, "buffer_write_bytes": 360},
            6,
        ),
        # 2 x 6 x 5 sums of 4 products each; for each of the 2 the table and its weights are read.
        (
            Resample(outer=2, rows=3, entries=6, taps=4, inner=5),
            {
                "special_operations": 240,
                "edram_read_bytes": 2 * 2 * 6 * 4 * 4,
                "buffer_read_bytes": 960,
                "buffer_write_bytes": 240,
            },
            15,
        ),
        # 300 outputs take the 128 lanes three cycles for each of 6 x 5 x 7 inputs.
        (
            DenseMatmul(**PRODUCT),
            {
                "macs": 63000,
                "mac_cycles": 630,
                "buffer_read_bytes": 4 * (210 + 63000),
                "buffer_write_bytes": 36000,
                "edram_read_bytes": 0,
            },
            630,
        ),
        (
            DenseMatmul(constant=1, accumulate=1, **PRODUCT),
            {
                "macs": 63000,
                "mac_cycles": 630,
                "buffer_read_bytes": 4 * 210 + 36000,
                "buffer_write_bytes": 36000,
                "edram_read_bytes": 252000,
            },
            630,
        ),
    ],
    ids=["sum", "squares", "number", "scan", "resample", "product", "constant"],
)
def test_events_and_cycles(instruction: Instruction, expected: dict[str, int], cycles: int, hardware: Hardware) -> None:
    operation = Operation(instruction)
    assert count_events(operation, NOTHING, 1, hardware) == expected
    assert count_events(operation, NOTHING, 3, hardware) == {event: 3 * count for event, count in expected.items()}
    assert busy_cycles(operation, np.zeros((1, 0), np.int64), hardware) == cycles
