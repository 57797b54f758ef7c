"""What changed in a session, site by site, while it ran."""

from __future__ import annotations

from collections.abc import Sequence

from reuse_compiler.session import Session

__all__ = ["Changes"]


class Changes:
    """Sums over the frames of a session; :meth:`add` after each.

    Attributes
    ----------
    frames : int
    reused : int
        Those that an adaptive session did not run without reuse; similarities are of them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sizes = {site: index.size for site, index in session.indices.items()}
        self._changed = dict.fromkeys(self._sizes, 0)
        self.frames = self.reused = 0

    def add(self) -> None:
        """Count the frame that has just run."""
        self.frames += 1
        if not self._session.reused:
            return
        self.reused += 1
        for site, count in self._session.changes.items():
            self._changed[site] += count

    def of(self, sites: Sequence[str]) -> float | None:
        """The similarity of `sites` together; None where none of them reuses."""
        inputs = sum(self._sizes.get(site, 0) for site in sites) * self.reused
        return 1 - sum(self._changed.get(site, 0) for site in sites) / inputs if inputs else None

    @property
    def similarity(self) -> float:
        """Of all sites; 0 where there are none."""
        return self.of(list(self._sizes)) or 0.0
