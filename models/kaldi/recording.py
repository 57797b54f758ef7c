"""The speech stream: what the network hears of an utterance, 10 ms after 10 ms, and the state that is right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models import speech
from reuse_compiler.models.kaldi.tying import states

__all__ = [
    "AROUND",
    "CALIBRATION_SEED",
    "EVALUATION_SEED",
    "TRAINING_SEEDS",
    "calibration",
    "labelled",
    "of_wav",
    "spliced",
    "stream",
]

AROUND = 4  # frames before and behind
TRAINING_SEEDS = range(1_000_000)
EVALUATION_SEED = 1_000_003
CALIBRATION_SEED = 900_000

Frame = dict[str, NDArray[np.float32] | NDArray[np.int64] | bool]


def stream(utterances: int | None = 8, seed: int = EVALUATION_SEED) -> Iterator[Frame]:
    """Utterances of held-out voices, of seeds `seed`, `seed` + 1, .., as the network hears them.

    A frame is ``{"features": float32 [1, 360], "__labels__": int64 [1], "__start__": bool}``: the log-mel values of the
    frames t - 4 .. t + 4, the number of the state in the middle of frame t, and whether an utterance begins. At the ends of
    an utterance its first or last frame is repeated. `utterances` None is a stream without end.
    """
    return _frames(utterances, seed, held_out=True)


def calibration(utterances: int | None = 8, seed: int = CALIBRATION_SEED) -> Iterator[Frame]:
    """As `stream`, of training voices and a seed that training may use."""
    return _frames(utterances, seed, held_out=False)


def labelled(utterance: speech.Utterance) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """An utterance's inputs float32 [frames, 360] and states int64 [frames]."""
    features = spliced(speech.log_mel(utterance.samples))
    return features, states(utterance, len(features))


def of_wav(path: str | Path) -> Iterator[Frame]:
    """A real recording as a stream without labels, one sequence. Raises StreamError if the file cannot be read."""
    yield from _sequence(spliced(speech.log_mel(speech.of_wav(path))))


def spliced(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel frames [frames, 40] with those around each: float32 [frames, 360], the earliest first."""
    padded = np.pad(features, ((AROUND, AROUND), (0, 0)), mode="edge")
    return np.concatenate([padded[place : place + len(features)] for place in range(2 * AROUND + 1)], axis=1)


def _frames(utterances: int | None, seed: int, held_out: bool) -> Iterator[Frame]:
    for number in islice(count(seed), utterances):
        features, labels = labelled(speech.utterance(number, held_out))
        yield from (
            {**frame, "__labels__": labels[place : place + 1]} for place, frame in enumerate(_sequence(features))
        )


def _sequence(features: NDArray[np.float32]) -> Iterator[Frame]:
    for place, frame in enumerate(features):
        yield {"features": frame[None], "__start__": place == 0}
