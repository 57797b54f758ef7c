"""What a session has done so far, in a few numbers."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from reuse_compiler.guard import Reason

__all__ = ["GuardReset", "SessionStatistics", "Tally"]

_LAST = 16


@dataclass(frozen=True)
class GuardReset:
    """A frame, by its number in the session from 0, that the guard had quantized anew, and why."""

    frame: int
    reason: Reason


@dataclass(frozen=True)
class SessionStatistics:
    """Counts since the session was made or forked; resets and restored states do not touch them.

    Attributes
    ----------
    frames : int
        Frames run.
    inputs, changed : int
        Input elements of all reuse sites, and those with another index than in the frame or step before.
    guard_resets : dict of str to int
        How often the guard had a frame quantized anew, by reason: cut, range, quiet (:mod:`reuse_compiler.guard`).
    last_guard_resets : tuple of GuardReset
        The last 16 of them.
    frames_beyond_range : int
        Frames in which the guard saw more inputs at an end of some site's range than calibration allows; a reset does
        not make them right.
    refreshed : int
        Linear outputs that the plan's rolling refresh computed anew.
    drift_refreshes : int
        Frames before which all linear outputs were computed anew because rounding could have moved them too far.
    dense_frames : int
        Frames that an adaptive session ran without reuse; not among `inputs`.
    """

    frames: int = 0
    inputs: int = 0
    changed: int = 0
    guard_resets: dict[Reason, int] = field(default_factory=dict)
    last_guard_resets: tuple[GuardReset, ...] = ()
    frames_beyond_range: int = 0
    refreshed: int = 0
    drift_refreshes: int = 0
    dense_frames: int = 0

    @property
    def similarity(self) -> float:
        """Share of the input elements whose index stayed; 0.0 where there were none."""
        return 1 - self.changed / self.inputs if self.inputs else 0.0


class Tally:
    """Counts as they come; of what the guard did only the last few are kept one by one."""

    def __init__(self) -> None:
        self.frames = self.inputs = self.changed = 0
        self.beyond = self.refreshed = self.drift_refreshes = self.dense = 0
        self._reasons: Counter[Reason] = Counter()
        self._last: deque[GuardReset] = deque(maxlen=_LAST)

    def guard_reset(self, reason: Reason) -> None:
        """The frame that comes now is quantized anew."""
        self._reasons[reason] += 1
        self._last.append(GuardReset(self.frames, reason))

    def statistics(self) -> SessionStatistics:
        """All of it."""
        return SessionStatistics(
            frames=self.frames,
            inputs=self.inputs,
            changed=self.changed,
            guard_resets=dict(self._reasons),
            last_guard_resets=tuple(self._last),
            frames_beyond_range=self.beyond,
            refreshed=self.refreshed,
            drift_refreshes=self.drift_refreshes,
            dense_frames=self.dense,
        )
