"""From what a user names, a file, a folder or a Python object, to a stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import folder, sound, video
from reuse_compiler.streams.checks import chosen_input, expected_inputs
from reuse_compiler.streams.functions import from_object, import_object
from reuse_compiler.streams.npz import open_npz
from reuse_compiler.streams.pictures import PictureTransform, picture_transform
from reuse_compiler.streams.preprocess import PictureSettings, Preprocess, SoundSettings, read_preprocess
from reuse_compiler.streams.source import Source
from reuse_compiler.streams.stream import Cut, Stream

__all__ = ["CalibrationDataReader", "Frames", "StreamSource", "open_stream"]


class CalibrationDataReader(Protocol):
    """The feeding protocol of onnxruntime's quantizers: one dict of arrays at a time, then None."""

    def get_next(self) -> Mapping[str, Any] | None:
        """The next frame."""


Frames = Iterable[Mapping[str, Any]] | CalibrationDataReader
StreamSource = str | Path | Frames | Callable[[], Frames]


def open_stream(
    spec: StreamSource,
    model_inputs: Sequence[TensorSpec],
    *,
    preprocess: str | Path | None = None,
    frames: str | None = None,
    state: Mapping[str, str] | None = None,
) -> Stream:
    """Open a recording of a model's inputs.

    Parameters
    ----------
    spec : str, Path or Python object
        - ``FILE.npz``: one array per input name, frames first; ``__starts__``: int64 frame numbers where sequences
          start, 0 implied.
        - a folder of pictures, in the order of their names with numbers read as numbers; transparency is dropped.
        - a video, or a sound file (extras ``video`` and ``sound``).
        - ``package.module:NAME`` or ``FILE.py:NAME``, or the Python object itself: an iterable of dicts, a reader with
          ``get_next``, or a function of no arguments that gives one of these and is called anew for each pass. In a
          dict, the key ``__start__`` is true where a sequence starts.

        A `.npz` and dicts may hold labels beside the inputs: ``__labels__``, or ``__labels_<output>__`` for one output.
    model_inputs : sequence of TensorSpec
        The inputs of the model. An array of a frame has the input's shape, or lacks its batch axis of 1; its type is the
        input's; float64 is rounded to float32, anything else is an error.
    preprocess : path, optional
        How pictures and sound become inputs (:mod:`reuse_compiler.streams.preprocess`). Default: from the input's shape;
        ``Stream.description`` says what is done. A ``[picture]`` table also serves uint8 pictures from a `.npz` or Python.
    frames : str, optional
        ``A:B`` keeps frames A to B - 1, either may be left out; the first one kept starts a sequence.
    state : mapping, optional
        Inputs that are fed back from outputs, so that the stream does not give them.

    Raises
    ------
    StreamError
        If there is no such source, its kind is unknown, or `preprocess`, `frames` or `state` do not fit. What is wrong
        with a frame is raised when it is read.
    """
    cut = Cut.parse(frames)
    fed_back = dict(state or {})
    specs = expected_inputs(model_inputs, fed_back)
    settings = None if preprocess is None else read_preprocess(Path(preprocess))
    if isinstance(spec, (str, Path)) and Path(spec).exists():
        source, transform = _open_path(Path(spec), specs, settings, str(preprocess or spec))
    else:
        source = _import(str(spec)) if isinstance(spec, (str, Path)) else from_object(spec)
        transform = _transform(settings, specs, str(preprocess))
    return Stream(source, specs, fed_back, transform, cut)


def _import(spec: str) -> Source:
    if re.fullmatch(r".+:[^\W\d][\w.]*", spec) is None:
        raise StreamError(f"{spec}: no such file or folder, nor MODULE:FUNCTION: check the name")
    return from_object(import_object(spec), spec)


def _open_path(
    path: Path, specs: Sequence[TensorSpec], settings: Preprocess | None, where: str
) -> tuple[Source, PictureTransform | None]:
    """The source at `path`, and what is done to its pictures. `where` is the `--preprocess` file, or else `path`."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return open_npz(path), _transform(settings, specs, where)
    if suffix in sound.SUFFIXES:
        return _open_sound(path, specs, settings, where), None
    if path.is_dir() or suffix in video.SUFFIXES:
        transform = _transform(settings or Preprocess(picture=PictureSettings()), specs, where)
        assert transform is not None
        opened = folder.open_folder if path.is_dir() else video.open_video
        return opened(path, transform.input), transform
    if suffix in folder.SUFFIXES:
        raise StreamError(f"{path}: one picture is no stream: give the folder that holds the pictures")
    if suffix == ".py":
        raise StreamError(f"{path}: give {path}:FUNCTION, the function that yields the frames")
    kinds = ", ".join(sorted(video.SUFFIXES | sound.SUFFIXES))
    raise StreamError(f"{path}: unknown kind of stream: give a .npz, a folder of pictures, {kinds}, or MODULE:FUNCTION")


def _transform(settings: Preprocess | None, specs: Sequence[TensorSpec], where: str) -> PictureTransform | None:
    """What the settings do to pictures. StreamError where they describe sound."""
    if settings is None:
        return None
    if settings.picture is None:
        raise StreamError(
            f"{where}: [sound] is for sound files, and this stream is none: give [picture] or leave it out"
        )
    spec = chosen_input(specs, settings.picture.input, "picture", where)
    return picture_transform(settings.picture, spec, where)


def _open_sound(path: Path, specs: Sequence[TensorSpec], settings: Preprocess | None, where: str) -> sound.SoundSource:
    chosen = SoundSettings() if settings is None else settings.sound
    if chosen is None:
        raise StreamError(f"{where}: [picture] is for pictures, and {path} is sound: give [sound] or leave it out")
    return sound.open_sound(path, chosen, chosen_input(specs, chosen.input, "sound", where), where)
