"""How far a frame's inputs moved from another frame's, and what finding out costs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEASURES", "CompareClock", "Measure", "movement"]

Arrays = Mapping[str, Any]
Measure = Literal["max", "mean"]
MEASURES: tuple[Measure, Measure] = ("max", "mean")


def movement(inputs: Arrays, past: Arrays) -> dict[Measure, float]:
    """The largest and the mean absolute difference of the elements; of several inputs, that of the one that moved most.
    What is no number, or no array of numbers, has moved infinitely far, unless it is the same object."""
    moved = dict.fromkeys(MEASURES, 0.0)
    for name, value in inputs.items():
        for measure, distance in _distances(value, past[name]).items():
            moved[measure] = max(moved[measure], distance)
    return moved


def _distances(value: Any, past: Any) -> dict[Measure, float]:
    if value is past:
        return dict.fromkeys(MEASURES, 0.0)
    if not _is_number(value) or value.shape != past.shape:
        return dict.fromkeys(MEASURES, math.inf)
    if value.size == 0:
        return dict.fromkeys(MEASURES, 0.0)
    distance = np.abs(_plain(value) - _plain(past))
    found: dict[Measure, float] = {"max": float(distance.max()), "mean": float(distance.mean())}
    return {measure: math.inf if math.isnan(moved) else moved for measure, moved in found.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def _plain(value: NDArray[Any]) -> NDArray[Any]:
    """As floats; float32 stays what it is."""
    return value if value.dtype == np.float32 else value.astype(np.float64)


@dataclass
class CompareClock:
    """Times the comparison of one frame with another as a user would write it: arrays for the difference are at hand."""

    milliseconds: dict[Measure, list[float]] = field(default_factory=lambda: {measure: [] for measure in MEASURES})
    _room: dict[str, NDArray[Any]] = field(default_factory=dict)

    def take(self, inputs: Arrays, past: Arrays) -> None:
        """Time both measures."""
        pairs = [(name, value, past[name]) for name, value in inputs.items() if _is_number(value)]
        pairs = [pair for pair in pairs if pair[1].size and pair[1].dtype.kind == "f"]
        for name, value, _ in pairs:
            if name not in self._room:
                self._room[name] = np.empty_like(value)
        for measure in MEASURES:
            began = time.perf_counter()
            for name, value, other in pairs:
                room = self._room[name]
                np.subtract(value, other, out=room)
                np.abs(room, out=room)
                if measure == "max":
                    room.max()
                else:
                    room.mean()
            self.milliseconds[measure].append((time.perf_counter() - began) * 1e3)

    def median(self, measure: Measure) -> float:
        """Milliseconds; 0 where nothing was timed."""
        return float(np.median(self.milliseconds[measure])) if self.milliseconds[measure] else 0.0
