from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams.pictures import PictureTransform, picture_transform
from reuse_compiler.streams.preprocess import PictureSettings

F32 = np.dtype("float32")
RGB = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)


def _transform(shape: tuple[int, ...], dtype: Any = F32, **settings: Any) -> PictureTransform:
    return picture_transform(PictureSettings(**settings), TensorSpec("image", shape, np.dtype(dtype)), "p.toml")


def _apply(shape: tuple[int, ...], picture: np.ndarray = RGB, dtype: Any = F32, **settings: Any) -> np.ndarray:
    return _transform(shape, dtype, **settings).apply(picture, "frame 0")


def test_default_is_rgb_over_255_in_the_models_layout() -> None:
    expected = (RGB / 255).astype(np.float32)
    np.testing.assert_array_equal(_apply((1, 3, 6, 8)), expected.transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(_apply((1, 6, 8, 3)), expected[None])


def test_default_says_what_it_does() -> None:
    said = _transform((1, 3, 66, 200)).description
    assert said == "whole picture, area to 200x66, rgb, pixel / 255, nchw, as input image"
    said = _transform((1, 2, 4, 3), scale=1, mean=127, std=[1, 2, 3], crop="center", resize="bilinear").description
    assert said == "crop center, bilinear to 4x2, rgb, (pixel * 1 - 127.0) / [1.0, 2.0, 3.0], nhwc, as input image"


def test_values_follow_the_formula_per_channel() -> None:
    got = _apply((1, 6, 8, 3), order="bgr", scale=0.5, mean=[1, 2, 3], std=[2, 4, 8])
    expected = (RGB[:, :, ::-1] * 0.5 - np.array([1, 2, 3])) / np.array([2, 4, 8])
    np.testing.assert_array_equal(got[0], expected.astype(np.float32))


def test_gray_is_opencvs() -> None:
    got = _apply((1, 1, 6, 8), scale=1)
    np.testing.assert_array_equal(got[0, 0], cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY))


def test_a_gray_picture_fills_three_channels_and_one() -> None:
    gray = RGB[:, :, 0]
    for shape, channels in [((1, 3, 6, 8), 3), ((1, 1, 6, 8), 1)]:
        got = _apply(shape, gray, scale=1)
        np.testing.assert_array_equal(got[0], np.stack([gray] * channels))


def test_crop_cuts_source_pixels_before_resizing() -> None:
    got = _apply((1, 2, 3, 3), crop=(4, 1, 3, 2), scale=1)
    np.testing.assert_array_equal(got[0], RGB[1:3, 4:7])


def test_center_crop_keeps_the_targets_proportions() -> None:
    square = _apply((1, 6, 6, 3), crop="center", scale=1)
    np.testing.assert_array_equal(square[0], RGB[:, 1:7])
    wide = _apply((1, 2, 8, 3), crop="center", scale=1)
    np.testing.assert_array_equal(wide[0], RGB[2:4])


def test_integer_inputs_get_the_pixels_themselves() -> None:
    got = _apply((1, 6, 8, 3), dtype=np.uint8)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got[0], RGB)
    signed = _apply((1, 6, 8, 3), dtype=np.int8, mean=128)
    np.testing.assert_array_equal(signed[0], RGB.astype(int) - 128)
    clipped = _apply((1, 6, 8, 3), dtype=np.int8)
    np.testing.assert_array_equal(clipped[0], np.minimum(RGB, 127))


def test_layout_settles_what_the_shape_leaves_open() -> None:
    cube = RGB[:3, :3]
    np.testing.assert_array_equal(_apply((1, 3, 3, 3), cube, scale=1, layout="nhwc")[0], cube)
    np.testing.assert_array_equal(_apply((1, 3, 3, 3), cube, scale=1)[0], cube.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("shape", "settings", "said"),
    [
        ((1, 250), {}, r"input image \[1, 250\] takes no picture"),
        ((1, 4, 6, 8), {}, "takes no picture"),
        ((2, 3, 6, 8), {}, "takes no picture"),
        ((1, 3, 6, 8), {"layout": "nhwc"}, r"takes no picture: it would be \[1, height, width, 1 or 3\]"),
        ((1, 3, 6, 8), {"size": (6, 8)}, r"picture\.size is \[6, 8\], but input image \[1, 3, 6, 8\] takes \[8, 6\]"),
        ((1, 3, 6, 8), {"order": "gray"}, "order gray does not give the 3 channels"),
        ((1, 1, 6, 8), {"order": "rgb"}, "order rgb does not give the 1 channels"),
        ((1, 3, 6, 8), {"mean": [1, 2]}, r"picture\.mean has 2 values for 3 channels"),
        ((1, 3, 6, 8), {"std": [1, 0, 1]}, r"picture\.std is .* give values other than 0"),
    ],
)
def test_settings_that_do_not_fit_the_model(shape: tuple[int, ...], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StreamError, match=f"^p.toml: .*{said}"):
        _transform(shape, **settings)


def test_crop_outside_the_picture_says_both() -> None:
    with pytest.raises(StreamError, match=r"frame 0: crop \[6, 0, 3, 2\] reaches outside the picture of 8x6"):
        _apply((1, 3, 6, 8), crop=(6, 0, 3, 2))


@pytest.mark.parametrize("picture", [RGB.astype(np.float32), RGB[:, :, :2], RGB[None], RGB[:0], RGB[0, 0]])
def test_arrays_that_are_no_picture(picture: np.ndarray) -> None:
    with pytest.raises(StreamError, match=r"frame 0: .* is not a picture: give uint8"):
        _apply((1, 3, 6, 8), picture)
