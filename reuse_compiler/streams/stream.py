"""A stream and its frames: a source cut to length, its pictures prepared, each frame checked when it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams.checks import conform
from reuse_compiler.streams.labels import split_labels
from reuse_compiler.streams.pictures import PictureTransform
from reuse_compiler.streams.source import Source

__all__ = ["Cut", "Frame", "Stream"]


@dataclass(frozen=True)
class Frame:
    """One array for each input that the stream gives, in the model's full shape and type; `start`: a sequence begins;
    `labels`: what the stream says is right, by its key (:mod:`reuse_compiler.streams.labels`), as it gives it."""

    inputs: dict[str, NDArray[Any]]
    start: bool
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """Frames `first` to `stop` (not included; None: the end) of a source."""

    first: int = 0
    stop: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> Cut:
        """From ``A:B``, either left out or not; None keeps all. StreamError where it is something else or keeps nothing."""
        if text is None:
            return cls()
        match = re.fullmatch(r"\s*([0-9]*)\s*:\s*([0-9]*)\s*", text)
        if match is None:
            raise StreamError(f"frames {text}: give A:B with whole numbers of 0 or more, or leave one out")
        first, stop = int(match[1] or 0), int(match[2]) if match[2] else None
        if stop is not None and stop <= first:
            raise StreamError(f"frames {text}: keeps no frame: give A:B with A below B")
        return cls(first, stop)

    def length(self, frames: int | None) -> int | None:
        """How many are kept of `frames`."""
        if frames is None:
            return None
        return max(min(frames, frames if self.stop is None else self.stop) - self.first, 0)


class Stream:
    """Frames of a model's inputs; each iteration begins anew. Made by :func:`open_stream`.

    Attributes
    ----------
    name : str
        What messages call it: the path or function that was given.
    description : str
        One line: what kind of source, and how its frames become inputs, defaults included.
    frames : int or None
        Number of frames where the source declares it; the few that a damaged video lacks are not known beforehand.
    """

    def __init__(
        self,
        source: Source,
        specs: Sequence[TensorSpec],
        state: Mapping[str, str],
        transform: PictureTransform | None,
        cut: Cut,
    ) -> None:
        self._source = source
        self._specs = tuple(specs)
        self._state = dict(state)
        self._transform = transform
        self._cut = cut
        self.name = source.name
        self.frames = cut.length(source.frames)
        parts = [source.description]
        if transform is not None:
            parts.append(transform.description)
        if cut != Cut():
            parts.append(f"frames {cut.first}:{'' if cut.stop is None else cut.stop}")
        self.description = "; ".join(parts)

    def __iter__(self) -> Iterator[Frame]:
        """Read the stream from its beginning.

        Raises StreamError at the first frame that is not there, cannot be read or does not fit the model. Frame numbers
        in messages count from 0 in the source, whatever `frames` cuts.
        """
        cut = self._cut
        samples = self._source.read(cut.first)
        kept = islice(samples, None if cut.stop is None else cut.stop - cut.first)
        number = None
        for number, sample in enumerate(kept, cut.first):
            arrays, labels = split_labels(sample.arrays)
            inputs = self._checked(arrays, f"{self.name}: frame {number}")
            yield Frame(inputs, sample.start or number == cut.first, labels)
        if number is None:
            behind = f"there is no frame {cut.first}" if cut.first else "the stream is empty"
            raise StreamError(f"{self.name}: {behind}: give at least one frame")

    def _checked(self, arrays: dict[str, NDArray[Any]], where: str) -> dict[str, NDArray[Any]]:
        transform = self._transform
        if transform is not None and transform.input in arrays:
            arrays = {**arrays, transform.input: transform.apply(arrays[transform.input], where)}
        return conform(arrays, self._specs, self._state, where)
