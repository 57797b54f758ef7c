"""The loss that a budget bounds: labels that a run hears otherwise than fp32."""

from __future__ import annotations

from typing import Any

import numpy as np

from reuse_compiler.budget import parse_budget
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.models.eesen.loss import label_loss


def scores(*labels: int) -> dict[str, Any]:
    """Each label for two steps, with a blank behind it."""
    best = np.repeat([value for label in labels for value in (label, 0)], 2)
    return {"scores": np.eye(50, dtype=np.float32)[best]}


def test_the_loss_counts_labels_that_are_heard_otherwise() -> None:
    reference = [scores(1, 2, 3, 4), scores(5, 6)]
    assert label_loss(reference, reference) == 0
    assert label_loss(reference, [scores(1, 2, 3, 7), scores(5, 6)]) == 1 / 6
    assert label_loss(reference, [scores(1, 2, 3), scores(5, 6, 6)]) == 2 / 6


def test_a_budget_can_name_it() -> None:
    outputs = (TensorSpec("scores", (300, 50), np.dtype(np.float32)),)
    (bound,) = parse_budget("reuse_compiler.models.eesen.loss:label_loss<=0.01", outputs)
    assert bound.limit == 0.01
