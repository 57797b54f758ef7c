"""What the network sees of sound: 40 log-mel energies every 10 ms, their first and their second differences in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.speech import log_mel

__all__ = ["deltas", "features", "with_deltas"]

REACH = 2  # frames to either side that a slope is fitted over

Float = NDArray[np.float32]


def features(samples: Float) -> Float:
    """The network's input of a sound.

    Parameters
    ----------
    samples : float32 array, shape [n]
        16 kHz.

    Returns
    -------
    float32 array, shape [frames, 120]
        40 log-mel energies as `reuse_compiler.models.speech.log_mel` gives them, their `deltas`, and the deltas of those.
    """
    return with_deltas(log_mel(samples))


def with_deltas(mels: Float) -> Float:
    """The input [frames, 120] of log-mel energies [frames, 40]: them, their `deltas`, and the deltas of those."""
    slope = deltas(mels)
    return np.concatenate([mels, slope, deltas(slope)], axis=1)


def deltas(frames: Float) -> Float:
    """The slope of every column over two frames to either side, by least squares; the end frames stand for what lies beyond.

    ``d[t] = sum(n * (c[t + n] - c[t - n]) for n in 1, 2) / 10``, float32, of the shape of `frames` [frames, columns].
    """
    count = len(frames)
    padded = np.pad(frames, ((REACH, REACH), (0, 0)), mode="edge")
    total = np.zeros_like(frames)
    for n in range(1, REACH + 1):
        total += np.float32(n) * (padded[REACH + n : REACH + n + count] - padded[REACH - n : REACH - n + count])
    return total / np.float32(2 * sum(n * n for n in range(1, REACH + 1)))
