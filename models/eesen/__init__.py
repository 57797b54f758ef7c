"""EESEN: the paper's speech recognizer, trained, and the utterances that it hears.

``reuse_compiler.models.eesen:stream`` is a stream specification that every command takes: eight utterances of 3 s, voices that
training has not heard; ``reuse_compiler.models.eesen:calibration`` is eight of the voices that it has.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from reuse_compiler.errors import ModelError
from reuse_compiler.models.eesen.decoding import decode, label_error_rate
from reuse_compiler.models.eesen.features import features
from reuse_compiler.models.eesen.labels import LABELS
from reuse_compiler.models.eesen.network import build
from reuse_compiler.models.eesen.recording import EVALUATION_SEED, calibration, labelled, of_wav, stream, transcripts

__all__ = [
    "EVALUATION_SEED",
    "LABELS",
    "build",
    "calibration",
    "decode",
    "features",
    "label_error_rate",
    "labelled",
    "of_wav",
    "path",
    "stream",
    "transcripts",
]


def path() -> Path:
    """The trained network: an ONNX file, input ``features`` float32 [300, 1, 120], output ``scores`` [300, 50].

    Raises ModelError where the file is missing: wheels do not carry it.
    """
    file = Path(str(files(__name__) / "eesen.onnx"))
    if not file.is_file():
        raise ModelError(
            f"{file}: missing, as wheels do not carry it: take it from the repository (models/eesen/eesen.onnx), or run"
            " python -m reuse_compiler.models.eesen.train"
        )
    return file
