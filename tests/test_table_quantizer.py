"""Table quantizers: the nearest centroid by exact arithmetic, in numpy, in the ONNX body and in the interpreter."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.errors import PlanError
from reuse_compiler.index_check import distance_to_right
from reuse_compiler.operators import function, quantizer_attributes, read_quantizer, reuse_node
from reuse_compiler.plan import SitePlan, TableSpec, quantizer_spec
from reuse_compiler.quantizers import TableQuantizer, of_channels

Float = NDArray[np.float32]
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SMALL = st.integers(-64, 64).map(lambda number: number / 8)


@st.composite
def tables(draw: st.DrawFn, most: int = 256) -> TableQuantizer:
    """Centroids of any magnitude, or on a coarse grid, where ties are frequent; a deadband or none."""
    values = draw(st.lists(draw(st.sampled_from([FLOATS, SMALL])), min_size=1, max_size=most - 1))
    centroids = tuple(sorted({0.0, *(value + 0.0 for value in values)}))
    if len(centroids) == 1:
        centroids = (0.0, 1.0)
    return TableQuantizer(centroids, draw(st.sampled_from([0.0, 0.5, 1e30])))


@st.composite
def inputs(draw: st.DrawFn, quantizer: TableQuantizer) -> Float:
    """Values of any kind: boundaries, centroids, their neighbours, and what is no number."""
    of_table = st.sampled_from([*quantizer.centroids, *quantizer.boundaries])
    beside = st.tuples(of_table, st.sampled_from([-math.inf, math.inf])).map(
        lambda pair: float(np.nextafter(np.float32(pair[0]), np.float32(pair[1])))
    )
    special = st.sampled_from([math.nan, math.inf, -math.inf, -0.0])
    values = draw(st.lists(st.one_of(FLOATS, SMALL, of_table, beside, special), min_size=1, max_size=24))
    return np.array(values, np.float32)


def memoryless(quantizer: TableQuantizer) -> TableQuantizer:
    return TableQuantizer(quantizer.centroids)


@given(data=st.data(), quantizer=tables(most=12))
def test_the_nearest_centroid_wins_and_of_two_the_lower(data: st.DataObject, quantizer: TableQuantizer) -> None:
    x = data.draw(inputs(quantizer))
    index = memoryless(quantizer).quantize(x, np.zeros(x.shape, np.uint8))
    assert index.dtype == np.uint8
    centroids = [Fraction(centroid) for centroid in quantizer.centroids]
    for value, number in zip(x.tolist(), index.tolist(), strict=True):
        if math.isnan(value):
            assert quantizer.centroids[number] == 0
        elif math.isinf(value):
            assert number == (len(centroids) - 1 if value > 0 else 0)
        else:
            distances = [abs(Fraction(value) - centroid) for centroid in centroids]
            assert number == distances.index(min(distances))


@given(quantizer=tables())
def test_a_centroid_is_its_own_index_and_the_first_beyond_its_boundary_is_the_next(quantizer: TableQuantizer) -> None:
    table = memoryless(quantizer)
    numbers = np.arange(table.clusters, dtype=np.uint8)
    assert np.array_equal(table.quantize(table.dequantize(numbers), numbers), numbers)
    last = np.array(table.boundaries, np.float32)
    assert np.array_equal(table.quantize(last, numbers[:-1]), numbers[:-1])
    assert np.array_equal(table.quantize(np.nextafter(last, np.float32(np.inf)), numbers[1:]), numbers[1:])
    assert table.dequantize(np.array(table.zero)) == 0


@given(data=st.data(), quantizer=tables())
def test_an_index_stays_within_the_deadband_of_its_centroid(data: st.DataObject, quantizer: TableQuantizer) -> None:
    x = data.draw(inputs(quantizer))
    past = np.array(data.draw(indices(quantizer, x.size)), np.uint8)
    index = quantizer.quantize(x, past)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(x - quantizer.dequantize(past)) <= np.asarray(quantizer.deadband, np.float32)
    near &= quantizer.has_memory
    assert np.array_equal(index[near], past[near])
    assert np.array_equal(index[~near], memoryless(quantizer).quantize(x, past)[~near])


def indices(quantizer: TableQuantizer, size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, quantizer.clusters - 1), min_size=size, max_size=size)


def run_body(quantizer: TableQuantizer, x: Float, past: NDArray[Any]) -> list[NDArray[Any]]:
    """A ReuseGemmTable of [1, K] inputs and an identity of weights, past linear output 0, in onnxruntime."""
    size = x.size

    def value(name: str, dtype: ir.DataType, shape: list[int]) -> ir.Value:
        return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))

    given_x, z = value("x", ir.DataType.FLOAT, [1, size]), value("z", ir.DataType.FLOAT, [1, size])
    weight, bias = value("W", ir.DataType.FLOAT, [size, size]), value("B", ir.DataType.FLOAT, [size])
    node = reuse_node("fc", given_x, weight, bias, z, quantizer)
    assert node.op_type == "ReuseGemmTable"
    assert read_quantizer(node) == quantizer
    graph = ir.Graph(
        [value for value in node.inputs if value is not None],
        node.outputs,
        nodes=[node],
        opset_imports={"": 18, "ai.reuse": 1},
        name="g",
    )
    body = function("ReuseGemmTable", 18)
    model = ir.Model(graph, ir_version=9, functions=[body])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    arrays = [x[None], past[None], np.zeros((1, size)), np.eye(size), np.zeros(size)]
    names = [given.name for given in session.get_inputs()]
    feeds = {
        name: array if array.dtype == np.uint8 else array.astype(np.float32)
        for name, array in zip(names, arrays, strict=True)
    }
    return list(session.run(None, feeds))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), quantizer=tables())
def test_the_onnx_body_gives_the_same_indices(data: st.DataObject, quantizer: TableQuantizer) -> None:
    x = data.draw(inputs(quantizer))
    past = np.array(data.draw(indices(quantizer, x.size)), np.uint8)
    _, index, linear = run_body(quantizer, x, past)
    expected = quantizer.quantize(x, past)
    assert np.array_equal(index[0], expected)
    if quantizer.centroids[-1] - quantizer.centroids[0] < 1e30:
        change = quantizer.dequantize(expected) - quantizer.dequantize(past)
        np.testing.assert_allclose(linear[0], change, rtol=1e-6)


@given(data=st.data(), quantizer=tables(most=12))
def test_an_index_is_right_within_the_distance_that_the_check_gives(
    data: st.DataObject, quantizer: TableQuantizer
) -> None:
    x = data.draw(inputs(quantizer))
    x = np.where(np.isfinite(x), x, np.float32(1))
    past, index = (np.array(data.draw(indices(quantizer, x.size)), np.uint8) for _ in range(2))
    distance = distance_to_right(quantizer, x, past, index, -1)
    right = quantizer.quantize(x, past) == index
    assert np.array_equal(distance[right], np.zeros(right.sum()))
    table = memoryless(quantizer)
    beyond = distance_to_right(table, x, past, index, -1)
    low = np.array([-np.inf, *table.boundaries])[index]
    high = np.array([*table.boundaries, np.inf])[index]
    exact = np.maximum(np.maximum(low - x, x - high), 0)
    assert (beyond <= exact).all()
    assert (beyond >= exact - 1e-5 * (np.abs(x) + np.abs(table.dequantize(past)))).all()


@given(quantizer=tables())
def test_a_plan_holds_a_table_exactly(quantizer: TableQuantizer) -> None:
    site = SitePlan(node="a", input="x", op="Gemm", mode="reuse", quantizer=quantizer_spec(quantizer))
    read = SitePlan.model_validate_json(site.model_dump_json())
    assert isinstance(read.quantizer, TableSpec)
    assert read.quantizer.build() == quantizer


def test_a_part_of_the_channels_keeps_its_deadbands() -> None:
    quantizer = TableQuantizer((-1.0, 0.0, 3.0), (0.0, 0.5, 1.0))
    assert of_channels(quantizer, 1, 2).deadband == (0.5, 1.0)
    x = np.array([[0.9, 1.9, 0.9]], np.float32)
    past = np.array([[2, 2, 0]], np.uint8)
    assert of_channels(quantizer, 0, 3).quantize(x, past, -1).tolist() == [[1, 2, 1]]
    assert TableQuantizer((0.0, 1.0)).has_memory is False


@pytest.mark.parametrize(
    ("centroids", "message"),
    [
        ((0.0,), "centroids are 1: give 2 to 256"),
        (tuple(float(k) for k in range(257)), "centroids are 257"),
        ((-1.0, 1.0), "lack 0.0"),
        ((0.0, 2.0, 1.0), "2 and 1 are not in ascending order"),
        ((0.0, 1.0, 1.0 + 1e-9), "not in ascending order as float32"),
        ((-1.0, 0.0, math.nan), "nan is no finite float32"),
        ((0.0, 1e39), "no finite float32"),
    ],
)
def test_a_table_that_is_none_is_refused(centroids: tuple[float, ...], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        TableQuantizer(centroids)


@pytest.mark.parametrize("deadband", [-1.0, math.nan, (), (0.0, math.inf)])
def test_a_deadband_that_is_none_is_refused(deadband: Any) -> None:
    with pytest.raises(PlanError, match="deadband"):
        TableQuantizer((0.0, 1.0), deadband)


def test_boundaries_that_are_not_those_of_the_centroids_are_refused() -> None:
    quantizer = TableQuantizer((-1.0, 0.0, 2.0))
    attributes = quantizer_attributes(quantizer)
    attributes[1] = ir.AttrFloat32s("boundaries", [-0.5, 1.25])
    node = ir.Node("ai.reuse", "ReuseGemmTable", [], attributes, num_outputs=3, name="fc")
    with pytest.raises(PlanError, match="node fc: its boundaries"):
        read_quantizer(node)
