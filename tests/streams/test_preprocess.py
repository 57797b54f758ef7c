from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import open_stream
from reuse_compiler.streams.preprocess import PictureSettings, Preprocess, SoundSettings, read_preprocess

Write = Callable[[str], Path]
IMAGE = TensorSpec("image", (1, 3, 2, 2), np.dtype("float32"))
SPEED = TensorSpec("speed", (1, 1), np.dtype("float32"))
PICTURE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def test_every_key_is_read(preprocess: Write) -> None:
    path = preprocess(
        '[picture]\ninput = "image"\ncrop = [0, 1, 2, 3]\nsize = [4, 5]\nresize = "bicubic"\norder = "bgr"\n'
        'scale = "1/4"\nmean = [1, "1/2", 2.5]\nstd = 2\nlayout = "nhwc"\n'
    )
    assert read_preprocess(path) == Preprocess(
        picture=PictureSettings(
            input="image",
            crop=(0, 1, 2, 3),
            size=(4, 5),
            resize="bicubic",
            order="bgr",
            scale=0.25,
            mean=[1.0, 0.5, 2.5],
            std=2.0,
            layout="nhwc",
        )
    )
    path = preprocess('[sound]\ninput = "x"\nframe = 5\ncontext = 4\nhop = 3\nrate = 2\nlayout = "nct"\n')
    sound = SoundSettings(input="x", frame=5, context=4, hop=3, rate=2, layout="nct")
    assert read_preprocess(path) == Preprocess(sound=sound)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[picture", "not TOML: "),
        ("", r"give one table, \[picture\] or \[sound\]"),
        ("[picture]\n[sound]\n", "give one table"),
        ("[pictures]\n", "pictures: Extra inputs are not permitted"),
        ("[picture]\nsharpen = 1\n", r"picture\.sharpen: Extra inputs"),
        ('[picture]\nresize = "lanczos"\n', r"picture\.resize: Input should be 'nearest', 'bilinear'"),
        ('[picture]\nscale = "a lot"\n', r"picture\.scale.*'a lot' is neither a number nor a fraction"),
        ('[picture]\nscale = "1/0"\n', r"picture\.scale.*'1/0' is neither a number"),
        ("[picture]\nscale = nan\n", r"picture\.scale.*finite"),
        ("[picture]\nsize = [0, 3]\n", r"picture\.size\.0: .*greater than 0"),
        ("[sound]\nhop = 0\n", r"sound\.hop: .*greater than 0"),
        ("[sound]\ncontext = -1\n", r"sound\.context: .*greater than or equal to 0"),
    ],
)
def test_mistakes_name_file_and_key(preprocess: Write, text: str, said: str) -> None:
    with pytest.raises(StreamError, match=rf"preprocess\.toml: {said}") as caught:
        read_preprocess(preprocess(text))
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"gone\.toml: no such file"):
        read_preprocess(tmp_path / "gone.toml")


def test_pictures_from_python_and_npz_are_prepared_and_other_inputs_left(preprocess: Write, tmp_path: Path) -> None:
    settings = preprocess('[picture]\ninput = "image"\nscale = 2\n')
    np.savez(tmp_path / "s.npz", image=PICTURE[None], speed=np.ones((1, 1), np.float32))
    for source in ([{"image": PICTURE, "speed": np.ones(1, np.float32)}], tmp_path / "s.npz"):
        (frame,) = open_stream(source, [IMAGE, SPEED], preprocess=settings)
        np.testing.assert_array_equal(frame.inputs["image"][0], 2 * PICTURE.transpose(2, 0, 1))
        assert frame.inputs["speed"].tolist() == [[1.0]]


def test_input_is_chosen_where_there_are_several(preprocess: Write) -> None:
    with pytest.raises(
        StreamError, match=r"the model takes image, speed: choose with input = '\.\.' under \[picture\]"
    ):
        open_stream([{}], [IMAGE, SPEED], preprocess=preprocess("[picture]\n"))
    with pytest.raises(StreamError, match="the model has no input photo: it takes image, speed"):
        open_stream([{}], [IMAGE, SPEED], preprocess=preprocess('[picture]\ninput = "photo"\n'))


def test_sound_settings_are_for_sound_files(preprocess: Write) -> None:
    with pytest.raises(StreamError, match=r"\[sound\] is for sound files"):
        open_stream([{}], [IMAGE], preprocess=preprocess("[sound]\n"))
