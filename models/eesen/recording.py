"""Utterances as the network sees them: 3 s each, of voices that training has not heard, or of those that it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models import speech
from reuse_compiler.models.eesen.features import features
from reuse_compiler.models.eesen.labels import spoken

__all__ = [
    "CALIBRATION_SEED",
    "EVALUATION_SEED",
    "SECONDS",
    "VALIDATION_SEED",
    "calibration",
    "labelled",
    "of_wav",
    "stream",
    "transcripts",
]

EVALUATION_SEED = 1_000_003
VALIDATION_SEED = 2_000_003
CALIBRATION_SEED = 0

SAMPLES = 48_240  # 300 windows of 25 ms, one every 10 ms
SECONDS = SAMPLES / speech.RATE

Float = NDArray[np.float32]
Frame = dict[str, Float | bool]


def stream(utterances: int = 8, seed: int = EVALUATION_SEED) -> Iterator[Frame]:
    """Utterances of voices that training has not heard: ``{"features": float32 [300, 1, 120], "__start__": True}`` each.

    A frame of the stream is an utterance of 3 s, and a sequence of its own. They are synthesized as they are asked for,
    of seeds `seed`, `seed` + 1, ..; that of a seed is always the same.
    """
    return (_frame(samples) for samples, _ in _excerpts(utterances, seed, held_out=True))


def calibration(utterances: int = 8, seed: int = CALIBRATION_SEED) -> Iterator[Frame]:
    """`stream` of the voices that the network was trained on."""
    return (_frame(samples) for samples, _ in _excerpts(utterances, seed, held_out=False))


def transcripts(utterances: int = 8, seed: int = EVALUATION_SEED, *, held_out: bool = True) -> list[list[int]]:
    """The labels that are said in every utterance of `stream`, or with `held_out` false of `calibration`."""
    return [labels for _, labels in _excerpts(utterances, seed, held_out)]


def labelled(
    utterances: int = 8, seed: int = EVALUATION_SEED, *, held_out: bool = True
) -> Iterator[tuple[Float, list[int]]]:
    """The features [300, 1, 120] of every utterance of `stream`, or `calibration`, and its transcript."""
    return ((features(samples)[:, None], labels) for samples, labels in _excerpts(utterances, seed, held_out))


def of_wav(path: str | Path) -> Iterator[Frame]:
    """A recording in pieces of 3 s, as `stream` gives utterances; the last is filled up with its own last sample.

    Raises StreamError where the file is missing or no sound.
    """
    samples = speech.of_wav(path)
    if not samples.size:
        raise StreamError(f"{path}: no sample: give a recording in which something is said")
    for first in range(0, samples.size, SAMPLES):
        piece = samples[first : first + SAMPLES]
        yield _frame(np.pad(piece, (0, SAMPLES - piece.size), mode="edge"))


def _excerpts(utterances: int, seed: int, held_out: bool) -> Iterator[tuple[Float, list[int]]]:
    if seed < 0:
        raise StreamError(f"seed of the utterances is {seed}: give 0 or more")
    for number in range(seed, seed + utterances):
        utterance = speech.utterance(number, held_out, SECONDS)
        yield utterance.samples, spoken(utterance)


def _frame(samples: Float) -> Frame:
    return {"features": features(samples)[:, None], "__start__": True}
