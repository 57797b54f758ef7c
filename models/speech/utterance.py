"""Utterances: rendered speech from a seed, with its text and the time of every phone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models.speech import room, voices
from reuse_compiler.models.speech.features import RATE
from reuse_compiler.models.speech.phones import Phone, classes_at, frame_times, merged
from reuse_compiler.models.speech.sentences import sentence
from reuse_compiler.models.speech.synthesis import Speech, speak
from reuse_compiler.models.speech.voices import Voice

__all__ = ["SHORTEST", "Utterance", "phone_classes", "utterance"]

SHORTEST = 1.5  # seconds; every voice gets a word into it
_PAUSE = 0.1  # seconds before and after the words, at least
_TRIES = 100


@dataclass(frozen=True, eq=False)
class Utterance:
    """What was said and how it sounds.

    Parameters
    ----------
    samples : float32 array, shape [n]
        In [-1, 1] at 16 kHz.
    text : str
        Words in lower case, single spaces, full stops and commas.
    phones : tuple of Phone
        From second 0 to the end without a gap; pauses are ``sil``.
    voice : Voice
        Accent, variant, speed and pitch.
    """

    samples: NDArray[np.float32]
    text: str
    phones: tuple[Phone, ...]
    voice: Voice


def utterance(seed: int, held_out: bool = False, seconds: float | None = None) -> Utterance:
    """The utterance of a seed: always the same samples, whatever was rendered before.

    Parameters
    ----------
    seed : int
        Of words, voice, room and noise; 0 or more.
    held_out : bool
        Speak with a voice that training never uses.
    seconds : float, optional
        Exactly how long: as many whole words as fit, and the room's noise before and after them. One sentence of three to
        eight words with short pauses around it by default.

    Raises
    ------
    StreamError
        If the synthesiser is not installed, the seed is negative, or `seconds` is below 1.5.
    """
    if seed < 0:
        raise StreamError(f"seed of an utterance is {seed}: give 0 or more")
    if seconds is not None and seconds < SHORTEST:
        raise StreamError(f"utterance of {seconds} s: give {SHORTEST} s or more")
    rng = np.random.default_rng([seed, int(held_out)])
    voice = voices.draw(rng, held_out)
    if seconds is None:
        text = sentence(rng)
        speech = speak(text, voice)
        lead, tail = (int(RATE * pause) for pause in rng.uniform(_PAUSE, 0.4, 2))
    else:
        text, speech = _fitting(rng, voice, seconds - 2 * _PAUSE)
        spare = round(seconds * RATE) - speech.samples.size
        lead = int(rng.integers(int(_PAUSE * RATE), spare - int(_PAUSE * RATE) + 1))
        tail = spare - lead
    dry = np.pad(speech.samples, (lead, tail))
    samples = room.record(dry, room.draw(rng), rng)
    return Utterance(samples, text, merged(speech.marks, lead / RATE, samples.size / RATE), voice)


def phone_classes(utterance: Utterance, frames: int) -> NDArray[np.int64]:
    """The phone in the middle of each of the first `frames` frames of `log_mel`, int64 numbers into `PHONES`."""
    return classes_at(utterance.phones, frame_times(frames))


def _fitting(rng: np.random.Generator, voice: Voice, seconds: float) -> tuple[str, Speech]:
    """The text of some sentences, cut behind the last word that fits into `seconds`, and its speech."""
    for _ in range(_TRIES):
        words: list[str] = []
        count = max(round(seconds * voice.rate / 60), 1)
        while len(words) < count:
            words += sentence(rng).split()
        while count > 0:
            text = " ".join(words[:count]).rstrip(".,") + "."
            speech = speak(text, voice)
            length = speech.samples.size / RATE
            if length <= seconds:
                return text, speech
            count = min(count - 1, int(count * seconds / length))
    raise StreamError(f"utterance: no word of {voice.name} fits into {seconds} s: give more seconds")
