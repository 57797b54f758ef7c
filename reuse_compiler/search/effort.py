"""How long a search may take, and whether that cut it short."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["Effort"]


@dataclass
class Effort:
    """Asked before every part of a search that may be left out.

    Parameters
    ----------
    seconds : float or None
        None for as long as it takes.
    started : float
        By :func:`time.monotonic`.
    cut_short : bool
        Whether a part was left out.
    """

    seconds: float | None = None
    started: float = field(default_factory=time.monotonic)
    cut_short: bool = False

    def is_spent(self) -> bool:
        """Whether the part that would begin now is left out."""
        spent = self.seconds is not None and time.monotonic() >= self.started + self.seconds
        self.cut_short = self.cut_short or spent
        return spent

    @property
    def cut_short_seconds(self) -> float | None:
        """The seconds, where they cut the search short."""
        return self.seconds if self.cut_short else None
