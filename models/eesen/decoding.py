"""From scores to labels, and how many of the labels are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError

__all__ = ["BLANK", "decode", "distance", "label_error_rate"]

BLANK = 0


def decode(scores: NDArray[Any]) -> list[int]:
    """The labels of an utterance, greedily: the best of every step, repeats taken as one, blanks dropped.

    `scores` has the shape [steps, 50] or, as some runs give it, [steps, 1, 50].
    """
    best = scores.reshape(-1, scores.shape[-1]).argmax(axis=1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])
    return [int(label) for label in best[changed] if label != BLANK]


def distance(found: Sequence[int], wanted: Sequence[int]) -> int:
    """The least number of labels to insert, delete or replace that make one sequence the other (Levenshtein, 1966)."""
    row = list(range(len(wanted) + 1))
    for number, label in enumerate(found, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(wanted, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (label != other))
    return row[-1]


def label_error_rate(scores: Sequence[NDArray[Any]], transcripts: Sequence[Sequence[int]]) -> float:
    """The distance of what `decode` finds in every utterance from its transcript, over the number of labels in transcripts.

    0 is perfect; more than 1 is possible. Raises StreamError where scores and transcripts are not of one number, or the
    transcripts have no label.
    """
    if len(scores) != len(transcripts):
        raise StreamError(f"{len(scores)} utterances and {len(transcripts)} transcripts: give one for each")
    total = sum(map(len, transcripts))
    if not total:
        raise StreamError("the transcripts have no label: give utterances in which something is said")
    return sum(distance(decode(one), wanted) for one, wanted in zip(scores, transcripts, strict=True)) / total
