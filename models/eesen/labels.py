"""The labels that the network's outputs stand for: the blank, and the phones that are said."""

from __future__ import annotations

from reuse_compiler.models.eesen.decoding import BLANK
from reuse_compiler.models.eesen.network import OUTPUTS
from reuse_compiler.models.speech import PHONES, SILENCE, Utterance

__all__ = ["LABELS", "label_of", "spoken"]

LABELS = ("", *(phone for phone in PHONES if phone != SILENCE))
"""The phone of every output by its number; output 0 is the blank, which stands for silence too, and those beyond are not used."""

assert len(LABELS) <= OUTPUTS

_NUMBERS = {phone: number for number, phone in enumerate(LABELS)} | {SILENCE: BLANK}


def label_of(phone: str) -> int:
    """The output of a phone of `reuse_compiler.models.speech.PHONES`: the blank for silence."""
    return _NUMBERS[phone]


def spoken(utterance: Utterance) -> list[int]:
    """The transcript: the labels of its phones, silence left out."""
    return [label_of(phone.symbol) for phone in utterance.phones if phone.symbol != SILENCE]
