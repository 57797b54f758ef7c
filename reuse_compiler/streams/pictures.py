"""From a decoded picture to a model's input: crop, colour order, resize, scale, mean, layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams.preprocess import PictureSettings
from reuse_compiler.streams.resize import Filter, Picture, resize

__all__ = ["PictureTransform", "picture_transform"]

Layout = Literal["nchw", "nhwc"]


@dataclass(frozen=True)
class PictureTransform:
    """What is done to every picture for the input `input`.

    `values` [channels, 256] holds, per output channel, what becomes of each pixel value; it is computed in float64 and
    kept in the input's type. `order` says which channel of an RGB picture each output channel takes.
    """

    input: str
    width: int
    height: int
    resize: Filter
    crop: Literal["center"] | tuple[int, int, int, int] | None
    order: Literal["rgb", "bgr", "gray"]
    values: NDArray[Any]
    layout: Layout
    description: str

    def apply(self, picture: NDArray[Any], where: str) -> NDArray[Any]:
        """The input's array, batch axis included, of one `picture`: uint8 [rows, columns] or [rows, columns, 1 or 3] RGB.

        Raises StreamError, which begins with `where`, if it is no such array or the crop lies outside.
        """
        pixels = self._cut(_as_picture(picture, where), where)
        pixels = _in_order(pixels, self.order)
        pixels = resize(pixels, self.width, self.height, self.resize)
        planes = [values.take(pixels[:, :, channel]) for channel, values in enumerate(self.values)]
        return np.stack(planes, axis=0 if self.layout == "nchw" else -1)[None]

    def _cut(self, picture: Picture, where: str) -> Picture:
        rows, columns = picture.shape[:2]
        if self.crop is None:
            return picture
        if self.crop == "center":
            width = min(columns, max(1, round(rows * self.width / self.height)))
            height = min(rows, max(1, round(columns * self.height / self.width)))
            x, y = (columns - width) // 2, (rows - height) // 2
        else:
            x, y, width, height = self.crop
        if x + width > columns or y + height > rows:
            raise StreamError(
                f"{where}: crop [{x}, {y}, {width}, {height}] reaches outside the picture of {columns}x{rows}:"
                " choose it inside"
            )
        return picture[y : y + height, x : x + width]


def picture_transform(settings: PictureSettings, spec: TensorSpec, where: str) -> PictureTransform:
    """Settle the settings against the input `spec`: what is left open follows from its shape.

    Raises StreamError, which begins with `where`, if `spec` cannot take a picture or contradicts the settings.
    """
    channels, height, width, layout = _read_shape(spec, settings.layout, where)
    if settings.size not in (None, (width, height)):
        raise StreamError(
            f"{where}: picture.size is {list(settings.size or ())}, but input {spec.name} {list(spec.shape)} takes"
            f" [{width}, {height}]: leave size out"
        )
    order = settings.order or ("gray" if channels == 1 else "rgb")
    if (order == "gray") != (channels == 1):
        raise StreamError(f"{where}: picture.order {order} does not give the {channels} channels of input {spec.name}")
    return PictureTransform(
        input=spec.name,
        width=width,
        height=height,
        resize=settings.resize,
        crop=settings.crop,
        order=order,
        values=_value_table(settings, spec, channels, where),
        layout=layout,
        description=_describe(settings, spec, width, height, order, layout),
    )


def _describe(settings: PictureSettings, spec: TensorSpec, width: int, height: int, order: str, layout: str) -> str:
    cut = "whole picture" if settings.crop is None else f"crop {settings.crop}"
    scale = _scale(settings, spec)
    value = f"pixel {'/ 255' if scale == 1 / 255 else f'* {scale:g}'}"
    if settings.mean != 0 or settings.std != 1:
        value = f"({value} - {settings.mean}) / {settings.std}"
    return f"{cut}, {settings.resize} to {width}x{height}, {order}, {value}, {layout}, as input {spec.name}"


def _read_shape(spec: TensorSpec, layout: Layout | None, where: str) -> tuple[int, int, int, Layout]:
    """Channels, height, width and layout of an input [1, channels, height, width] or [1, height, width, channels]."""
    shape = spec.shape
    if len(shape) == 4 and shape[0] == 1:
        if layout != "nhwc" and shape[1] in (1, 3):
            return shape[1], shape[2], shape[3], "nchw"
        if layout != "nchw" and shape[3] in (1, 3):
            return shape[3], shape[1], shape[2], "nhwc"
    wanted = {"nchw": "[1, 1 or 3, height, width]", "nhwc": "[1, height, width, 1 or 3]"}
    raise StreamError(
        f"{where}: input {spec.name} {list(shape)} takes no picture: it would be"
        f" {wanted[layout] if layout else ' or '.join(wanted.values())}: give a .npz or a function"
    )


def _scale(settings: PictureSettings, spec: TensorSpec) -> float:
    if settings.scale is not None:
        return settings.scale
    return 1 / 255 if spec.dtype.kind == "f" else 1.0


def _value_table(settings: PictureSettings, spec: TensorSpec, channels: int, where: str) -> NDArray[Any]:
    mean = _per_channel(settings.mean, "mean", channels, where)
    std = _per_channel(settings.std, "std", channels, where)
    if not std.all():
        raise StreamError(f"{where}: picture.std is {settings.std}: give values other than 0")
    table = (np.arange(256) * _scale(settings, spec) - mean) / std
    if spec.dtype.kind in "iu":
        bounds = np.iinfo(spec.dtype)
        table = np.clip(np.rint(table), bounds.min, bounds.max)
    return table.astype(spec.dtype)


def _per_channel(value: float | list[float], key: str, channels: int, where: str) -> NDArray[np.float64]:
    """[channels, 1]"""
    values = np.atleast_1d(np.asarray(value, np.float64))
    if values.size not in (1, channels):
        raise StreamError(
            f"{where}: picture.{key} has {values.size} values for {channels} channels: give 1 or {channels}"
        )
    return np.broadcast_to(values, channels)[:, None]


def _as_picture(picture: NDArray[Any], where: str) -> Picture:
    """[rows, columns, 1 or 3]"""
    pixels = picture[:, :, None] if picture.ndim == 2 else picture
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise StreamError(
            f"{where}: {picture.dtype} {list(picture.shape)} is not a picture: give uint8 [rows, columns, 3] in RGB"
            " or [rows, columns]"
        )
    return pixels


def _in_order(picture: Picture, order: str) -> Picture:
    """Its channels as the model takes them; a picture of one channel has it three times where colours are asked for."""
    if order != "gray":
        rgb = picture if picture.shape[2] == 3 else picture.repeat(3, axis=2)
        return rgb if order == "rgb" else rgb[:, :, ::-1]
    if picture.shape[2] == 1:
        return picture
    red, green, blue = (picture[:, :, channel].astype(np.int32) for channel in range(3))
    luma = (9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15  # 0.299, 0.587, 0.114 in 15 bits, as OpenCV
    return luma.astype(np.uint8)[:, :, None]
