"""A loss of the user's own sees all frames, cannot change them, and fails with one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reuse_compiler.budget import Bound
from reuse_compiler.errors import BudgetError
from reuse_compiler.metrics import Judge
from reuse_compiler.own_metric import OwnMetric

Function = Callable[[list[dict[str, Any]], list[dict[str, Any]]], object]


def judge(function: Function, frames: int = 3) -> Judge:
    made = Judge([Bound("m:f<=0.5", "m:f", None, 0.0, "", (), 0.5, OwnMetric("m:f", function))])
    for number in range(frames):
        made.add(
            {"y": np.full(2, number), "__labels__": np.array(7)},
            {"y": np.full(2, number + 1), "z": np.array("text", object)},
        )
    return made


def test_it_gets_references_with_labels_and_outputs_frame_by_frame() -> None:
    calls = []

    def loss(references: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> np.float32:
        calls.append(len(references))
        assert [int(frame["__labels__"]) for frame in references] == [7, 7, 7]
        assert [frame["z"].item() for frame in outputs] == ["text"] * 3
        return np.float32(np.mean([exact["y"] - taken["y"] for exact, taken in zip(references, outputs, strict=True)]))

    made = judge(lambda references, outputs: -2 * float(loss(references, outputs)))
    assert made.keeps_outputs and (made.constant, made.silent) == ([], [])
    assert made.excess == 4 and [found for _, found in made.losses] == [2]
    assert calls == [3]  # once for as many frames
    assert judge(loss).excess == 0  # less than nothing is lost


@pytest.mark.parametrize("value", [0.25, np.float32(0.25), np.array(0.25), 0, True])
def test_any_number_will_do(value: object) -> None:
    assert judge(lambda references, outputs: value).excess == 2 * float(value)  # type: ignore[arg-type]


def change(references: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> float:
    references[0]["y"] += 1
    return 0.0


def fail(references: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> float:
    raise KeyError("no such\nthing")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (fail, "budget: m:f raised KeyError: .*: correct it"),
        (change, "m:f raised ValueError: output array is read-only"),
        (lambda references, outputs: "good", "m:f gave 'good': give a finite number, 0 where nothing is lost"),
        (lambda references, outputs: np.nan, "m:f gave nan"),
        (lambda references, outputs: None, "m:f gave None"),
        (lambda references, outputs: np.zeros(2), "m:f gave a ndarray"),
    ],
)
def test_what_fails_is_one_line(function: Function, message: str) -> None:
    with pytest.raises(BudgetError, match=message) as caught:
        _ = judge(function).losses
    assert "\n" not in str(caught.value)
