from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.streams.resize import Filter, resize

OPENCV: dict[Filter, int] = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "bicubic": cv2.INTER_CUBIC,
}
side = st.integers(1, 40)


def _noise(rows: int, columns: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(rows * 100 + columns).integers(0, 256, (rows, columns, channels), np.uint8)


@pytest.mark.parametrize("method", ["bilinear", "area", "bicubic"])
@settings(deadline=None)
@given(rows=side, columns=side, height=side, width=side)
def test_equals_opencv_within_one_level(method: Filter, rows: int, columns: int, height: int, width: int) -> None:
    if method == "area":  # OpenCV has another rule where an axis grows
        rows, height = max(rows, height), min(rows, height)
        columns, width = max(columns, width), min(columns, width)
    picture = _noise(rows, columns)
    theirs = cv2.resize(picture, (width, height), interpolation=OPENCV[method])
    ours = resize(picture, width, height, method)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@settings(deadline=None)
@given(source=side, target=side)
def test_nearest_equals_opencv_where_no_edge_is_met(source: int, target: int) -> None:
    picture = np.arange(source, dtype=np.uint8)[None, :, None]
    theirs = cv2.resize(picture, (target, 1), interpolation=cv2.INTER_NEAREST).ravel()
    ours = resize(picture, target, 1, "nearest").ravel()
    on_edge = np.arange(target) * source % target == 0  # there OpenCV's float64 may fall below a whole number
    np.testing.assert_array_equal(ours[~on_edge], theirs[~on_edge])
    np.testing.assert_array_equal(ours, np.arange(target) * source // target)


@pytest.mark.parametrize("method", OPENCV)
@settings(deadline=None)
@given(rows=side, columns=side, height=side, width=side, value=st.integers(0, 255))
def test_a_plain_picture_stays_plain(
    method: Filter, rows: int, columns: int, height: int, width: int, value: int
) -> None:
    picture = np.full((rows, columns, 2), value, np.uint8)
    np.testing.assert_array_equal(resize(picture, width, height, method), np.full((height, width, 2), value, np.uint8))


@pytest.mark.parametrize("method", OPENCV)
def test_own_size_changes_nothing(method: Filter) -> None:
    picture = _noise(7, 9)
    np.testing.assert_array_equal(resize(picture, 9, 7, method), picture)


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    picture = np.array([[0, 100, 200]], np.uint8)[:, :, None]
    # two targets of 1.5 pixels: (0 + 100/2) / 1.5 and (100/2 + 200) / 1.5
    assert resize(picture, 2, 1, "area").ravel().tolist() == [33, 167]


def test_bilinear_does_not_smooth_when_it_shrinks() -> None:
    picture = np.zeros((1, 9, 1), np.uint8)
    picture[0, ::3] = 255  # the middles of the three targets are pixels 1, 4 and 7
    assert not resize(picture, 3, 1, "bilinear").any()
    assert resize(picture, 3, 1, "area").ravel().tolist() == [85, 85, 85]
