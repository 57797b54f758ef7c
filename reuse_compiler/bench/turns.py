"""Two executors on the same frames, in turns.

They take turns of a few frames in one process, so that whatever else the machine does meets both alike. Frame by frame would
be nearer still, but then each finds its caches filled by the other: the one that touches less memory, which is reuse, loses
what it would have at hand if it ran alone, as it does for its user, and the other loses it too. So a turn has sixteen frames,
and its first four, which pay for the change, are not timed, in either: the other twelve find caches and threads as their own
frames left them. Measured with a model of 0.2 ms a frame on one thread and on two, stock onnxruntime then takes what it takes
alone, to 3 %. Who begins alternates from block to block. Frames are read, and outputs judged, between turns. Nothing sleeps
there: a core that was idle is slow for several frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.streams import Frame

__all__ = ["BLOCK", "LEAD", "Block", "Turn", "take_turns"]

BLOCK = 16
"""Frames of a turn."""
LEAD = 4
"""How many of them, the first, are not timed."""
Arrays = dict[str, NDArray[Any]]
Run = Callable[[Frame], Arrays]


@dataclass(frozen=True)
class Turn:
    """The outputs of each frame, and the milliseconds of all but the first four."""

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
    outputs, milliseconds = [], []
    for frame in frames:
        began = time.perf_counter()
        values = run(frame)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        outputs.append(values)
        after()
    return Turn(outputs, milliseconds[LEAD:])
