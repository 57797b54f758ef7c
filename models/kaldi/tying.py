"""The network's classes: thirds of phones in their context, tied to 3,482 states.

A context is a phone, a third of its duration and the phones to its left and right. A state is a leaf of a tree: a third of a
phone and, of each neighbour, a range of `PHONES`, which stand there in an order of articulation. ``tying.npy`` holds the cuts
that `reuse_compiler.models.kaldi.growing` made. Silence is one state: its thirds sound alike.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.speech import PHONES, SILENCE, Utterance
from reuse_compiler.models.speech.phones import classes_at, frame_times

__all__ = [
    "LEFT",
    "RIGHT",
    "STATES",
    "Box",
    "Splits",
    "contexts",
    "halves",
    "leaves",
    "roots",
    "states",
    "tying",
    "tying_path",
]

STATES = 3_482
LEFT, RIGHT = 0, 1

Splits = NDArray[np.uint16]
Contexts = NDArray[np.int64]
Box = tuple[int, int, slice, slice]


def states(utterance: Utterance, frames: int) -> NDArray[np.int64]:
    """The state in the middle of each of the first `frames` frames of `log_mel`, int64 from 0 to 3,481."""
    return np.asarray(tying()[tuple(contexts(utterance, frames))], np.int64)


@cache
def tying() -> NDArray[np.uint16]:
    """The state of every context: uint16 [45, 3, 45, 45] by phone, third, left and right phone."""
    return leaves(np.load(tying_path()))


def contexts(utterance: Utterance, frames: int) -> Contexts:
    """Phone, third, left phone and right phone of each of the first `frames` frames: int64 [4, frames]."""
    phones, times = utterance.phones, frame_times(frames)
    ends = np.array([phone.end for phone in phones])
    starts = np.array([phone.start for phone in phones])
    place = np.minimum(np.searchsorted(ends, times, side="right"), len(phones) - 1)
    third = np.clip(3 * (times - starts[place]) / (ends - starts)[place], 0, 2).astype(np.int64)
    numbers = classes_at(phones, (starts + ends) / 2)
    around = np.concatenate(([0], numbers, [0]))
    phone = numbers[place]
    third[phone == PHONES.index(SILENCE)] = 0
    return np.stack([phone, third, around[place], around[place + 2]])


def leaves(splits: Splits) -> NDArray[np.uint16]:
    """The leaf of every context: uint16 [45, 3, 45, 45]."""
    boxes = roots()
    for number, side, cut in splits.tolist():
        boxes[number], fresh = halves(boxes[number], side, cut)
        boxes.append(fresh)
    table = np.zeros((len(PHONES), 3, len(PHONES), len(PHONES)), np.uint16)
    for number, box in enumerate(boxes):
        table[box] = number
    return table


def roots() -> list[Box]:
    """The leaves before any cut: thirds of phones in any context, and silence."""
    everything = slice(0, len(PHONES))
    silence = PHONES.index(SILENCE)
    thirds = [(phone, third) for phone in range(len(PHONES)) for third in range(3) if phone != silence or third == 0]
    return [(phone, third, everything, everything) for phone, third in thirds]


def halves(box: Box, side: int, cut: int) -> tuple[Box, Box]:
    """A leaf whose range of one neighbour is cut: what lies below `cut`, and the rest."""
    phone, third, left, right = box
    if side == LEFT:
        below, above = slice(left.start, cut), slice(cut, left.stop)
        return (phone, third, below, right), (phone, third, above, right)
    below, above = slice(right.start, cut), slice(cut, right.stop)
    return (phone, third, left, below), (phone, third, left, above)


def tying_path() -> Path:
    """Where the cuts are."""
    return Path(str(files("reuse_compiler.models.kaldi") / "tying.npy"))
