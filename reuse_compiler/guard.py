"""The guard of a session: where a stream leaves what calibration saw, the next frame is quantized anew.

Three signs are watched, from counts of indices alone:

``cut``
    Much more of the inputs changed than in any frame of the calibration. A deadband lets an input that came near its old
    centroid by chance keep it, and across a cut that error has nothing to do with the scene. Where most inputs change a
    reset costs little.
``range``
    More of a site's inputs than in the calibration lie at an end of its quantizer's range: inputs that it cannot
    represent. A reset removes what memory adds to the error and nothing else: the clipped values stay wrong. So
    the frames are counted too, and the remedy is a plan that is fitted to such inputs.
``quiet``
    Far less changed than in the calibration, for long. What creeps below the deadbands moves all inputs of a scene the
    same way, unlike the noise that the deadbands were accepted for, and nothing else would ever end it.

Only the first frame of a stretch of cut or range is followed by a reset: where everything moves all the time there is no
memory to remove. A reset gives every site the zero index and its bias, as a sequence starts; what outputs are fed
back to stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.quantizers import Quantizer

__all__ = ["Guard", "Reason", "count_clipped"]

Reason = Literal["cut", "range", "quiet"]
"""Why a session was reset."""

_REASONS: tuple[Reason, ...] = get_args(Reason)
_FIRST, _BUSY, _BEYOND, _QUIET_RUN, _DUE = range(5)


def count_clipped(index: NDArray[Any], quantizer: Quantizer) -> int:
    """How many of `index` are at an end of the range; an end that is 0.0 itself is none, since that is a value of its own."""
    low = np.count_nonzero(index == 0) if quantizer.zero > 0 else 0
    high = np.count_nonzero(index == quantizer.clusters - 1) if quantizer.zero < quantizer.clusters - 1 else 0
    return int(low + high)


class Guard:
    """Watches one stream. After each frame :meth:`take` its shares; before the next ask :meth:`due`.

    Attributes
    ----------
    state : array of int64, shape (5,)
        All that it remembers. Its owner may save it and write it back.
    """

    def __init__(self, plan: GuardPlan) -> None:
        self._plan = plan
        self.state = np.zeros(5, np.int64)
        self.reset()

    @property
    def watched(self) -> tuple[str, ...]:
        """The sites whose clipped share :meth:`take` needs."""
        return tuple(self._plan.clipped)

    def reset(self) -> None:
        """Begin a sequence."""
        self.state[:] = 0
        self.state[_FIRST] = 1

    def due(self) -> Reason | None:
        """Why the frame that comes now is to be quantized anew, or None; asked once a frame."""
        number = int(self.state[_DUE])
        if not number:
            return None
        self.state[_DUE] = 0
        self.state[_FIRST] = 1
        return _REASONS[number - 1]

    def exceeds(self, clipped: Mapping[str, float]) -> bool:
        """Whether a frame is beyond the range, given the share of inputs at an end of it for each site of `watched`."""
        return any(clipped[site] > bound for site, bound in self._plan.clipped.items())

    def take(self, changed: float, beyond: bool) -> None:
        """Take one more frame: the share of all sites' inputs that changed, and whether it was beyond the range."""
        plan, state = self._plan, self.state
        found: Reason | None = None
        if state[_FIRST]:  # compared with zeros: says nothing of the stream, but for the range
            state[_FIRST] = state[_QUIET_RUN] = 0
            return
        if plan.quiet is not None:
            state[_QUIET_RUN] = state[_QUIET_RUN] + 1 if changed <= plan.quiet.share else 0
            if state[_QUIET_RUN] >= plan.quiet.frames:
                found = "quiet"
        busy = plan.changed is not None and changed > plan.changed
        if beyond and not state[_BEYOND]:
            found = "range"
        elif busy and not state[_BUSY]:
            found = "cut"
        state[_BUSY], state[_BEYOND] = busy, beyond
        state[_DUE] = 0 if found is None else _REASONS.index(found) + 1
