"""Frames through memory that is bound once: what is given and taken is the caller's."""

from __future__ import annotations

import gc

import numpy as np
import onnx
import pytest

from reuse_compiler.bound_step import BoundStep
from reuse_compiler.errors import ModelError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.onnx_session import open_session

SMALL, LARGE = (1, 8), (1, 100_000)


@pytest.fixture
def step() -> BoundStep:
    text = """<ir_version: 8, opset_import: ["": 18]>
    both (float[1,8] small, float[1,100000] large) => (float[1,8] doubled, float[1,100000] sum) {
        doubled = Add(small, small)
        one = ReduceMax(small)
        sum = Add(large, one)
    }"""
    session = open_session(onnx.parser.parse_model(text), 1, "both")
    float32 = np.dtype(np.float32)
    inputs = [TensorSpec("small", SMALL, float32), TensorSpec("large", LARGE, float32)]
    outputs = [TensorSpec("doubled", SMALL, float32), TensorSpec("sum", LARGE, float32)]
    return BoundStep(session, "both", inputs, outputs, {}, {})


def _frame(value: float) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {"small": np.full(SMALL, value, np.float32), "large": np.full(LARGE, value, np.float32)}


def test_outputs_of_a_frame_stay_when_others_run(step: BoundStep) -> None:
    found = []
    for value in range(6):
        found.append(step(_frame(value)))
        gc.collect()  # the frame that was given is gone
    for value, outputs in enumerate(found):
        assert list(outputs) == ["doubled", "sum"]
        assert (outputs["doubled"] == 2 * value).all() and (outputs["sum"] == 2 * value).all()
        outputs["doubled"][:] = outputs["sum"][:] = -1
    last = step(_frame(9))
    assert (last["doubled"] == 18).all() and (last["sum"] == 18).all()


def test_inputs_are_read_when_the_frame_runs(step: BoundStep) -> None:
    frame = _frame(1)
    step(frame)
    frame["small"][:], frame["large"][:] = 2, 3
    outputs = step(frame)
    assert (outputs["doubled"] == 4).all() and (outputs["sum"] == 5).all()


def test_what_onnxruntime_refuses_is_a_model_error(step: BoundStep) -> None:
    with pytest.raises(ModelError, match="both: onnxruntime cannot run it"):
        step({"small": np.zeros(SMALL, np.float32), "large": np.zeros((1, 7), np.float32)})
