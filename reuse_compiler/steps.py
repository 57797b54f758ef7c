"""The time steps of recurrent sites: what each step was compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["before_steps"]


def before_steps(after: NDArray[Any], first: NDArray[Any], *, reverse: bool) -> NDArray[Any]:
    """What was held before each step, from what was held `after` it.

    `after` has the steps first, in the order of time; `first`, of the shape of one step, is what was held before the
    first step, which with `reverse` is the last in time.
    """
    if reverse:
        return np.concatenate([after[1:], first[None]])
    return np.concatenate([first[None], after[:-1]])
