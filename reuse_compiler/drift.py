"""When linear outputs that are corrected frame by frame need a refresh.

Each correction rounds to float32, so a linear output drifts from ``B + sum c(k) W`` like a random walk, by a few
``2**-24`` of its largest value a frame. That is small beside the values of the frames that it came from, but not beside
those of a much darker or more silent frame, nor after hours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Drift"]

# Measured on two camera models, 52 and 9 sites, 32 to 65,535 clusters, 300 frames: at most 3 * 2**-24.
_RATE = 8 * 2.0**-24
_LIMIT = 5e-5


class Drift:
    """An estimate of the drift of some linear outputs.

    ``8 * 2**-24 * sqrt(sum of max|z|**2 over the frames since the last refresh)`` is held against ``5e-5 * max|z|`` of
    the latest frame, half of what the contract of the executors allows: about 10,000 frames of an even stream.

    Attributes
    ----------
    squares : array of float64, shape (outputs,)
        The sums. Their owner may save them and write them back.

    Parameters
    ----------
    outputs : int
    squares : array, optional
        Where the sums are kept, and somebody else adds each frame.
    """

    def __init__(self, outputs: int, squares: NDArray[np.float64] | None = None) -> None:
        self.squares = np.zeros(outputs) if squares is None else squares

    def too_large(self, linear: Collection[NDArray[Any]]) -> bool:
        """Take the linear outputs of one more frame; whether any of them needs a refresh now."""
        largest = _largest(linear)
        self.squares += largest**2
        return bool((_RATE * np.sqrt(self.squares) > _LIMIT * largest).any())

    def refreshed(self, linear: Collection[NDArray[Any]], numbers: Sequence[int] | None = None) -> None:
        """Take the linear outputs that were just computed anew; those of `numbers` where it was not all of them."""
        self.squares[slice(None) if numbers is None else numbers] = _largest(linear) ** 2

    def reset(self) -> None:
        """Begin a sequence."""
        self.squares[:] = 0


def _largest(linear: Collection[NDArray[Any]]) -> NDArray[np.float64]:
    return np.array([max(z.max(initial=0), -z.min(initial=0)) for z in linear], np.float64)
