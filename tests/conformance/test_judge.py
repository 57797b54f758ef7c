"""The judge itself: what it skips, what it lets pass and what it does not."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.conformance.backends import AcceleratorBackend, Candidate, ReuseBackend
from tests.conformance.judge import Judge

MODEL = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["": 18]>g (float[2, 3] x, float[3, 4] w) => (float[2, 4] y) { y = MatMul (x, w) }'
)


@pytest.fixture
def inputs() -> list[NDArray[np.float32]]:
    generator = np.random.default_rng(1)
    return [generator.standard_normal(shape).astype(np.float32) for shape in ((2, 3), (3, 4))]


def judge(candidate: Candidate, expected: NDArray[Any]) -> None:
    Judge.assert_similar_outputs([expected], (candidate,), 0, 0)


@pytest.mark.parametrize("backend", [ReuseBackend, AcceleratorBackend])
def test_a_site_is_within_what_its_step_allows_and_no_more(
    backend: type[ReuseBackend], inputs: list[NDArray[np.float32]]
) -> None:
    (candidate,) = backend.prepare(MODEL).run(inputs)
    judge(candidate, candidate.stock[0])
    assert candidate.passed
    (value,), bound = candidate.run()
    record = candidate.record("test")
    assert record is not None and record.sites == 1 and record.operators == ("MatMul",)
    assert 0 < np.abs(value - candidate.stock[0]).max() <= bound < 1e-3


def test_what_is_farther_off_fails(inputs: list[NDArray[np.float32]]) -> None:
    def wrong(case: Any) -> Any:
        execution = ReuseBackend.execute(case)
        execution.outputs[-1]["y"][0, 0] += 1e-3
        return execution

    (candidate,) = ReuseBackend.prepare(MODEL).run(inputs)
    broken = Candidate(MODEL, dict(zip("xw", inputs, strict=True)), candidate.stock, wrong)
    with pytest.raises(AssertionError, match="Mismatch"):
        judge(broken, candidate.stock[0])
    record = broken.record("test")
    assert record is not None and record.outcome == "rejected"


def test_what_stock_onnxruntime_does_not_pass_does_not_count(inputs: list[NDArray[np.float32]]) -> None:
    (candidate,) = ReuseBackend.prepare(MODEL).run(inputs)
    with pytest.raises(unittest.SkipTest, match="other outputs"):
        judge(candidate, candidate.stock[0] + 1)
    assert candidate.record("test") is None


def test_what_stock_onnxruntime_does_not_take_is_skipped() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(unittest.SkipTest, match="does not take"):
        ReuseBackend.prepare(model)
