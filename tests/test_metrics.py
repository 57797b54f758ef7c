"""Losses over a stream are those of the whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.budget import parse_budget
from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.metrics import Judge

Array = NDArray[Any]
OUTPUTS = [TensorSpec("y", (2, 7), np.dtype(np.float32))]


def judge(text: str, reference: Array, values: Array) -> Judge:
    made = Judge(parse_budget(text, OUTPUTS))
    for exact, value in zip(reference, values, strict=True):
        made.add({"y": exact}, {"y": value})
    return made


def loss(text: str, reference: Array, values: Array) -> float:
    [(_, found)] = judge(text, reference, values).losses
    return found


def f1(exact: NDArray[np.bool_], taken: NDArray[np.bool_]) -> float:
    both = int(exact.sum()) + int(taken.sum())
    return 1 - 2 * int((exact & taken).sum()) / both if both else 0.0


def top5(exact: Array, taken: Array) -> float:
    listed = np.argsort(-taken, axis=-1, kind="stable")[..., :5]
    return float(np.mean((listed != exact.argmax(-1)[..., None]).all(-1)))


def noise(exact: Array, taken: Array) -> float:
    return float(np.sqrt(np.mean((exact.astype(float) - taken) ** 2) / np.mean(exact.astype(float) ** 2)))


WHOLE: dict[str, Callable[[Array, Array], float]] = {
    "relrmse": lambda r, v: float(np.sqrt(np.mean((r.astype(float) - v) ** 2) / r.astype(float).var())),
    "rmse": lambda r, v: float(np.sqrt(np.mean((r.astype(float) - v) ** 2))),
    "sqnr": noise,
    "argmax": lambda r, v: float(np.mean(r.argmax(-1) != v.argmax(-1))),
    "top5": top5,
    "decision@0.25": lambda r, v: float(np.mean((r > 0.25) != (v > 0.25))),
    "f1@0.25": lambda r, v: f1(r > 0.25, v > 0.25),
    "f1@0.25:y[...,1]": lambda r, v: f1(r[..., 1] > 0.25, v[..., 1] > 0.25),
}


@settings(max_examples=40, deadline=None)
@given(
    text=st.sampled_from(sorted(WHOLE)),
    frames=st.integers(2, 9),
    noise=st.sampled_from([0.01, 0.3, 3.0]),
    seed=st.integers(0, 99),
)
def test_a_stream_is_judged_as_a_whole(text: str, frames: int, noise: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    reference = generator.standard_normal((frames, 2, 7)).astype(np.float32)
    values = (reference + noise * generator.standard_normal(reference.shape)).astype(np.float32)
    budget = f"{text}>=20" if text == "sqnr" else f"{text}<=0.1"
    found = loss(budget, reference, values)
    assert found == pytest.approx(WHOLE[text](reference, values), rel=1e-6)
    assert found >= 0 and (text in ("relrmse", "rmse", "sqnr") or found <= 1)
    assert loss(budget, reference, reference) == 0


@pytest.mark.parametrize(("metric", "frames", "loss_"), [("decision@0", 2, 1 / 2), ("f1@0", 2, 1 / 3)])
def test_a_margin_leaves_out_what_fp32_is_unsure_of(metric: str, frames: int, loss_: float) -> None:
    reference = np.array([[[1, 0.01]], [[-1, -0.01]]], np.float32)
    values = np.array([[[1, -1]], [[1, 1]]], np.float32)
    spec = [TensorSpec("y", (1, 2), np.dtype(np.float32))]
    made = Judge(parse_budget(f"{metric}~0.1<=1", spec))
    for exact, value in zip(reference, values, strict=True):
        made.add({"y": exact}, {"y": value})
    assert [found for _, found in made.losses] == [loss_]


def test_rows_whose_best_two_are_close_may_be_left_out() -> None:
    reference = np.array([[[0, 1, 1.05, 0, 0, 0, 0], [0, 0, 3, 0, 0, 0, 0]]], np.float32)
    values = reference[..., ::-1].copy()
    assert loss("argmax<=1", reference, values) == 1
    assert loss("argmax~0.1<=1", reference, values) == 1
    assert loss("argmax~5<=1", reference, values) == 0
    values[0, 1] = reference[0, 1]
    assert loss("argmax~0.1<=1", reference, values) == 0
    assert loss("argmax<=1", reference, values) == 0.5


def test_no_number_is_a_loss() -> None:
    reference = np.random.default_rng(0).standard_normal((3, 2, 7)).astype(np.float32)
    broken = np.full_like(reference, np.nan)
    assert loss("relrmse<=1", reference, broken) == np.inf
    assert loss("rmse<=1", reference, broken) == np.inf
    assert loss("sqnr>=20", reference, broken) == np.inf
    assert loss("decision@0<=1", reference, broken) == 1
    assert loss("top5<=1", reference, broken) == 1
    assert loss("f1@0<=1", reference, broken) == 1


def test_a_reference_that_is_not_finite_names_frame_and_output() -> None:
    reference = np.zeros((3, 2, 7), np.float32)
    reference[2, 0, 0] = np.nan
    with pytest.raises(StreamError, match="frame 2: output y of the fp32 model is not finite"):
        judge("relrmse<=1", reference, reference)


def test_the_worst_bound_decides() -> None:
    reference = np.random.default_rng(0).standard_normal((30, 2, 7)).astype(np.float32)
    made = judge("decision@0<=0.5;relrmse<=0.2", reference, reference + np.float32(0.1))
    shares = [found / bound.limit for bound, found in made.losses]
    assert made.excess == max(shares) > 0
    assert judge("decision@0<=0", reference, reference).excess == 0
    assert judge("relrmse<=0", reference, reference + np.float32(0.1)).excess == np.inf
    assert made.frames == 30 and made.constant == []
    flat = judge("relrmse<=0.1", reference * 0 + 3, reference)
    assert (len(flat.constant), flat.silent) == (1, [])
    silent = judge("sqnr>=40", reference * 0, reference)
    assert (silent.silent, silent.excess) == (silent.constant, np.inf) and len(silent.silent) == 1


def test_no_decibel_is_lost_in_the_limit() -> None:
    reference = np.random.default_rng(0).standard_normal((30, 2, 7)).astype(np.float32)
    values = reference * np.float32(1 + 0.01)
    assert judge("sqnr>=40.1", reference, values).excess > 1 > judge("sqnr>=39.9", reference, values).excess
