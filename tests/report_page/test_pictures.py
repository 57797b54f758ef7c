"""What frames look like."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from reuse_compiler.frontend import TensorSpec
from reuse_compiler.report_page.pictures import FramePictures, Pictures, shown_input

FLOAT = np.dtype(np.float32)


def shown(shape: tuple[int, ...], frames: list[NDArray[np.float32]], *, sound: bool = False) -> Pictures:
    collected = FramePictures(TensorSpec("x", shape, FLOAT), sound=sound)
    for number, frame in enumerate(frames):
        collected.add(number, frame.reshape(shape))
    return collected.pictures()


def decoded(uri: str) -> NDArray[np.uint8]:
    kind, _, data = uri.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 3, 66, 200), (66, 200, 3)),
        ((1, 66, 200, 3), (66, 200, 3)),
        ((1, 1, 480, 640), (160, 213)),
        ((1, 3, 16, 112, 112), (112, 112, 3)),
        ((1, 2, 6, 6), (60, 60)),
        ((1, 100, 40), (40, 100)),
        ((100, 1, 40), (40, 100)),
        ((3, 64, 80), (64, 80, 3)),
    ],
)
def test_pictures_have_the_size_of_a_thumbnail(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    frame = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    found = shown(shape, [frame])
    assert found.kind == "pictures"
    assert decoded(found.uris[0]).shape == size
    assert (found.height, found.width) == size[:2]


def test_pixels_keep_their_scale_over_the_stream() -> None:
    dark, light = np.full((1, 3, 64, 64), 0.1, np.float32), np.full((1, 3, 64, 64), 0.9, np.float32)
    found = shown((1, 3, 64, 64), [dark, light])
    assert [round(float(decoded(uri).mean()) / 255, 1) for uri in found.uris] == [0.1, 0.9]
    assert "black 0, white 1" in found.caption


def test_a_long_stream_keeps_few_pictures() -> None:
    found = shown((1, 1, 8, 8), [np.full((1, 1, 8, 8), number, np.float32) for number in range(500)])
    assert found.every == 4
    assert len(found.uris) == 125


def test_features_are_columns_of_one_picture() -> None:
    found = shown((1, 10), [np.arange(10, dtype=np.float32) + number for number in range(30)])
    assert found.kind == "columns"
    image = decoded(found.uris[0])
    assert image.shape == (10, 30)
    assert image[0, 0] > image[-1, 0], "the first feature lies below"


def test_sound_is_shown_as_spectra() -> None:
    time = np.arange(512) / 512
    tone = np.sin(2 * np.pi * 64 * time).astype(np.float32)
    found = shown((1, 512), [tone] * 4, sound=True)
    column = decoded(found.uris[0])[:, 0]
    loudest = len(column) - 1 - int(column.argmax())
    assert loudest == pytest.approx(64 / 257 * len(column), abs=1)


def test_values_that_are_not_finite_are_shown_as_zeros() -> None:
    frame = np.full((1, 4), np.nan, np.float32)
    assert decoded(shown((1, 4), [frame]).uris[0]).max() == 0


def test_the_largest_input_that_is_not_fed_back_is_shown() -> None:
    specs = (
        TensorSpec("x", (1, 8), FLOAT),
        TensorSpec("h", (1, 128), FLOAT),
        TensorSpec("s", (1, 99), np.dtype(object)),
    )
    chosen = shown_input(specs, {"h": "hn"})
    assert chosen is not None
    assert chosen.name == "x"
    assert shown_input(specs[2:], {}) is None
