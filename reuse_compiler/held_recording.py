"""A recording in memory: its frames, and what they are judged against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.reference import Reference
from reuse_compiler.streams import Frame, Stream

__all__ = ["HeldRecording", "from_its_start", "hold"]

Arrays = Mapping[str, NDArray[Any]]

_HELD_BYTES = 1 << 30
"""How much of a recording is held, inputs, labels and outputs of the fp32 model together."""


@dataclass(frozen=True)
class HeldRecording:
    """Frames that follow each other, and what they are judged against: the fp32 model's outputs, and labels.

    Parameters
    ----------
    name : str
        Of the stream.
    held : sequence of Frame
    references : sequence of mapping of str to array
        Frame by frame: outputs of the fp32 model by name, and the stream's labels.
    """

    name: str
    held: Sequence[Frame]
    references: Sequence[Arrays]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def cut(self, first: int, stop: int) -> HeldRecording:
        """Frames `first` to `stop`, not included; the first of them begins a sequence."""
        held = self.held[first:stop]
        frames = [replace(frame, start=frame.start or not number) for number, frame in enumerate(held)]
        return HeldRecording(self.name, frames, self.references[first:stop])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the frames."""
        digest = hashlib.sha256()
        for frame in self.held:
            digest.update(b"start" if frame.start else b"-")
            for arrays in (frame.inputs, frame.labels):
                for name in sorted(arrays):
                    digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
        return digest.hexdigest()


def from_its_start(part: HeldRecording, model: Model, state: Mapping[str, str]) -> HeldRecording:
    """A part with what the fp32 model gives if it starts there too: it differs where outputs are fed back."""
    if not state:
        return part
    reference = Reference(model, state, threads=1)
    references = [{**seen, **reference.run(frame)} for frame, seen in zip(part.held, part.references, strict=True)]
    return replace(part, references=references)


def hold(model: Model, stream: Stream, state: Mapping[str, str]) -> HeldRecording:
    """The recording, as far as 1 GiB holds it; `state`: inputs fed back from outputs."""
    reference = Reference(model, state, threads=1)
    frames: list[Frame] = []
    references: list[Arrays] = []
    held = 0
    for frame in stream:
        outputs = reference.run(frame)
        labels = {name: array.copy() for name, array in frame.labels.items()}
        held += sum(array.nbytes for array in (*frame.inputs.values(), *labels.values(), *outputs.values()))
        if frames and held > _HELD_BYTES:
            break
        frames.append(Frame({name: array.copy() for name, array in frame.inputs.items()}, frame.start, labels))
        references.append({**outputs, **labels})
    return HeldRecording(stream.name, frames, references)
