"""Kaldi: the paper's acoustic network, trained on rendered speech, and the stream that it hears.

``reuse_compiler.models.kaldi:stream`` is a stream specification that every command takes: eight utterances of voices that
training did not hear, labelled; ``reuse_compiler.models.kaldi:calibration`` is eight of voices that it did.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from reuse_compiler.errors import ModelError
from reuse_compiler.models.kaldi.network import build
from reuse_compiler.models.kaldi.recording import EVALUATION_SEED, calibration, labelled, of_wav, stream
from reuse_compiler.models.kaldi.tying import states

__all__ = ["EVALUATION_SEED", "build", "calibration", "labelled", "of_wav", "path", "states", "stream"]


def path() -> Path:
    """The trained network: an ONNX file, input ``features`` float32 [1, 360], output ``scores`` [1, 3482].

    Raises ModelError where the file is missing: the package on the index does not carry it.
    """
    file = Path(str(files(__name__) / "kaldi.onnx"))
    if not file.is_file():
        raise ModelError(
            f"{file}: not in this package: clone the repository, or train: python -m reuse_compiler.models.kaldi.train"
        )
    return file
