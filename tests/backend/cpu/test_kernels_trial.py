"""The native kernels of trials against their function bodies in stock onnxruntime: every bit is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.passes.quantize_sites import quantizer_function, step_function
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from tests.backend.cpu.native_run import Arrays, open_model
from tests.backend.cpu.node_cases import SPECIAL, assert_same_bits, kernels_under_test

LIBRARY = kernels_under_test()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")
OPSET = 18


def node_model(step: bool) -> bytes:
    """A model of one node, n, of which the inputs and outputs have the names that the function gives them; or of a step's."""
    function = (step_function if step else quantizer_function)(OPSET)
    types = {"dense": ir.DataType.BOOL, "active": ir.DataType.BOOL, "changed": ir.DataType.INT64}
    inputs, outputs = (
        [
            ir.Value(name=str(value.name), type=ir.TensorType(types.get(str(value.name), ir.DataType.FLOAT)))
            for value in of
        ]
        for of in (function.inputs, function.outputs)
    )
    node = ir.Node(function.domain, function.name, inputs, outputs=outputs, name="n")
    opsets = {"": OPSET, function.domain: 1}
    graph = ir.Graph(inputs, outputs, nodes=[node], opset_imports=opsets, name="trial")
    return bytes(ir.to_proto(ir.Model(graph, ir_version=8, functions=[function])).SerializeToString())


@pytest.fixture(scope="module")
def sessions() -> dict[bool, list[ort.InferenceSession]]:
    """Of a step or not, the kernel and the body."""
    return {step: [open_model(node_model(step), library) for library in (LIBRARY, None)] for step in (False, True)}


def quantizer(step: float, low: int, high: int) -> Arrays:
    one = np.float32(step)
    numbers = {"step": one, "inv_step": np.float32(1) / one, "low": low, "high": high}
    return {name: np.array(value, np.float32) for name, value in numbers.items()}


def values(generator: np.random.Generator, shape: Sequence[int], given: Arrays) -> NDArray[np.float32]:
    """Near and far of centroids, beside and at the edges between them, and what is special; seldom a NaN."""
    step = float(given["step"])
    edges = (generator.integers(-12, 13, shape) + 0.5) * step
    kinds = [
        generator.standard_normal(shape) * 6 * step,
        edges,
        np.nextafter(edges.astype(np.float32), generator.choice([-np.inf, np.inf], shape).astype(np.float32)),
        generator.standard_normal(shape) * 1e4 * step,
        generator.choice(SPECIAL, shape),
    ]
    chosen = generator.choice(len(kinds), shape, p=[0.5, 0.2, 0.2, 0.08, 0.02])
    return np.choose(chosen, kinds).astype(np.float32)


def run_frames(both: Sequence[ort.InferenceSession], frames: Iterator[Arrays], past: NDArray[np.float32]) -> None:
    """Hold the kernel against the body; what one frame holds the next one begins with."""
    for frame in frames:
        names = [output.name for output in both[0].get_outputs()]
        given = {name: array.copy() for name, array in frame.items()}
        found, expected = (
            dict(zip(names, session.run(names, {**given, "past": past}), strict=True)) for session in both
        )
        assert_same_bits(found, expected)
        for name, array in frame.items():  # a value in the place of x would be another x
            np.testing.assert_array_equal(given[name], array)
        past = expected["held"]


STEPS = st.floats(2.0**-7, 3.0, width=32)
SIZES = st.one_of(st.integers(1, 9), st.sampled_from([15, 16, 17, 31, 33, 64, 130]))
BANDS = np.array([0.0, 0.25, 0.5, 1.0, 3.5, np.inf])


@settings(max_examples=150)
@given(
    shape=st.lists(SIZES, min_size=1, max_size=3).map(tuple) | st.tuples(*[st.integers(1, 6)] * 5),
    step=STEPS,
    low=st.integers(-40, 0),
    high=st.integers(0, 40),
    by_channel=st.none() | st.integers(0, 4),
    dense=st.sampled_from([False, False, False, True]),
    seed=st.integers(0, 999),
)
def test_a_quantizer(
    sessions: dict[bool, list[ort.InferenceSession]],
    shape: tuple[int, ...],
    step: float,
    low: int,
    high: int,
    by_channel: int | None,
    dense: bool,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    given = quantizer(step, low, high)
    along = [1] * len(shape)
    if by_channel is not None:
        axis = by_channel % len(shape)
        along[axis] = shape[axis]
        along = along[axis:]
    given["deadband"] = (generator.choice(BANDS, along) * step).astype(np.float32)
    given["dense"] = np.array(dense)
    frames = ({**given, "x": values(generator, shape, given)} for _ in range(3))
    with np.errstate(all="ignore"):
        run_frames(sessions[False], frames, np.zeros(shape, np.float32))


@settings(max_examples=100)
@given(
    rows=st.integers(1, 5),
    width=SIZES,
    step=STEPS,
    by_channel=st.booleans(),
    dense=st.sampled_from([False, False, False, True]),
    seed=st.integers(0, 999),
)
def test_a_step(
    sessions: dict[bool, list[ort.InferenceSession]],
    rows: int,
    width: int,
    step: float,
    by_channel: bool,
    dense: bool,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    given = quantizer(step, -20, 21)
    given["deadband"] = (generator.choice(BANDS, width if by_channel else 1) * step).astype(np.float32)
    given["dense"] = np.array(dense)
    frames = (
        {**given, "x": values(generator, (rows, width), given), "active": generator.random((rows, 1)) < 0.7}
        for _ in range(3)
    )
    with np.errstate(all="ignore"):
        run_frames(sessions[True], frames, np.zeros((rows, width), np.float32))


def test_no_elements(sessions: dict[bool, list[ort.InferenceSession]]) -> None:
    given = quantizer(0.5, -3, 3) | {"deadband": np.zeros(1, np.float32), "dense": np.array(False)}
    given |= {name: np.zeros((2, 0, 3), np.float32) for name in ("x", "past")}
    value, held, changed = sessions[False][0].run(None, given)
    assert value.shape == held.shape == (2, 0, 3) and changed == 0


GOOD = {
    **quantizer(0.5, -3, 3),
    "x": np.zeros((2, 3, 4), np.float32),
    "past": np.zeros((2, 3, 4), np.float32),
    "deadband": np.zeros((3, 1), np.float32),
    "dense": np.array(False),
}
ROWS = {
    **GOOD,
    "x": np.zeros((2, 4), np.float32),
    "past": np.zeros((2, 4), np.float32),
    "deadband": np.zeros(4, np.float32),
    "active": np.ones((2, 1), np.bool_),
}
BAD = [
    ("past", np.zeros((2, 4, 3)), "past has shape [2, 4, 3], not [2, 3, 4]: reset the state"),
    ("step", np.ones(3), "step has shape [3], not []: give one number"),
    ("inv_step", np.ones(0), "inv_step has shape [0], not []: give one number"),
    ("high", np.ones((2, 1)), "high has shape [2, 1], not []: give one number"),
    ("low", np.array(-0.5), "low -0.5, high 3: give whole numbers up to 2^22, in order"),
    ("low", np.array(4.0), "low 4, high 3: give whole numbers up to 2^22, in order"),
    ("low", np.array(np.nan), "low nan, high 3: give whole numbers up to 2^22, in order"),
    ("high", np.array(2.0**23), "high 8.38861e+06: give whole numbers up to 2^22, in order"),
    ("dense", np.zeros(2, np.bool_), "dense has shape [2], not []: give one"),
    ("deadband", np.zeros(3), "deadband of shape [3] does not fit x of shape [2, 3, 4]: give one, or one a channel"),
    ("deadband", np.zeros((3, 4)), "deadband of shape [3, 4] does not fit x of shape [2, 3, 4]"),
    ("deadband", np.zeros(0), "deadband of shape [0] does not fit x of shape [2, 3, 4]"),
    ("deadband", np.zeros((1, 1, 1, 1)), "deadband of shape [1, 1, 1, 1] does not fit x of shape [2, 3, 4]"),
    ("x", np.zeros((1,) * 9), "input 0 has 9 axes, at most 8 are possible"),
]
BAD_ROWS = [
    ("active", np.ones(2, np.bool_), "active of shape [2] does not fit x of shape [2, 4]: give one a row"),
    ("active", np.ones((4, 1), np.bool_), "active of shape [4, 1] does not fit x of shape [2, 4]: give one a row"),
    ("active", np.ones((2, 4), np.bool_), "active of shape [2, 4] does not fit x of shape [2, 4]: give one a row"),
]


@pytest.mark.parametrize(("name", "array", "message"), [*BAD, *BAD_ROWS], ids=lambda value: str(value)[:40])
def test_what_does_not_fit_is_an_error(
    sessions: dict[bool, list[ort.InferenceSession]], name: str, array: NDArray[Any], message: str
) -> None:
    step = name == "active"
    good = ROWS if step else GOOD
    assert sessions[step][0].run(None, good)
    with pytest.raises(RUNTIME_ERRORS) as raised:
        sessions[step][0].run(None, {**good, name: array.astype(good[name].dtype)})
    where, _, what = str(raised.value).partition(" node n: ")
    assert where.endswith(f"ai.reuse.trial.{'TrialStep' if step else 'TrialQuantizer'}")
    assert message in what
