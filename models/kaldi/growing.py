"""Grows the tree of `tying` from counts alone and writes ``tying.npy``.

    python -m reuse_compiler.models.kaldi.growing

Again and again it takes the leaf with the most frames and cuts the range of one neighbour where the halves are most nearly
even: of the left one for first thirds, of the right one for last thirds, of either for middle ones, because that is what a
window of nine frames hears. No half may have fewer than `FEWEST` frames.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.files import replacing
from reuse_compiler.models.kaldi.tying import LEFT, RIGHT, STATES, Splits, contexts, halves, leaves, roots, tying_path
from reuse_compiler.models.speech import PHONES, SILENCE, Utterance, frame_count, utterance

__all__ = ["FEWEST", "count", "grow", "main"]

FEWEST = 80  # frames of a state among those counted
COUNTED_SEEDS = range(6_000)
_SIDES = ((LEFT,), (LEFT, RIGHT), (RIGHT,))  # by third


def count(utterances: Iterable[Utterance]) -> NDArray[np.int64]:
    """Frames of every context, int64 [45, 3, 45, 45]."""
    shape = (len(PHONES), 3, len(PHONES), len(PHONES))
    counts = np.zeros(shape, np.int64)
    for spoken in utterances:
        np.add.at(counts, tuple(contexts(spoken, frame_count(spoken.samples.size))), 1)
    return counts


def grow(counts: NDArray[np.int64], size: int = STATES, fewest: int = FEWEST) -> Splits:
    """The cuts that make `size` leaves, or as many as the counts allow, uint16 [cuts, 3]: leaf, side, place of the cut.

    The leaf keeps what lies below the cut; the rest is a new leaf with the next number.
    """
    boxes = roots()
    queue = [(-int(counts[box].sum()), number) for number, box in enumerate(boxes)]
    heapq.heapify(queue)
    splits: list[tuple[int, int, int]] = []
    while queue and len(boxes) < size:
        _, number = heapq.heappop(queue)
        phone, third, left, right = boxes[number]
        if phone == PHONES.index(SILENCE):
            continue
        choices = [_evenest(counts[boxes[number]], side) for side in _SIDES[third]]
        (smaller, cut), side = max(zip(choices, _SIDES[third], strict=True), key=lambda choice: choice[0][0])
        if smaller < fewest:
            continue
        splits.append((number, side, cut + (left, right)[side].start))
        boxes[number], fresh = halves(boxes[number], side, splits[-1][2])
        boxes.append(fresh)
        for leaf in (number, len(boxes) - 1):
            heapq.heappush(queue, (-int(counts[boxes[leaf]].sum()), leaf))
    return np.array(splits, np.uint16).reshape(-1, 3)


def main() -> None:
    """Count, grow, write ``tying.npy``. Networks that were trained before do not fit another tying."""
    splits = grow(count(utterance(seed) for seed in COUNTED_SEEDS))
    with replacing(tying_path()) as temporary, temporary.open("wb") as file:
        np.save(file, splits)
    print(f"{leaves(splits).max() + 1} states")


def _evenest(counts: NDArray[np.int64], side: int) -> tuple[int, int]:
    """Frames of the smaller half at the most even cut of counts [left, right], and the cut; 0 frames where none is."""
    below = counts.sum(axis=1 - side).cumsum()
    smaller = np.minimum(below, below[-1] - below)[:-1]
    if smaller.size == 0:
        return 0, 0
    return int(smaller.max()), int(smaller.argmax()) + 1


if __name__ == "__main__":
    main()
