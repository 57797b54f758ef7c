"""Sessions of models whose inputs and outputs are not all arrays of finite numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import Model, load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.session import Session

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 4] x, float[3] mask, string[2] words) => (float[1, 2] y, float[3] seen, string[2] same, seq(float) both)
<float[4, 2] W = {1, 2, 3, 4, 5, 6, 7, 8}>
{
    y = MatMul (x, W)
    seen = Exp (mask)
    same = Identity (words)
    both = SequenceConstruct (y, seen)
}"""
WORDS = np.array(["now", "then"], object)
MASK = np.array([-np.inf, 0, np.nan], np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    onnx.save(onnx.parser.parse_model(NETWORK), tmp_path / "model.onnx")
    return load(tmp_path / "model.onnx")


@pytest.fixture
def session(model: Model) -> Session:
    quantizer = QuantizerSpec(step=0.5, zero=8, clusters=17)
    site = SitePlan(node="y", input="x", op="MatMul", mode="reuse", quantizer=quantizer)
    plan = Plan(model=ModelRef(path=str(model.path), sha256=model.sha256), sites=[site])
    return Session(rewrite(model, plan), threads=1)


def test_strings_and_sequences_pass_beside_a_site_that_keeps_its_state(session: Session) -> None:
    for x in ([[1, 0, -0.5, 2]], [[1, 0.5, -0.5, 2]], [[0, 0.5, 0, 2]]):
        outputs = session.run({"x": np.array(x, np.float32), "mask": MASK, "words": WORDS})
        expected = np.array(x) @ np.arange(1, 9).reshape(4, 2)
        np.testing.assert_array_equal(outputs["y"], expected)
        np.testing.assert_array_equal(session.linear["y"], expected)
        np.testing.assert_array_equal(session.indices["y"], np.array(x) * 2 + 8)
        np.testing.assert_array_equal(outputs["same"], WORDS)
        np.testing.assert_array_equal(outputs["both"][0], expected)
        np.testing.assert_array_equal(outputs["both"][1], outputs["seen"])


def test_what_no_site_reads_may_be_infinite_or_nan(session: Session) -> None:
    outputs = session.run({"x": np.zeros((1, 4), np.float32), "mask": MASK, "words": WORDS})
    np.testing.assert_array_equal(outputs["seen"], np.array([0, 1, np.nan], np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_a_site_is_computed_from_must_be_finite(session: Session, bad: float) -> None:
    x = np.array([[0, bad, 0, 0]], np.float32)
    with pytest.raises(StreamError, match=r"input x .* not finite"):
        session.run({"x": x, "mask": MASK, "words": WORDS})
    assert not session.linear["y"].any()
