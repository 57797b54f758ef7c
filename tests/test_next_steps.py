"""A plan says what the next wider quantizer of each site would have come to."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.next_steps import next_steps
from reuse_compiler.search.candidate import Candidate
from tests.small_search import Parts, small_parts


@pytest.fixture(scope="module")
def parts() -> Parts:
    return small_parts()


def test_each_tensor_is_widened_alone(parts: Parts) -> None:
    chosen = parts.calibration.evaluate(parts.uniform)
    steps = next_steps(parts.calibration, chosen)
    assert steps.keys() == parts.calibration.ranges.keys()
    for tensor, step in steps.items():
        assert step.factor > 1
        wider = parts.calibration.evaluate(parts.uniform.moved({tensor: float(np.log2(step.factor))}))
        assert step.reuse == pytest.approx(wider.reuse - chosen.reuse)
        assert step.loss == pytest.approx(wider.loss - chosen.loss)
    assert sum(step.reuse for step in steps.values()) > 0


def test_a_dense_plan_has_no_next_steps(parts: Parts) -> None:
    assert next_steps(parts.calibration, parts.calibration.evaluate(Candidate({}))) == {}
