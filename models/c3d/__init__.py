"""C3D: the paper's video network with seeded weights, and rendered recordings of actions for it to see.

``reuse_compiler.models.c3d:stream`` and ``reuse_compiler.models.c3d:sliding`` are stream specifications that every command
takes: clips one after the other, and clips that slide by one frame. The file of the network (314 MB) is not in the
package: ``python -m reuse_compiler.models.c3d FILE`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from reuse_compiler.models.c3d.network import C3D, Geometry, build
from reuse_compiler.models.c3d.recording import (
    CALIBRATION_SEED,
    CLIP,
    EVALUATION_SEED,
    Clip,
    of_video,
    unlabelled,
)
from reuse_compiler.models.c3d.seeded import write

__all__ = ["C3D", "EVALUATION_SEED", "Geometry", "build", "calibration", "of_video", "sliding", "stream", "write"]


def stream(clips: int | None = 48, hop: int = CLIP, seed: int = EVALUATION_SEED) -> Iterator[Clip]:
    """Clips ``{"clip": float32 [1, 3, 16, 112, 112]}`` of recordings of 48 frames, each a sequence; see `recording`."""
    return unlabelled(clips, hop, seed)


def sliding(clips: int | None = 33, seed: int = EVALUATION_SEED) -> Iterator[Clip]:
    """`stream` of clips that share all but one of their frames; a recording has 33."""
    return unlabelled(clips, 1, seed)


def calibration(clips: int | None = 48, hop: int = CLIP) -> Iterator[Clip]:
    """`stream` of other recordings, to fit a plan with."""
    return unlabelled(clips, hop, CALIBRATION_SEED)
