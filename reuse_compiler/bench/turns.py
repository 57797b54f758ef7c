"""Two executors on the same frames, in turns.

They take turns of a few frames in one process, so that whatever else the machine does meets both alike. Frame by frame would
be nearer still, but then each finds its caches filled by the other: the one that touches less memory, which is reuse, loses
what it would have at hand if it ran alone, as it does for its user, and the other loses it too. So a turn has eight frames,
and its first, which pays for the change, is not timed, in either; the other seven find the caches as their own frames left
them. Who begins alternates from block to block. Threads of onnxruntime spin for a while after a run: before each turn a rest
lets those of the other go to sleep. Frames are read, and outputs judged, between turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.streams import Frame

__all__ = ["BLOCK", "Block", "Turn", "take_turns"]

BLOCK = 8
"""Frames of a turn."""
_REST_SECONDS = 0.003
Arrays = dict[str, NDArray[Any]]
Run = Callable[[Frame], Arrays]


@dataclass(frozen=True)
class Turn:
    """The outputs of each frame, and the milliseconds of all but the first."""

    outputs: list[Arrays]
    milliseconds: list[float]


@dataclass(frozen=True)
class Block:
    """The frames of a turn, in both executors."""

    frames: list[Frame]
    dense: Turn
    reuse: Turn


def take_turns(stream: Iterable[Frame], dense: Run, reuse: Run, after_reuse: Callable[[], None]) -> Iterator[Block]:
    """The blocks of `stream`; `after_reuse` is called after each frame of `reuse`, outside the clock."""
    frames = iter(stream)
    for number in count():
        block = list(islice(frames, BLOCK))
        if not block:
            return
        if number % 2:
            reused = _turn(reuse, block, after_reuse)
            yield Block(block, _turn(dense, block, _nothing), reused)
        else:
            yield Block(block, _turn(dense, block, _nothing), _turn(reuse, block, after_reuse))


def _nothing() -> None:
    pass


def _turn(run: Run, frames: list[Frame], after: Callable[[], None]) -> Turn:
    time.sleep(_REST_SECONDS)
    outputs, milliseconds = [], []
    for frame in frames:
        began = time.perf_counter()
        values = run(frame)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        outputs.append(values)
        after()
    return Turn(outputs, milliseconds[1:])
