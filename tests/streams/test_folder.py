from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import open_stream
from reuse_compiler.streams.folder import natural_order

IMAGE = TensorSpec("image", (1, 3, 4, 6), np.dtype("float32"))


def _save(path: Path, value: int, mode: str = "RGB") -> None:
    picture = Image.new("RGB", (12, 8), (value, 2 * value, 3 * value))
    picture.convert(mode, palette=Image.Palette.ADAPTIVE).save(path)


def test_pictures_come_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        _save(tmp_path / f"frame{number}.png", number)
    (tmp_path / "notes.txt").write_text("no picture")
    stream = open_stream(tmp_path, [IMAGE])
    assert stream.frames == 3
    assert "3 pictures, 1 other files left out" in stream.description
    assert "area to 6x4, rgb" in stream.description
    for _ in range(2):
        seen = [np.round(frame.inputs["image"][0, :, 0, 0] * 255).tolist() for frame in stream]
        assert seen == [[1, 2, 3], [2, 4, 6], [10, 20, 30]]
    cut = open_stream(str(tmp_path), [IMAGE], frames="1:2")
    assert [round(float(frame.inputs["image"][0, 0, 0, 0]) * 255) for frame in cut] == [2]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), unique=True))
def test_numbers_in_names_are_read_as_numbers(pairs: list[tuple[int, int]]) -> None:
    names = [Path(f"clip{a}-f{b}.png") for a, b in pairs]
    assert sorted(names, key=natural_order) == [Path(f"clip{a}-f{b}.png") for a, b in sorted(pairs)]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_other_eight_bit_modes_are_read_as_rgb(tmp_path: Path, mode: str) -> None:
    _save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), 0 if mode == "1" else 60, mode)
    (frame,) = open_stream(tmp_path, [IMAGE])
    expected = {"L": [109] * 3, "1": [0] * 3}.get(mode, [60, 120, 180])
    np.testing.assert_allclose(frame.inputs["image"][0, :, 0, 0] * 255, expected, atol=1.01)


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 6))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    (frame,) = open_stream(tmp_path, [IMAGE])
    assert np.argwhere(frame.inputs["image"][0, 0]).tolist() == [[0, 5]]


def test_deep_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(StreamError, match=r"a\.png: pixels of more than 8 bits"):
        list(open_stream(tmp_path, [IMAGE]))


def test_damaged_pictures_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for damaged in (b"no picture", whole[:2000]):
        (tmp_path / "a.png").write_bytes(damaged)
        with pytest.raises(StreamError, match=r"a\.png: cannot read the picture") as caught:
            list(open_stream(tmp_path, [IMAGE]))
        assert "\n" not in str(caught.value)


def test_folder_without_pictures_and_a_picture_without_folder(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="holds no picture"):
        open_stream(tmp_path, [IMAGE])
    _save(tmp_path / "a.png", 1)
    with pytest.raises(StreamError, match="one picture is no stream: give the folder"):
        open_stream(tmp_path / "a.png", [IMAGE])


def test_model_that_takes_more_than_the_picture(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", 1)
    state = TensorSpec("h", (1, 2), np.dtype("float32"))
    with pytest.raises(StreamError, match="the model takes h, image: choose with input"):
        open_stream(tmp_path, [IMAGE, state])
    assert list(next(iter(open_stream(tmp_path, [IMAGE, state], state={"h": "hn"}))).inputs) == ["image"]
