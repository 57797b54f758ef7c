"""The estimate of rounding drift: silent on an even stream, loud after hours and after a collapse."""

from __future__ import annotations

import numpy as np

from reuse_compiler.drift import Drift

EVEN = [np.array([1.0, -2.0], np.float32), np.array([[0.5]], np.float32)]


def test_an_even_stream_needs_a_refresh_every_ten_thousand_frames() -> None:
    drift = Drift(2)
    due = []
    for number in range(30_000):
        if drift.too_large(EVEN):
            due.append(number)
            drift.refreshed(EVEN)
    assert due[0] > 5_000
    assert len(due) in (2, 3)


def test_a_collapse_of_any_output_needs_one_at_once() -> None:
    drift = Drift(2)
    assert not drift.too_large(EVEN)
    assert not drift.too_large([EVEN[0] / 50, EVEN[1]])
    assert drift.too_large([EVEN[0], EVEN[1] / 1000])
    drift.refreshed([EVEN[0], EVEN[1] / 1000])
    assert not drift.too_large([EVEN[0], EVEN[1] / 1000])
    assert drift.too_large([EVEN[0] * 0, EVEN[1]])


def test_zeros_from_the_start_need_none() -> None:
    drift = Drift(2)
    assert not drift.too_large([EVEN[0] * 0, EVEN[1] * 0])
    drift.too_large(EVEN)
    drift.reset()
    assert not drift.too_large([EVEN[0] * 0, EVEN[1] * 0])
