"""The small C3D: the paper's video network at an eighth of its width, trained to tell sixteen actions by their motion.

``reuse_compiler.models.c3d_small:stream`` and ``reuse_compiler.models.c3d_small:sliding`` are stream specifications that
every command takes: labelled clips one after the other, and clips that slide by one frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from reuse_compiler.errors import ModelError
from reuse_compiler.models.c3d.actions import ACTIONS
from reuse_compiler.models.c3d.recording import CALIBRATION_SEED, CLIP, EVALUATION_SEED, Clip, labelled, of_video
from reuse_compiler.models.c3d_small.network import GEOMETRY, build

__all__ = [
    "ACTIONS",
    "EVALUATION_SEED",
    "FILE",
    "GEOMETRY",
    "build",
    "calibration",
    "of_video",
    "path",
    "sliding",
    "stream",
]

FILE = Path(str(files(__name__) / "c3d_small.onnx"))


def path() -> Path:
    """The trained network: an ONNX file, input ``clip`` float32 [1, 3, 16, 112, 112], output ``scores`` float32 [1, 16].

    Raises ModelError where the package came without the file.
    """
    if not FILE.is_file():
        raise ModelError(
            f"{FILE}: not in this installation: take it from the repository,"
            " or run python -m reuse_compiler.models.c3d_small.train"
        )
    return FILE


def stream(clips: int | None = 48, hop: int = CLIP, seed: int = EVALUATION_SEED) -> Iterator[Clip]:
    """Labelled clips of recordings of 48 frames, each a sequence; three clips a recording.

    ``{"clip": float32 [1, 3, 16, 112, 112], "__labels__": int64 [1], "__start__": bool}``; the label is an index into
    `ACTIONS`. Parameters as those of `reuse_compiler.models.c3d.recording.labelled`.
    """
    return labelled(clips, hop, seed)


def sliding(clips: int | None = 528, seed: int = EVALUATION_SEED) -> Iterator[Clip]:
    """`stream` of clips that share all but one of their frames; a recording has 33, so 528 show all actions."""
    return labelled(clips, 1, seed)


def calibration(clips: int | None = 48, hop: int = CLIP) -> Iterator[Clip]:
    """`stream` of recordings from the seeds of the training, to fit a plan with."""
    return labelled(clips, hop, CALIBRATION_SEED)
