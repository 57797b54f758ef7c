"""The `--preprocess` file: a TOML with one table, `[picture]` or `[sound]`; every key may be left out.

::

    [picture]                    # pictures, videos, and uint8 pictures from a .npz or a function
    input  = "image"             # which input; needed where the model takes several
    crop   = "center"            # or [x, y, width, height] in source pixels, taken before all else; default: nothing is cut.
                                 # "center" is the largest centred part with the target's proportions
    size   = [320, 240]          # width, height; default, and only possible value: what the model's input shape says
    resize = "area"              # nearest | bilinear | area | bicubic, as reuse_compiler.streams.resize says; default area
    order  = "rgb"               # rgb | bgr | gray; default: gray for an input of one channel, else rgb.
                                 # gray = 0.299 R + 0.587 G + 0.114 B, before resizing, rounded to 8 bits
    scale  = "1/255"             # value = (pixel * scale - mean) / std, pixel 0..255, computed in float64;
    mean   = [0.5, 0.5, 0.5]     # scale, mean and std are numbers or fractions; mean and std one, or one per channel in
    std    = 0.5                 # `order`. Defaults 1/255 (1 where the model takes integers), 0, 1
    layout = "nchw"              # nchw | nhwc; default: what the model's input shape says

    [sound]                      # sound files; samples are float32 in [-1, 1)
    input   = "samples"          # which input; needed where the model takes several
    frame   = 512                # new samples of a frame; default: the input's length less context
    context = 64                 # samples before these that go in front; zeros before the file begins; default 0
    hop     = 512                # samples from one frame to the next; default: frame
    rate    = 16000              # Hz; checked against the file's
    layout  = "nt"               # nt [1, samples] | nct [1, channels, samples] | ntc [1, samples, channels];
                                 # default: what the model's input shape says
"""

from __future__ import annotations

import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, PositiveInt, ValidationError

from reuse_compiler.errors import StreamError
from reuse_compiler.files import read_text
from reuse_compiler.streams.resize import Filter

__all__ = ["PictureSettings", "Preprocess", "SoundSettings", "read_preprocess"]


def _fraction(value: object) -> object:
    """ "1/255" as a number; anything else as it is."""
    try:
        return float(Fraction(value)) if isinstance(value, str) else value
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{value!r} is neither a number nor a fraction such as '1/255'") from error


Number = Annotated[FiniteFloat, BeforeValidator(_fraction)]
NotNegative = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PictureSettings(_Strict):
    """The table `[picture]`; None stands for the default that the model's input shape gives."""

    input: str | None = None
    crop: Literal["center"] | tuple[NotNegative, NotNegative, PositiveInt, PositiveInt] | None = None
    size: tuple[PositiveInt, PositiveInt] | None = None
    resize: Filter = "area"
    order: Literal["rgb", "bgr", "gray"] | None = None
    scale: Number | None = None
    mean: Number | list[Number] = 0.0
    std: Number | list[Number] = 1.0
    layout: Literal["nchw", "nhwc"] | None = None


class SoundSettings(_Strict):
    """The table `[sound]`; None stands for the default that the model's input shape gives."""

    input: str | None = None
    frame: PositiveInt | None = None
    context: NotNegative = 0
    hop: PositiveInt | None = None
    rate: PositiveInt | None = None
    layout: Literal["nt", "nct", "ntc"] | None = None


class Preprocess(_Strict):
    """A whole file: one table."""

    picture: PictureSettings | None = None
    sound: SoundSettings | None = None


def read_preprocess(path: Path) -> Preprocess:
    """Read a `--preprocess` file. Raises StreamError naming the key where it is not one."""
    if not path.is_file():
        raise StreamError(f"{path}: no such file")
    try:
        settings = Preprocess.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise StreamError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise StreamError(f"{path}: {where}: {first['msg']}") from error
    if (settings.picture is None) == (settings.sound is None):
        raise StreamError(f"{path}: give one table, [picture] or [sound]")
    return settings
