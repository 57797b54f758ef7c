"""What the guard did in a run, for reports."""

from __future__ import annotations

from collections.abc import Sequence

from reuse_compiler.document import Strict
from reuse_compiler.guard import Reason
from reuse_compiler.session_statistics import SessionStatistics

__all__ = ["GuardReport"]


class GuardReport(Strict):
    """How often the guard had a frame quantized anew, by reason; which frames, by number in the stream; and in how many
    frames more inputs than calibration allows lay at an end of some site's range, which a reset does not make right."""

    resets: dict[Reason, int]
    frames: list[int]
    frames_beyond_range: int

    @classmethod
    def of(cls, statistics: SessionStatistics, frames: Sequence[int]) -> GuardReport:
        """From statistics of a run and the numbers of the frames that were quantized anew."""
        return cls(
            resets=statistics.guard_resets,
            frames=list(frames),
            frames_beyond_range=statistics.frames_beyond_range,
        )
