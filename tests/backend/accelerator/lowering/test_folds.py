"""Reductions, scans and what is made of them, against onnxruntime, on accelerators so small that tensors are staged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import Reduce
from reuse_compiler.backend.accelerator.lowering.graph import read_graph
from reuse_compiler.backend.accelerator.lowering.specs import ReduceSpec
from reuse_compiler.passes.infer_shapes import InferShapes
from tests.backend.accelerator.lowering.one_node import compare, model_of, program_of

Array = NDArray[Any]

BUFFERS = st.sampled_from([192, 256, 512, 2048, 1 << 20])
SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=6).filter(lambda shape: math.prod(shape) <= 900)

# Some ten roundings of 2**-24 on the way, those of exp or of a power among them, none of which a result close to the
# largest sees enlarged; of a sum over n elements another n roundings at most of the same size.
ROUNDING = 2e-6


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dyadic(shape: tuple[int, ...], seed: int, dtype: str = "float32") -> Array:
    """Halves, or whole numbers: their sums and those of their squares are exact, in any order."""
    whole = np.random.default_rng(seed).integers(-8, 9, shape)
    return (whole / 2).astype(dtype) if dtype == "float32" else whole.astype(dtype)


def axes_of(data: st.DataObject, shape: list[int]) -> Array:
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=len(shape)))
    return np.array(sorted({axis % len(shape) for axis in axes}), np.int64)


@settings(max_examples=50)
@given(
    data=st.data(),
    op=st.sampled_from(["ReduceSum", "ReduceL1", "ReduceSumSquare", "ReduceMax", "ReduceMin"]),
    shape=SHAPES,
    buffer=BUFFERS,
    seed=st.integers(0, 99),
)
def test_reductions_are_exact_where_sums_are(
    data: st.DataObject, op: str, shape: list[int], buffer: int, seed: int
) -> None:
    """Over any axes: more groups of them than an instruction folds take several."""
    typed = op in ("ReduceSum", "ReduceMax", "ReduceMin")
    dtype = data.draw(st.sampled_from(["float32", "int32", "int64"] if typed else ["float32"]))
    keep, between = data.draw(st.integers(0, 1)), data.draw(st.booleans())
    operands = [dyadic(tuple(shape), seed, dtype), axes_of(data, shape)]
    compare(op, operands, keepdims=keep, between=between, buffer=buffer)


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMax", "ReduceProd"])
def test_a_run_that_does_not_fit_is_folded_into_the_one_before(op: str) -> None:
    """Whichever axis is cut; the result may lie in DRAM or in the buffer."""
    generator = np.random.default_rng(1)
    for shape, axes in (
        ((400,), (0,)),
        ((90, 8), (0,)),
        ((5, 90), (1,)),
        ((6, 7, 5, 9), (0, 2)),
        ((6, 7, 5, 9), (1, 3)),
    ):
        signs = generator.choice([-1.0, 1.0, 0.5, 2.0] if op != "ReduceProd" else [-1.0, 1.0], shape).astype(np.float32)
        for between in (False, True):
            program = compare(op, [signs, np.array(axes, np.int64)], between=between, buffer=384)
            folds = [i for i in program.reuse.sections.frame if isinstance(i, Reduce)]
            assert len(folds) > 1
    assert any(fold.accumulate for fold in folds)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_the_place_of_an_extreme_is_the_first_or_the_last(op: str, last: int, dtype: str) -> None:
    values = np.random.default_rng(2).integers(0, 3, (3, 5, 4)).astype(dtype)
    for axis, keep in ((0, 1), (1, 0), (-1, 1)):
        for buffer in (512, 1 << 20):
            compare(op, [values], axis=axis, keepdims=keep, select_last_index=last, buffer=buffer)


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_truth_values_have_a_largest(op: str) -> None:
    values = np.random.default_rng(3).random((3, 4, 5)) < 0.2
    compare(op, [values, np.array([1, 2])], keepdims=0)


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceL2", "ReduceLogSumExp", "ReduceLogSum", "ReduceProd"])
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 3), (0, 1, 2, 3)])
def test_other_reductions(op: str, axes: tuple[int, ...]) -> None:
    values = np.abs(normal(2, 3, 4, 5)) + np.float32(0.5)
    for buffer in (512, 1 << 20):
        compare(op, [values, np.array(axes)], keepdims=0, buffer=buffer, tolerance=1e-5)


def test_log_sum_exp_of_infinities_and_of_large_numbers() -> None:
    inf = np.inf
    values = np.array([[-inf, -inf], [inf, 1], [300, 300], [-inf, 2]], np.float32)
    program = program_of(model_of("ReduceLogSumExp", [values, np.array([1])], keepdims=0), 1 << 20)
    found = Interpreter(program).run({"in0": values})["out0"]
    np.testing.assert_allclose(found, [-inf, inf, 300 + math.log(2), 2], rtol=1e-6)


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"])
def test_no_axes_are_all_of_them_unless_they_are_to_be_none(op: str) -> None:
    compare(op, [dyadic((2, 4), 4)], tolerance=0.0)
    compare(op, [dyadic((2, 4), 4), np.zeros(0, np.int64)], noop_with_empty_axes=1)


@settings(max_examples=20)
@given(
    data=st.data(),
    shape=SHAPES,
    exclusive=st.integers(0, 1),
    reverse=st.integers(0, 1),
    buffer=BUFFERS,
    between=st.booleans(),
)
def test_scans(data: st.DataObject, shape: list[int], exclusive: int, reverse: int, buffer: int, between: bool) -> None:
    axis = np.array(data.draw(st.integers(-len(shape), len(shape) - 1)), np.int64)
    dtype = data.draw(st.sampled_from(["float32", "int32", "int64"]))
    operands = [dyadic(tuple(shape), 5, dtype), axis]
    compare("CumSum", operands, exclusive=exclusive, reverse=reverse, between=between, buffer=buffer)


X = normal(2, 6, 5, 4)
SCALE, SHIFT = normal(6, seed=1), normal(6, seed=2)


@pytest.mark.parametrize("buffer", [1024, 1 << 20])
@pytest.mark.parametrize(
    ("op", "operands", "attributes"),
    [
        *(("Softmax", [X], {"axis": axis}) for axis in (0, 1, -1)),
        *(("LogSoftmax", [X], {"axis": axis}) for axis in (1, 3)),
        *(("Hardmax", [np.round(X)], {"axis": axis}) for axis in (0, 2, -1)),
        *(("LpNormalization", [X], {"axis": 1, "p": p}) for p in (1, 2)),
        *(("GlobalLpPool", [X], {"p": p}) for p in (1, 2, 3)),
        ("GlobalAveragePool", [X], {}),
        ("GlobalMaxPool", [X], {}),
        ("InstanceNormalization", [X, SCALE, SHIFT], {"epsilon": 0.01}),
        ("GroupNormalization", [X, SCALE, SHIFT], {"num_groups": 3, "opset": 21}),
        ("LayerNormalization", [X, normal(5, 4, seed=3)], {"axis": 2}),
        ("LayerNormalization", [X, normal(4, seed=3), normal(4, seed=4)], {"data": (0, 1, 2)}),
        ("LayerNormalization", [X, normal(6, 5, 4, seed=3)], {"axis": 1, "outputs": 3}),
        ("RMSNormalization", [X, normal(5, 4, seed=3)], {"axis": -2, "opset": 23}),
        ("MeanVarianceNormalization", [X], {}),
        ("MeanVarianceNormalization", [X], {"axes": [1, 3]}),
        ("LRN", [X], {"size": 3, "alpha": 0.5, "bias": 2.0}),
        ("LRN", [X], {"size": 5, "alpha": 0.5, "beta": 0.5}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_normalizations(op: str, operands: list[Array], attributes: dict[str, Any], buffer: int) -> None:
    exact = 0.0 if op in ("Hardmax", "GlobalMaxPool") else ROUNDING * 2
    compare(op, operands, buffer=buffer, tolerance=exact, **attributes)


def test_the_parts_of_a_node_share_its_row() -> None:
    program = program_of(model_of("Softmax", [X], axis=1), 1 << 20)
    assert [(info.name, info.op, info.macs) for info in program.layers if info.op == "Softmax"] == [
        ("node", "Softmax", 0)
    ]
    rows = {i.layer for i in program.reuse.sections.frame if isinstance(i, Reduce)}
    assert [program.layers[row].name for row in rows] == ["node"]


def test_groups_of_axes_beyond_two_take_a_step_each() -> None:
    """The innermost first; what is left are sums."""
    model = ir.from_proto(model_of("ReduceSumSquare", [normal(2, 3, 2, 3, 2, 3, 2), np.array([1, 3, 5])]))
    InferShapes()(model)
    specs = [layer.spec for layer in read_graph(model).layers if isinstance(layer.spec, ReduceSpec)]
    assert [(spec.reduction.name, spec.sizes, spec.folded) for spec in specs] == [
        ("SUM_SQUARES", (72, 3, 2), (False, True, False)),
        ("SUM", (12, 3, 4), (False, True, False)),
        ("SUM", (2, 3, 8), (False, True, False)),
    ]
