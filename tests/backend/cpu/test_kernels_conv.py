"""The native kernel of ReuseConv against its function body in stock onnxruntime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from reuse_compiler.operators import Activation, ConvAttributes
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from tests.backend.cpu.native_run import open_model, run_frames
from tests.backend.cpu.node_cases import (
    PAST,
    PRESENT,
    NodeCase,
    assert_close,
    assert_same,
    expected_indices,
    kernels_under_test,
    prepare,
    run_body,
    run_in_place,
    run_native,
)
from tests.backend.cpu.node_strategies import conv_cases

pytestmark = pytest.mark.skipif(kernels_under_test() is None, reason="the native kernels are not built")
LINEAR = LinearQuantizer(0.125, 100, 201)
SAME = ConvAttributes((1, 1), (1, 1, 1, 1), (1, 1), 1)
NAMED = [
    NodeCase((1, 1, 640), (258, 1, 256), LINEAR, conv=ConvAttributes((128,), (0, 0), (1,), 1)),
    NodeCase((1, 16, 12, 40), (16, 16, 3, 3), LINEAR, conv=replace(SAME, pads=(5, 5, 5, 5), dilations=(5, 5))),
    NodeCase((1, 8, 9, 9), (8, 1, 9, 9), LINEAR, conv=replace(SAME, pads=(4, 4, 4, 4), group=8)),
    NodeCase((1, 300, 3, 4), (20, 300, 3, 3), LINEAR, conv=SAME),
    NodeCase((1, 4, 3, 3000), (8, 4, 3, 3), LINEAR, conv=SAME),
    NodeCase((1, 2, 70, 3, 3), (5, 2, 70, 1, 1), LINEAR, conv=ConvAttributes((1,) * 3, (0,) * 6, (1,) * 3, 1)),
]
"""One wide kernel, far taps, a large depthwise kernel, sums in several parts, a long row, many segments."""
LARGE = [
    NodeCase((1, 32, 24, 24), (64, 32, 3, 3), LINEAR, conv=SAME),
    NodeCase((2, 24, 20, 20), (48, 12, 3, 3), LINEAR, Activation(0.0), replace(SAME, strides=(2, 1), group=2)),
    NodeCase((1, 128, 30, 30), (128, 1, 3, 3), LINEAR, conv=replace(SAME, group=128)),
    NodeCase((1, 40, 6, 10, 10), (33, 40, 3, 3, 3), LINEAR, conv=ConvAttributes((1,) * 3, (1,) * 6, (1,) * 3, 1)),
]
"""Enough work for several threads."""


@settings(max_examples=150)
@given(conv_cases(exact=False))
def test_indices_are_those_of_the_body_and_values_within_rounding(case: NodeCase) -> None:
    prepared = prepare(case)
    found = run_native(prepared)
    assert_close(found, run_body(prepared))
    for number, index in enumerate(expected_indices(case, prepared)):
        np.testing.assert_array_equal(found[number][PRESENT["index"]], index)


@settings(max_examples=100)
@given(conv_cases(exact=True))
def test_where_all_sums_are_exact_every_bit_is_that_of_the_body(case: NodeCase) -> None:
    prepared = prepare(case)
    assert_same(run_native(prepared), run_body(prepared))


@settings(max_examples=40)
@given(conv_cases(exact=False))
def test_state_in_one_buffer_changes_nothing(case: NodeCase) -> None:
    prepared = prepare(case)
    assert_same(run_in_place(prepared), run_native(prepared))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("case", NAMED, ids=NodeCase.name)
def test_unusual_geometry(case: NodeCase, exact: bool) -> None:
    prepared = prepare(replace(case, exact=exact))
    compare = assert_same if exact else assert_close
    compare(run_native(prepared), run_body(prepared))


@pytest.mark.parametrize("case", LARGE, ids=NodeCase.name)
def test_results_do_not_depend_on_the_threads(case: NodeCase) -> None:
    prepared = prepare(case)
    alone = run_native(prepared)
    assert_close(alone, run_body(prepared))
    for threads in (2, 3):
        assert_same(run_native(prepared, threads), alone)
        assert_same(run_in_place(prepared, threads), alone)


@pytest.mark.parametrize("quantizer", [LINEAR, TableQuantizer((-2.0, -0.5, 0.0, 1.0), 0.25)])
def test_a_past_index_beyond_the_clusters_is_corrected_as_numpy_reads_it(quantizer: Quantizer) -> None:
    case = NodeCase((1, 20, 5, 6), (7, 20, 3, 3), quantizer, conv=SAME, exact=True)
    prepared = prepare(case)
    prepared.state[PAST["index"]][:] = 250
    for found, index in zip(run_native(prepared), expected_indices(case, prepared), strict=True):
        np.testing.assert_array_equal(found[PRESENT["index"]], index)
        assert np.isfinite(found[PRESENT["linear"]]).all()


def test_the_size_of_the_input_may_change_between_calls() -> None:
    small = NodeCase((1, 5, 6, 7), (4, 5, 3, 3), LINEAR, conv=SAME, exact=True)
    sizes = [prepare(case) for case in (small, replace(small, x=(2, 5, 12, 9)), small)]
    model = onnx.load_model_from_string(sizes[0].model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")
    sessions = [open_model(model.SerializeToString(), library) for library in (kernels_under_test(), None)]
    for size in sizes:
        found, expected = (run_frames(session, size.frames, size.state) for session in sessions)
        assert_same(found, expected)
