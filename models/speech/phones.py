"""Phones: the synthesiser's phonemes merged into 45 classes that all accents share, and the class at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models.speech.features import CENTRE, HOP
from reuse_compiler.models.speech.synthesis import Mark

__all__ = ["PHONES", "SILENCE", "Phone", "classes_at", "frame_times", "merged"]

SILENCE = "sil"

_MERGED = {
    SILENCE: "_: _ _! _| _^_ __ ___",
    "p": "p", "b": "b", "t": "t t# t2 t[ ?", "d": "d", "k": "k", "g": "g",
    "ch": "tS", "jh": "dZ",
    "f": "f", "v": "v", "th": "T", "dh": "D", "s": "s", "z": "z z/2", "sh": "S", "zh": "Z", "hh": "h",
    "m": "m m-", "n": "n n-", "ng": "N", "l": "l l#", "r": "r r- r/", "y": "j", "w": "w w#",
    "iy": "i: i", "ih": "I I2 I# IR", "eh": "E E2 E#", "ae": "a a/", "ah": "V VR", "ax": "@ @2 @- a# 3 @#", "el": "@L",
    "er": "3:", "aa": "A: A@ aa A#", "ao": "O: O@ o@ O2 O", "oh": "0 0#", "uh": "U U@", "uw": "u: u u#", "ey": "eI",
    "ay": "aI aI2 aI3 aI@", "oy": "OI", "aw": "aU aU@", "ow": "oU oU#", "ea": "e@", "ia": "i@ i@3",
}  # fmt: skip
PHONES = tuple(_MERGED)
"""The merged classes by number; 0 is silence."""

_CLASS = {name: phone for phone, names in _MERGED.items() for name in names.split()}
_STRESS = "',%="
_PALATAL = ";"  # marks the phoneme before it, and sounds as its end


@dataclass(frozen=True)
class Phone:
    """One of `PHONES` from second `start` to second `end`."""

    symbol: str
    start: float
    end: float


def merged(marks: Sequence[Mark], lead: float, end: float) -> tuple[Phone, ...]:
    """The synthesiser's marks, `lead` seconds later, as phones without a gap from second 0 to second `end`.

    Silences that follow one another are one. Raises StreamError for a phoneme that no class takes.
    """
    starts = [(SILENCE, 0.0)]
    for mark in marks:
        name = mark.name.lstrip(_STRESS)
        if name in ("", _PALATAL):
            continue
        if name not in _CLASS:
            raise StreamError(f"espeak-ng: phoneme {mark.name!r} has no class: pip install espeakng-loader==0.2.4")
        if not _CLASS[name] == starts[-1][0] == SILENCE:
            starts.append((_CLASS[name], mark.start + lead))
    ends = [*(start for _, start in starts[1:]), end]
    spans = zip(starts, ends, strict=True)
    return tuple(Phone(symbol, start, until) for (symbol, start), until in spans if until > start)


def frame_times(frames: int) -> NDArray[np.float64]:
    """Seconds of the middle of each frame of `log_mel`."""
    return np.asarray(CENTRE + HOP * np.arange(frames), np.float64)


def classes_at(phones: Sequence[Phone], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers into `PHONES` at the given seconds; silence is what lies beyond the end."""
    numbers = np.array([PHONES.index(phone.symbol) for phone in phones] + [0], np.int64)
    return np.asarray(numbers[np.searchsorted([phone.end for phone in phones], times, side="right")])
