"""What a kernel writes down of a frame, into memory that the caller lends: see backend/cpu/src/watch.hpp."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from reuse_compiler.backend.cpu import opened
from reuse_compiler.guard import count_clipped
from reuse_compiler.native.watch import RECORD
from reuse_compiler.operators import ConvAttributes
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from tests.backend.cpu.node_cases import (
    PAST,
    PRESENT,
    NodeCase,
    assert_same,
    frames_in_place,
    kernels_under_test,
    prepare,
    run_native,
)

LIBRARY = kernels_under_test()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")
CONV = ConvAttributes((1, 1), (1, 1, 1, 1), (1, 1), 1)
QUANTIZERS: list[Quantizer] = [
    LinearQuantizer(0.125, 16, 33),
    LinearQuantizer(0.125, 0, 400, 0.2),
    LinearQuantizer(0.125, 20, 21, tuple(np.linspace(0, 0.5, 37).tolist())),
    TableQuantizer((-1.0, -0.5, 0.0, 0.25, 2.0)),
]


@pytest.mark.parametrize("conv", [None, CONV], ids=["gemm", "conv"])
@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=["narrow", "wide", "channels", "table"])
@pytest.mark.parametrize("threads", [1, 2])
def test_changes_clipping_and_the_largest_linear_output(
    conv: ConvAttributes | None, quantizer: Quantizer, threads: int
) -> None:
    x, weight = ((2, 37), (37, 20)) if conv is None else ((2, 37, 20, 21), (9, 37, 3, 3))
    prepared = prepare(NodeCase(x, weight, quantizer, conv=conv))
    unwatched = run_native(prepared)
    state = {name: ort.OrtValue.ortvalue_from_numpy(array.copy()) for name, array in prepared.state.items()}
    totals, record = np.zeros(1, "i8, i4, i4"), np.zeros(1, RECORD)
    record["totals"] = totals.ctypes.data
    record["clip_limit"] = prepared.state[PAST["index"]].size // 5
    assert LIBRARY is not None
    watch, address = opened(LIBRARY).reuse_watch, state[PAST["linear"]].data_ptr()
    watch(address, record.ctypes.data)
    past, squares = prepared.state[PAST["index"]], 0.0
    for number, found in enumerate(frames_in_place(prepared, state, threads)):
        assert_same([found], [unwatched[number]])
        index = found[PRESENT["index"]]
        squares += float(np.abs(found[PRESENT["linear"]]).max()) ** 2
        assert record["changed"] == totals[0][0] == np.count_nonzero(index != past)
        assert record["clipped"] == count_clipped(index, quantizer)
        assert totals[0][2] == (record["clipped"] > record["clip_limit"])
        assert record["frames"] == number + 1 >= record["sparse"]
        np.testing.assert_allclose(record["squares"], squares, rtol=1e-12)
        past, totals[0] = index, (0, 0, 0)
    assert record["nanoseconds"] > 0
    watch(address, None)
