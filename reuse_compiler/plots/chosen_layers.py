"""Which layers of a report a plot has room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reuse_compiler.report import LayerReport

__all__ = ["choose_layers", "left_out"]

_FEW, _MOST = 16, 60
_LEAST = 0.002  # of the weight of all, where layers are not few


def choose_layers(layers: Sequence[LayerReport], weight: Callable[[LayerReport], float]) -> list[LayerReport]:
    """The layers of a weight above 0, in their order; where they are not few, the heaviest."""
    weighty = [layer for layer in layers if weight(layer) > 0]
    if len(weighty) <= _FEW:
        return weighty
    least = _LEAST * sum(weight(layer) for layer in weighty)
    heaviest = sorted(weighty, key=weight, reverse=True)[:_MOST]
    kept = {id(layer) for layer in heaviest if weight(layer) >= least}
    return [layer for layer in weighty if id(layer) in kept]


def left_out(layers: int) -> str:
    """What a plot says of the layers that it has no room for; empty where there are none."""
    return f"; the {layers:,} lightest layers are left out" if layers else ""
