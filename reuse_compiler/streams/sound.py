"""A sound file as a stream: overlapping or adjoining stretches of samples, read as they are needed (extra `sound`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams.preprocess import SoundSettings
from reuse_compiler.streams.source import Sample, import_extra

__all__ = ["SUFFIXES", "SoundSource", "open_sound"]

SUFFIXES = frozenset([".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".ogg", ".w64", ".wav"])

Layout = Literal["nt", "nct", "ntc"]


@dataclass(frozen=True)
class SoundSource:
    """Frame k holds samples ``k * hop - context .. k * hop + frame - 1``, float32 in [-1, 1), zeros before the first."""

    path: Path
    description: str
    input: str
    frame: int
    context: int
    hop: int
    layout: Layout
    frames: int

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self, first: int) -> Iterator[Sample]:
        with _opened(self.path) as file:
            window = np.zeros((self.context + self.frame, file.channels), np.float32)
            known = 0
            for number in count(first):
                begin = number * self.hop - self.context
                window[:known] = window[len(window) - known :]
                if _fill(window, known, begin, file) < len(window):
                    return
                yield Sample({self.input: self._arranged(window)})
                known = max(len(window) - self.hop, 0)

    def _arranged(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """A copy of `window` [samples, channels] in the input's layout."""
        if self.layout == "ntc":
            return window[None].copy()
        return window.T[None].copy() if self.layout == "nct" else window.T.copy()


def open_sound(path: Path, settings: SoundSettings, spec: TensorSpec, where: str) -> SoundSource:
    """Settle the settings against the file and the input `spec`: what is left open follows from its shape.

    Raises StreamError where soundfile is missing, the file is no sound, or the settings, its channels or its rate do
    not fit; `where` is the `--preprocess` file.
    """
    length, channels, layout = _read_shape(spec, settings.layout, where)
    frame = settings.frame or length - settings.context
    if frame + settings.context != length or frame < 1:
        raise StreamError(
            f"{where}: sound.frame {settings.frame or 'left out'} and sound.context {settings.context} do not make the"
            f" {length} samples of input {spec.name}: give two numbers with that sum"
        )
    hop = settings.hop or frame
    with _opened(path) as file:
        if file.channels != channels:
            raise StreamError(
                f"{path}: has {file.channels} channels, input {spec.name} {list(spec.shape)} takes {channels}: convert it"
            )
        if settings.rate not in (None, file.samplerate):
            raise StreamError(f"{path}: has {file.samplerate} Hz, {where} asks for {settings.rate}: convert it")
        rate, samples = file.samplerate, file.frames
    frames = (samples - frame) // hop + 1 if samples >= frame else 0
    rest = samples - ((frames - 1) * hop + frame) if frames else samples
    description = (
        f"{path}: sound, {rate} Hz, {frames} frames of {frame} samples every {hop}, {settings.context} samples of context,"
        f" {layout}, as input {spec.name}; {max(rest, 0)} samples left over"
    )
    return SoundSource(path, description, spec.name, frame, settings.context, hop, layout, frames)


def _read_shape(spec: TensorSpec, layout: Layout | None, where: str) -> tuple[int, int, Layout]:
    """Samples, channels and layout of an input [1, samples], [1, channels, samples] or [1, samples, channels]."""
    shape = spec.shape
    if spec.dtype == np.float32 and shape[:1] == (1,):
        if len(shape) == 2 and layout in (None, "nt"):
            return shape[1], 1, "nt"
        if len(shape) == 3 and layout != "nt":
            first_is_time = layout == "ntc" or (layout is None and shape[1] > shape[2])
            return (shape[1], shape[2], "ntc") if first_is_time else (shape[2], shape[1], "nct")
    raise StreamError(
        f"{where}: input {spec.name} {spec.dtype} {list(shape)} takes no sound{f' of layout {layout}' if layout else ''}:"
        " it would be float32 [1, samples], [1, channels, samples] or [1, samples, channels]"
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    soundfile = import_extra("soundfile", "sound", "reading sound", str(path))
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise StreamError(f"{path}: cannot read the sound: {reason}: check the file") from error


def _fill(window: NDArray[np.float32], known: int, begin: int, file: Any) -> int:
    """Fill `window` from row `known` on with samples `begin + known ..`; how many rows it then holds in all."""
    before = min(max(-begin, known), len(window))
    window[known:before] = 0
    if file.tell() != begin + before:
        if begin + before > file.frames:
            return before
        file.seek(begin + before)
    read: int = len(file.read(out=window[before:]))
    return before + read
