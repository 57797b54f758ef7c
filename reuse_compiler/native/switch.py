"""When a session runs the dense network in place of the reuse model: while nothing repeats, reuse costs more than it saves.

Both are timed as they run. After some frames with reuse that took longer than dense ones, the next frames are dense, eight at
first and twice as many each time that a probe finds no gain. A probe is two frames with reuse: the first has to make up
for all that changed meanwhile, the second shows what reuse takes.
"""

from __future__ import annotations

__all__ = ["Switch"]

_PATIENCE = 4
_FIRST_PAUSE = 8
_LONGEST_PAUSE = 512
_PROBE = 2
_WEIGHT = 0.25
"""Of the newest frame in the running means."""
_MARGIN = 1.0


class Switch:
    """Decides for each frame of one stream.

    Parameters
    ----------
    dense_ns : float
        What a dense frame took beforehand, nanoseconds.
    """

    def __init__(self, dense_ns: float) -> None:
        self._dense, self._reuse = dense_ns, 0.0
        self._slow = 0
        self._pause, self._left = _FIRST_PAUSE, 0
        self._probing = 0

    @property
    def reuses(self) -> bool:
        """Whether the next frame is to reuse."""
        return self._left == 0

    def took(self, nanoseconds: float) -> None:
        """What the frame took that :attr:`reuses` spoke of."""
        if self._left:
            self._dense += _WEIGHT * (nanoseconds - self._dense)
            self._left -= 1
            self._probing = 0 if self._left else _PROBE
            return
        if self._probing:
            self._probe(nanoseconds)
            return
        self._reuse = nanoseconds if not self._reuse else self._reuse + _WEIGHT * (nanoseconds - self._reuse)
        self._slow = self._slow + 1 if self._reuse > _MARGIN * self._dense else 0
        if self._slow >= _PATIENCE:
            self._rest()

    def _probe(self, nanoseconds: float) -> None:
        self._probing -= 1
        if self._probing:
            return
        if nanoseconds > _MARGIN * self._dense:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._rest()
        else:
            self._pause, self._reuse, self._slow = _FIRST_PAUSE, nanoseconds, 0

    def _rest(self) -> None:
        self._left, self._slow = self._pause, 0
