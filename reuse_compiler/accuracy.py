"""How far a run is from the fp32 model: errors of every float output, folded frame by frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Deviation", "OutputError"]

Doubles = NDArray[np.float64]


@dataclass
class OutputError:
    """Errors of one output over a stream, without its values being kept.

    `relrmse` is the root of the mean squared error over the deviation of the fp32 output, so that 1 - R2 is its square;
    where the output never varies, over its root mean square.
    """

    elements: int = 0
    squared_error: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    max_abs: float = 0.0

    def add(self, reference: NDArray[Any], value: NDArray[Any]) -> None:
        """Take one frame's output of the fp32 model and of the run. Where their shapes differ the error is infinite."""
        exact = np.asarray(reference, np.float64)
        if exact.shape != np.shape(value):
            self.elements += max(exact.size, 1)
            self.squared_error = self.max_abs = math.inf
            return
        with np.errstate(all="ignore"):
            error = _difference(np.asarray(value, np.float64), exact)
            self.elements += exact.size
            self.squared_error += float(np.vdot(error, error))
            self.total += float(exact.sum())
            self.squares += float(np.vdot(exact, exact))
        self.max_abs = max(self.max_abs, float(np.abs(error).max(initial=0.0)))

    @property
    def rmse(self) -> float:
        """Root mean squared error, in the unit of the output."""
        return math.sqrt(self.squared_error / self.elements) if self.elements else 0.0

    @property
    def variance(self) -> float:
        """Of the fp32 output; 0 where it never varies."""
        mean_square = self.squares / max(self.elements, 1)
        variance = mean_square - (self.total / max(self.elements, 1)) ** 2
        return variance if variance > 1e-12 * mean_square else 0.0

    @property
    def relrmse(self) -> float:
        """Relative root mean squared error; 0 is perfect."""
        if self.elements == 0 or self.squared_error == 0.0:
            return 0.0
        if math.isinf(self.squared_error):
            return math.inf
        scale = self.variance or self.squares / self.elements
        return math.sqrt(self.squared_error / self.elements / scale) if scale > 0 else math.inf


def _difference(values: Doubles, exact: Doubles) -> Doubles:
    """Errors of elements: none where both are the same infinity or no number, infinite where one alone is."""
    error = np.asarray(values - exact)
    unknown = np.isnan(error)
    if unknown.any():
        same = (values == exact) | (np.isnan(values) & np.isnan(exact))
        error[unknown] = np.where(same[unknown], 0.0, np.inf)
    return error


@dataclass
class Deviation:
    """Errors of all float outputs by name."""

    outputs: dict[str, OutputError] = field(default_factory=dict)

    def add(self, reference: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Take one frame. Outputs that are no array of floats (labels, strings, sequences) are left out."""
        for name, exact in reference.items():
            if isinstance(exact, np.ndarray) and exact.dtype.kind == "f":
                self.outputs.setdefault(name, OutputError()).add(exact, values[name])

    @property
    def relrmse(self) -> float:
        """The largest of all outputs."""
        return max((error.relrmse for error in self.outputs.values()), default=0.0)
