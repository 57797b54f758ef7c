"""Rendered speech: utterances from a seed by the synthesiser espeak-ng, labelled, and the features of speech networks.

    pip install 'reuse-compiler[speech]'

What makes speech needs the synthesiser; features and recordings (`log_mel`, `of_wav`) do not.
"""

from __future__ import annotations

from reuse_compiler.models.speech.features import FILTERS, RATE, frame_count, log_mel
from reuse_compiler.models.speech.phones import PHONES, SILENCE, Phone
from reuse_compiler.models.speech.recording import of_wav
from reuse_compiler.models.speech.utterance import Utterance, phone_classes, utterance
from reuse_compiler.models.speech.voices import Voice

__all__ = [
    "FILTERS",
    "PHONES",
    "RATE",
    "SILENCE",
    "Phone",
    "Utterance",
    "Voice",
    "frame_count",
    "log_mel",
    "of_wav",
    "phone_classes",
    "utterance",
]
