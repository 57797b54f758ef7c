"""What a session can say of its layers: which way each was computed, why, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

__all__ = ["LayerRun", "TellsLayers", "layer_runs"]


@dataclass(frozen=True)
class LayerRun:
    """One layer over the frames that a session has run.

    Parameters
    ----------
    name : str
        Of the node, as plans and reports call it; of a recurrent layer without ``.x`` or ``.h``.
    reuse_ms : float or None
        Milliseconds a frame, the median or what is nearest to it; None where it is not known.
    path : str
        The way that most frames went: one word or two, as a table shows them.
    reason : str
        Why that one, on a line.
    """

    name: str
    reuse_ms: float | None
    path: str
    reason: str


@runtime_checkable
class TellsLayers(Protocol):
    """A session that knows its layers' times and paths."""

    def layer_runs(self) -> Sequence[LayerRun]:
        """The layers, of all frames that the session has run so far."""
        ...


def layer_runs(session: object) -> dict[str, LayerRun]:
    """What `session` says of its layers, by name; nothing where it does not say."""
    return {run.name: run for run in session.layer_runs()} if isinstance(session, TellsLayers) else {}
