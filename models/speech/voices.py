"""Who speaks: accents and voices of the synthesiser, those of training apart from the held-out ones, and how fast and high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ACCENTS", "HELD_OUT_VARIANTS", "TRAINING_VARIANTS", "Voice", "draw"]

ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc")
TRAINING_VARIANTS = (
    "m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f4", "Alex", "Alicia", "Andy", "Annie", "Denis", "Gene",
    "Hugo", "Jacky", "Lee", "Mario", "Michael", "Mike", "Reed", "Storm", "adam", "anika", "belinda", "benjamin",
    "boris", "caleb", "david", "ed", "grandma", "grandpa", "ian", "iven3", "john", "klatt3", "linda", "max",
    "miguel", "pablo", "paul", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m5", "m8", "f3", "f5", "Andrea", "Diogo", "edward2", "zac")
"""Variants that training never uses: two men and two women of the synthesiser's own, four that its users made."""


@dataclass(frozen=True)
class Voice:
    """An accent with a variant (``en-us+m3``), words a minute, and pitch and its range from 0 to 99."""

    name: str
    rate: int
    pitch: int
    range: int


def draw(rng: np.random.Generator, held_out: bool) -> Voice:
    """A voice at 120 to 220 words a minute."""
    variants = HELD_OUT_VARIANTS if held_out else TRAINING_VARIANTS
    accent, variant = ACCENTS[int(rng.integers(len(ACCENTS)))], variants[int(rng.integers(len(variants)))]
    return Voice(
        name=f"{accent}+{variant}",
        rate=int(rng.integers(120, 221)),
        pitch=int(rng.integers(25, 76)),
        range=int(rng.integers(20, 81)),
    )
