"""The recurrent reuse operators against onnxruntime's LSTM, GRU and RNN over the grid of their attributes.

The quantizer is so fine that what it rounds bounds the difference: a linear output is off by at most half a step times
the sum of its weights' magnitudes, and weights this small make every cell forget more than it is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.replay import Replay
from reuse_compiler.session import Session
from tests.recurrent.cells import Cell, build, feeds, planned

Arrays = dict[str, NDArray[Any]]
Loaded = Callable[[onnx.ModelProto], Model]

STEPS = 100
STEP = 2.0**-12
DIRECTIONS = ("forward", "reverse", "bidirectional")
GRID = [
    *(
        Cell(
            "LSTM", STEPS, direction=direction, peephole=peephole, clip=clip, layout=layout, initial=initial, scale=0.2
        )
        for direction, peephole, clip, layout, initial in itertools.product(
            DIRECTIONS, (False, True), (0.0, 0.5), (0, 1), (False, True)
        )
    ),
    *(
        Cell("GRU", STEPS, direction=direction, linear_before_reset=before, clip=clip, layout=layout, initial=initial)
        for direction, before, clip, layout, initial in itertools.product(
            DIRECTIONS, (0, 1), (0.0, 0.5), (0, 1), (False, True)
        )
    ),
    *(
        Cell("RNN", STEPS, direction=direction, clip=clip, layout=layout, initial=initial, scale=0.2)
        for direction, clip, layout, initial in itertools.product(DIRECTIONS, (0.0, 0.5), (0, 1), (False, True))
    ),
]


def named(cell: Cell) -> str:
    flags = [
        "peephole" if cell.peephole else "",
        "clip" if cell.clip else "",
        "layout" if cell.layout else "",
        "before" if cell.linear_before_reset else "",
        "initial" if cell.initial else "",
    ]
    return "-".join([cell.kind, cell.direction, *filter(None, flags)])


def expected(cell: Cell, proto: onnx.ModelProto, values: Arrays) -> Arrays:
    """What onnxruntime gives. It has no layout 1: there the same layer with layout 0 is run, time and batch swapped."""
    if cell.layout:
        plain = onnx.ModelProto.FromString(proto.SerializeToString())
        node = plain.graph.node[0]
        node.attribute.remove(next(attribute for attribute in node.attribute if attribute.name == "layout"))
        for value in plain.graph.input:
            dims = value.type.tensor_type.shape.dim
            dims[0].dim_value, dims[1].dim_value = dims[1].dim_value, dims[0].dim_value
        swapped = {name: np.ascontiguousarray(array.swapaxes(0, 1)) for name, array in values.items()}
        found = _run(plain, swapped)
        found["Y"] = found["Y"].transpose(2, 0, 1, 3)
        return {name: array if name == "Y" else array.swapaxes(0, 1) for name, array in found.items()}
    return _run(proto, values)


def _run(proto: onnx.ModelProto, values: Arrays) -> Arrays:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, values), strict=True))


@pytest.mark.parametrize("cell", GRID, ids=named)
def test_a_layer_over_a_hundred_steps(cell: Cell, loaded: Loaded) -> None:
    proto = build(cell)
    model = loaded(proto)
    plan = planned(model, step=STEP)
    session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
    generator = np.random.default_rng(1)
    for number in range(2):
        values = feeds(proto, generator)
        outputs = session.run(values)
        for name, array in expected(cell, proto, values).items():
            assert outputs[name].shape == array.shape
            np.testing.assert_allclose(outputs[name], array, rtol=0, atol=4 * STEP)
        replay.check(values, session.indices, outputs, start=number == 0, linear=session.linear)


ACTIVATIONS = [
    ("LSTM", ("Relu", "Tanh", "Softsign"), (), ()),
    ("LSTM", ("HardSigmoid", "ScaledTanh", "Elu"), (0.2, 1.5, 0.7), (0.5, 0.6)),
    ("LSTM", ("Sigmoid", "Softsign", "Tanh"), (), ()),
    ("GRU", ("HardSigmoid", "LeakyRelu"), (0.3, 0.1), (0.4,)),
    ("GRU", ("Sigmoid", "Softplus"), (), ()),
    ("RNN", ("ThresholdedRelu",), (0.0625,), ()),
    ("RNN", ("Affine",), (0.5,), (0.1,)),
    ("RNN", ("Relu",), (), ()),
]


@pytest.mark.parametrize(("kind", "names", "alpha", "beta"), ACTIVATIONS, ids=lambda value: str(value))
def test_every_activation(
    kind: str, names: tuple[str, ...], alpha: tuple[float], beta: tuple[float], loaded: Loaded
) -> None:
    cell = Cell(kind, activations=names, alpha=alpha or None, beta=beta or None, direction="bidirectional", scale=0.2)  # type: ignore[arg-type]
    proto = build(cell)
    model = loaded(proto)
    session = Session(rewrite(model, planned(model, step=STEP)), threads=1)
    values = feeds(proto, np.random.default_rng(2))
    outputs = session.run(values)
    for name, array in expected(cell, proto, values).items():
        # Only a threshold turns a small difference into one of its own size.
        slack = 0.07 if names == ("ThresholdedRelu",) else 4 * STEP
        np.testing.assert_allclose(outputs[name], array, rtol=0, atol=slack)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rows_of_other_lengths(kind: str, direction: str, loaded: Loaded) -> None:
    cell = Cell(kind, batch=3, direction=direction, lengths=(6, 1, 4), initial=True)  # type: ignore[arg-type]
    proto = build(cell)
    model = loaded(proto)
    plan = planned(model, step=STEP)
    session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
    generator = np.random.default_rng(3)
    for number in range(3):
        values = feeds(proto, generator)
        outputs = session.run(values)
        for name, array in expected(cell, proto, values).items():
            np.testing.assert_allclose(outputs[name], array, rtol=0, atol=32 * STEP)
        replay.check(values, session.indices, outputs, start=number == 0, linear=session.linear)


def test_the_model_is_checker_clean_and_has_one_function(loaded: Loaded) -> None:
    model = loaded(build(Cell("LSTM", direction="bidirectional", initial=True)))
    proto = ir.to_proto(rewrite(model, planned(model, step=STEP)))
    onnx.checker.check_model(proto, full_check=True)
    assert [function.name for function in proto.functions] == ["ReuseLSTM"]
