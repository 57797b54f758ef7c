"""What a run loses against labels is the score of fp32 less its own; labels that do not fit are one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.budget import parse_budget
from reuse_compiler.errors import BudgetError, StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.metrics import Judge

Array = NDArray[Any]
OUTPUTS = [TensorSpec("y", (2, 7), np.dtype(np.float32))]


def loss(text: str, reference: Array, values: Array, labels: Array, key: str = "__labels_y__") -> float:
    judge = Judge(parse_budget(text, OUTPUTS))
    for exact, value, label in zip(reference, values, labels, strict=True):
        judge.add({"y": exact, key: label}, {"y": value})
    [(_, found)] = judge.losses
    return found


def accuracy(outputs: Array, labels: Array) -> float:
    return float(np.mean(outputs.argmax(-1) == labels))


def top5(outputs: Array, labels: Array) -> float:
    best = np.argsort(-outputs, axis=-1, kind="stable")[..., :5]
    return float(np.mean((best == labels[..., None]).any(-1)))


def f1(outputs: Array, labels: Array) -> float:
    above, belongs = outputs > 0.25, labels > 0
    return float(2 * (above & belongs).sum() / (above.sum() + belongs.sum()))


CLASSES: dict[str, Callable[[Array, Array], float]] = {"labels.argmax": accuracy, "labels.top5": top5}
SIDES: dict[str, Callable[[Array, Array], float]] = {
    "labels.decision@0.25": lambda outputs, labels: float(np.mean((outputs > 0.25) == (labels > 0))),
    "labels.f1@0.25": f1,
}


@settings(max_examples=40, deadline=None)
@given(
    metric=st.sampled_from([*CLASSES, *SIDES]),
    frames=st.integers(2, 9),
    seed=st.integers(0, 99),
    key=st.sampled_from(["__labels__", "__labels_y__"]),
)
def test_a_stream_is_judged_as_a_whole(metric: str, frames: int, seed: int, key: str) -> None:
    generator = np.random.default_rng(seed)
    reference = np.round(generator.standard_normal((frames, 2, 7)), 1).astype(np.float32)  # with ties
    values = np.round(reference + 0.7 * generator.standard_normal(reference.shape), 1).astype(np.float32)
    labels = generator.integers(0, 7, (frames, 2)) if metric in CLASSES else generator.integers(0, 2, (frames, 2, 7))
    score = {**CLASSES, **SIDES}[metric]
    lost = score(reference, labels) - score(values, labels)
    assert loss(f"{metric}<=0.1", reference, values, labels, key) == pytest.approx(max(lost, 0))
    assert loss(f"{metric}<=0.1", reference, reference, labels, key) == 0


def test_what_has_no_label_is_left_out() -> None:
    reference = np.eye(7, dtype=np.float32)[None, :2]
    values = reference[..., ::-1].copy()
    assert loss("labels.argmax<=1", reference, values, np.array([[0, 1]])) == 1
    assert loss("labels.argmax<=1", reference, values, np.array([[0, -1]])) == 1
    assert loss("labels.argmax<=1", reference, values, np.array([[-1, -1]])) == 0
    half = loss("labels.decision@0.5:y[0]<=1", reference, values, np.array([[1, -1, -1, 0, 0, 0, -1]]))
    assert half == 0.25


def test_no_number_is_wrong() -> None:
    reference = np.eye(7, dtype=np.float32)[None, :2]
    broken = np.full_like(reference, np.nan)
    for metric in ("labels.argmax", "labels.top5"):
        assert loss(f"{metric}<=1", reference, broken, np.array([[0, 1]])) == 1
    for metric in ("labels.decision@0.5", "labels.f1@0.5"):
        assert loss(f"{metric}<=1", reference, broken, reference) == 1


@pytest.mark.parametrize(
    ("metric", "labels", "message"),
    [
        ("argmax", np.array([1, 2, 3]), "frame 0: __labels_y__ has 3 labels, y 2 rows: give one a row"),
        ("argmax", np.array([1, 7]), "is int64 from 1 to 7: give the whole numbers of 7 classes, from 0"),
        ("argmax", np.array([1.0, 2.0]), "is float64 from 1 to 2: give the whole numbers"),
        ("top5", np.array([True, False]), "is bool from 0 to 1: give the whole numbers"),
        ("argmax", np.array(["a", "b"]), "__labels_y__ is <U1: give numbers"),
        ("f1@0.5", np.array([1, 0]), "has 2 labels, y 14 elements: give one an element"),
        ("decision@0.5", np.full((2, 7), 0.5), "is float64 from 0.5 to 0.5: give 0 or 1, or -1 for"),
    ],
)
def test_labels_that_do_not_fit_are_one_line(metric: str, labels: Array, message: str) -> None:
    reference = np.zeros((1, 2, 7), np.float32)
    with pytest.raises(StreamError, match=message) as caught:
        loss(f"labels.{metric}<=0.1", reference, reference, labels[None])
    assert "\n" not in str(caught.value)


def test_missing_labels_are_one_line() -> None:
    reference = np.zeros((1, 2, 7), np.float32)
    with pytest.raises(
        BudgetError, match="frame 0 of the stream has no labels: give __labels_y__ or __labels__ beside"
    ):
        loss("labels.argmax<=0.1", reference, reference, np.zeros((1, 2), int), "__labels_z__")
