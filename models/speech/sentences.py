"""Sentences of three to eight words, drawn from templates over `words`: well-formed, without much sense."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from reuse_compiler.models.speech.words import WORDS

__all__ = ["TEMPLATES", "sentence"]

TEMPLATES = tuple(
    line.split()
    for line in (
        "determiner noun intransitive",
        "name transitive plural",
        "pronoun transitive object",
        "plural_determiner plural intransitive",
        "name intransitive adverb",
        "determiner adjective noun intransitive",
        "name transitive determiner noun",
        "question modal pronoun present",
        "adverb pronoun transitive plural",
        "pronoun transitive determiner adjective noun",
        "plural_determiner adjective plural intransitive adverb",
        "question modal name present object",
        "pronoun modal present plural_determiner plural",
        "determiner noun transitive determiner noun",
        "name joint name transitive object",
        "opener, determiner adjective noun intransitive",
        "determiner adjective noun transitive determiner noun",
        "name intransitive preposition determiner adjective noun",
        "pronoun transitive plural preposition determiner noun",
        "plural_determiner plural modal present determiner noun",
        "modal pronoun present determiner adjective noun",
        "determiner noun preposition determiner noun intransitive adverb",
        "pronoun transitive object, joint pronoun intransitive adverb",
        "name modal adverb present plural_determiner adjective plural",
        "opener, name transitive plural_determiner adjective plural adverb",
        "determiner adjective noun transitive determiner adjective noun",
        "determiner noun intransitive, joint determiner noun intransitive",
        "plural_determiner adjective plural intransitive preposition determiner noun",
        "name transitive determiner noun preposition determiner adjective noun",
        "opener, pronoun modal present plural preposition determiner noun",
        "determiner adjective noun transitive object preposition determiner noun",
        "plural joint plural transitive determiner noun preposition name",
    )
)
"""Kinds of words; a comma behind one is a pause."""


def sentence(rng: np.random.Generator) -> str:
    """Three to eight words in lower case with single spaces between, commas for pauses and a full stop at the end."""
    template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
    words = [_word(slot.rstrip(","), rng) + slot[len(slot.rstrip(",")) :] for slot in template]
    for number, (word, following) in enumerate(pairwise(words)):
        if word == "a" and following[0] in "aeiou":
            words[number] = "an"
    return " ".join(words) + "."


def _word(kind: str, rng: np.random.Generator) -> str:
    choice = WORDS[kind]
    return choice[int(rng.integers(len(choice)))]
