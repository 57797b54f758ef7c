"""AutoPilot: the paper's steering network, trained, and the driving stream that it sees.

``reuse_compiler.models.autopilot:stream`` is a stream specification that every command takes: one drive of 300 frames;
``reuse_compiler.models.autopilot:sequences`` is three drives of 100.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from reuse_compiler.models.autopilot.network import build
from reuse_compiler.models.autopilot.recording import EVALUATION_SEED, labelled, of_video, sequences, stream

__all__ = ["EVALUATION_SEED", "build", "labelled", "of_video", "path", "sequences", "stream"]


def path() -> Path:
    """The trained network: an ONNX file, input ``image`` float32 [1, 3, 66, 200], output ``steering`` [1, 1] in radians."""
    return Path(str(files(__name__) / "autopilot.onnx"))
