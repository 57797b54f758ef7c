"""A dearer loss never buys a wider window."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.search.allocation import Sensitivity, allocate, measure_sensitivity, savings
from reuse_compiler.search.candidate import Window
from tests.small_search import Parts

LIKE = Window(0.0, 0.7, 0.5)
CURVES = st.lists(st.integers(0, 50), min_size=12, max_size=12).map(sorted)


@given(saved=st.tuples(CURVES, CURVES), errors=st.tuples(CURVES, CURVES), prices=st.tuples(*[st.integers(0, 9)] * 2))
def test_a_dearer_loss_never_buys_wider(
    saved: tuple[list[int], ...], errors: tuple[list[int], ...], prices: tuple[int, int]
) -> None:
    widths = np.tile(2.0 ** np.arange(12), (2, 1))
    sensitivity = Sensitivity(["a", "b"], widths, np.array(errors, float))
    cheap, dear = (allocate(sensitivity, np.array(saved, float), price, LIKE) for price in sorted(prices))
    for tensor in ("a", "b"):
        assert dear[tensor].width <= cheap[tensor].width
        assert (dear[tensor].ratio, dear[tensor].spread) == (LIKE.ratio, LIKE.spread)


def test_of_equals_the_smallest_width_is_taken() -> None:
    sensitivity = Sensitivity(["a"], np.array([[1.0, 2.0, 4.0]]), np.array([[0.0, 1.0, 2.0]]))
    assert allocate(sensitivity, np.array([[1.0, 2.0, 3.0]]), 1.0, LIKE)["a"].width == 1.0
    assert allocate(sensitivity, np.array([[1.0, 1.0, 1.0]]), 0.0, LIKE)["a"].width == 1.0


def test_wider_windows_lose_and_save_more(parts: Parts) -> None:
    peaks = {tensor: high for tensor, (_, high) in parts.calibration.ranges.items()}
    sensitivity = measure_sensitivity(parts.calibration, peaks, parts.shapes)
    assert sensitivity.tensors == list(peaks)
    assert (np.diff(sensitivity.widths, axis=1) > 0).all()
    assert (sensitivity.errors >= 0).all()
    assert (sensitivity.errors[:, -1] > 10 * sensitivity.errors[:, 0]).all()
    worth = {site.node: 1 / len(parts.profile.sites) for site in parts.profile.sites}
    saved = savings(parts.profile, worth, sensitivity, 1.4)
    assert (np.diff(saved, axis=1) >= -1e-9).all()
    assert (saved >= 0).all() and saved.sum(axis=0).max() <= 1 + 1e-9
    assert (savings(parts.profile, worth, sensitivity, 0.7) == savings(parts.profile, worth, sensitivity, 2.0)).all()
