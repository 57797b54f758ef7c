"""What frames look like: thumbnails of pictures, or a picture of the whole stream with a column a frame.

An input of four axes or more is a picture, or a clip of which the middle picture is shown. Of fewer axes those of 1 do not
count: three are a picture, two a map of features over time, one a column. Sound files are shown as spectra of their
frames.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reuse_compiler.frontend import TensorSpec
from reuse_compiler.report_page.thinning import Kept

__all__ = ["FramePictures", "Pictures", "shown_input"]

Kind = Literal["pictures", "columns"]

_MOST_THUMBNAILS, _MOST_COLUMNS = 200, 800
_LARGEST_SIDE, _SMALLEST_SIDE, _MOST_ROWS = 224, 64, 96
_QUALITY = 72
_LOUDEST_DB = 80.0


@dataclass(frozen=True)
class Pictures:
    """What the page shows of the frames of a stream.

    Parameters
    ----------
    kind : {"pictures", "columns"}
        Thumbnails; or one picture, time going right.
    input : str
        The input that is shown.
    every : int
        Item k is frame ``k * every``.
    width, height : int
        Of a thumbnail; of columns, their number and height.
    uris : list of str
        ``data:`` addresses of the thumbnails, or of the one picture.
    caption : str
        What is seen.
    """

    kind: Kind
    input: str
    every: int
    width: int
    height: int
    uris: list[str]
    caption: str


def shown_input(specs: tuple[TensorSpec, ...], state: dict[str, str]) -> TensorSpec | None:
    """The largest input of numbers that is not fed back; None where there is none."""
    given = [spec for spec in specs if spec.name not in state and spec.dtype.kind in "fiub" and np.prod(spec.shape) > 0]
    return max(given, key=lambda spec: int(np.prod(spec.shape)), default=None)


class FramePictures:
    """Collects what is shown of each frame of input `spec`; `sound` says that its frames are sound samples."""

    def __init__(self, spec: TensorSpec, *, sound: bool) -> None:
        self._spec, self._sound = spec, sound
        self.kind: Kind = "columns" if sound or sum(size > 1 for size in spec.shape) < 2 else "pictures"
        most = _MOST_COLUMNS if self.kind == "columns" else _MOST_THUMBNAILS
        self._kept: Kept[NDArray[np.float32]] = Kept(most)

    def add(self, number: int, frame: NDArray[Any]) -> None:
        """Show frame `number`, which is of the input's shape; frames come in order."""
        if self._kept.wants(number):
            values = np.nan_to_num(frame.astype(np.float32), posinf=0.0, neginf=0.0)
            if self.kind == "columns":
                self._kept.add(_spectrum(values) if self._sound else _rows(values.reshape(-1)))
            else:
                self._kept.add(_small(_picture(values)))

    def pictures(self) -> Pictures:
        """What was collected, in one scale over all frames."""
        kept, name = self._kept.items, self._spec.name
        if self.kind == "columns":
            image = np.stack(kept, axis=1)[::-1]
            low, high = (float(end) for end in np.percentile(image, (1, 99)))
            caption = (
                f"Spectrum of each frame, low frequencies below, {low:.0f} to {high:.0f} dB"
                if self._sound
                else _column_caption(self._spec, low, high)
            )
            uri = _uri(_levels(image, low, high), "PNG")
            return Pictures("columns", name, self._kept.every, image.shape[1], image.shape[0], [uri], caption)
        low, high = _range(kept)
        uris = [_uri(_levels(image, low, high), "JPEG") for image in kept]
        height, width = kept[0].shape[:2]
        caption = f"{name} {list(self._spec.shape)}, black {low:.4g}, white {high:.4g}"
        return Pictures("pictures", name, self._kept.every, width, height, uris, caption)


def _column_caption(spec: TensorSpec, low: float, high: float) -> str:
    return f"{spec.name}: a column a frame, its {int(np.prod(spec.shape))} values from below; black {low:.4g}, white {high:.4g}"


def _range(items: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Black and white: the ends of the values, or those of pixels where all lie between them."""
    low, high = min(float(item.min()) for item in items), max(float(item.max()) for item in items)
    for pixel_low, pixel_high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        if pixel_low <= low and high <= pixel_high and high - low > 0.4 * (pixel_high - pixel_low):
            return pixel_low, pixel_high
    return low, high


def _levels(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    scaled = (image - low) * (255.0 / (high - low) if high > low else 0.0)
    levels: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return levels


def _uri(pixels: NDArray[np.uint8], form: Literal["PNG", "JPEG"]) -> str:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, form, quality=_QUALITY, optimize=True)
    return f"data:image/{form.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"


def _picture(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """[rows, columns] or [rows, columns, 3]"""
    whole = frame.ndim > 3  # with a batch and channels, which may be 1
    shown: NDArray[Any] = frame.reshape(frame.shape[1:] if whole else [size for size in frame.shape if size > 1])
    while shown.ndim > 3:  # a clip: [channels, time, rows, columns]
        shown = shown[:, shown.shape[1] // 2]
    if shown.ndim == 2:
        return shown.T[::-1]  # features over time
    if shown.shape[0] in (1, 3):
        shown = shown.transpose(1, 2, 0)
    elif shown.shape[2] not in (1, 3):
        shown = shown.mean(axis=0)[:, :, None]
    return shown if shown.shape[2] == 3 else shown[:, :, 0]


def _small(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture within the size of a thumbnail: cells averaged, or pixels repeated."""
    longest = max(picture.shape[:2])
    if longest < _SMALLEST_SIDE:
        times = _SMALLEST_SIDE // longest
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    cell = -(-longest // _LARGEST_SIDE)
    rows, columns = (max(size // cell, 1) for size in picture.shape[:2])
    tall, wide = min(cell, picture.shape[0]), min(cell, picture.shape[1])
    cut = picture[: rows * tall, : columns * wide]
    means: NDArray[np.float32] = cut.reshape(rows, tall, columns, wide, *cut.shape[2:]).mean(axis=(1, 3))
    return means


def _rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most so many values as a column has rows: means of neighbours."""
    if values.size <= _MOST_ROWS:
        return values
    edges = np.arange(_MOST_ROWS) * values.size // _MOST_ROWS
    sizes = np.diff(np.append(edges, values.size))
    return np.asarray(np.add.reduceat(values, edges) / sizes, np.float32)


def _spectrum(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Level of each frequency band in dB, 0 at full scale, of all channels together; at least -80."""
    channels = samples.reshape(-1, max(samples.shape))
    window = np.hanning(channels.shape[1]).astype(np.float32)
    full_scale = max(float(window.sum()) / 2, 1e-9) ** 2
    power: NDArray[np.float32] = (np.abs(np.fft.rfft(channels * window, axis=1)) ** 2).mean(axis=0).astype(np.float32)
    quietest = np.float32(10 ** (-_LOUDEST_DB / 10))
    levels = np.float32(10) * np.log10(np.maximum(_rows(power) / np.float32(full_scale), quietest))
    return np.asarray(levels, np.float32)
