"""A loss of the user's own: a Python function of all outputs of a stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from reuse_compiler.errors import BudgetError, StreamError
from reuse_compiler.streams.functions import import_object

__all__ = ["OwnLoss", "OwnMetric", "import_metric"]

Frames = list[dict[str, Any]]


@dataclass(frozen=True)
class OwnMetric:
    """A function ``(references, outputs) -> loss``, called by its name.

    Parameters
    ----------
    name : str
        ``MODULE:NAME`` or ``FILE.py:NAME``.
    function : callable
        Takes two lists of dicts, frame by frame: read-only arrays by output name, of the fp32 model, the stream's labels
        by their keys among them, and of the run. Gives a finite float, 0 or less where nothing is lost. A fit calls it
        from several threads at once.
    """

    name: str
    function: Callable[[Frames, Frames], object]

    def loss(self, references: Frames, outputs: Frames) -> float:
        """What the function gives, at least 0. Raises BudgetError where it raises, or gives no finite number."""
        try:
            value = self.function(list(references), list(outputs))
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise BudgetError(f"budget: {self.name} raised {type(error).__name__}: {reason}: correct it") from error
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()
        if not isinstance(value, Real) or not math.isfinite(value):
            raise BudgetError(
                f"budget: {self.name} gave {_shown(value)}: give a finite number, 0 where nothing is lost"
            )
        return max(float(value), 0.0)


def import_metric(name: str) -> OwnMetric:
    """What ``MODULE:NAME`` or ``FILE.py:NAME`` names, looked for as a stream's function is.

    Raises BudgetError where it is not there, or no function.
    """
    try:
        function = import_object(name)
    except StreamError as error:
        raise BudgetError(str(error)) from error
    if not callable(function):
        raise BudgetError(f"{name}: is {type(function).__name__}: name a function of references and outputs")
    return OwnMetric(name, function)


@dataclass
class OwnLoss:
    """The loss by a metric of the user's own. Keeps the outputs of all frames: the function wants them at once."""

    metric: OwnMetric
    references: Frames = field(default_factory=list)
    outputs: Frames = field(default_factory=list)
    _known: float | None = None

    def add(self, frame: int, reference: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Take one frame; the arrays are kept, not copied."""
        self.references.append({name: _read_only(value) for name, value in reference.items()})
        self.outputs.append({name: _read_only(value) for name, value in values.items()})
        self._known = None

    @property
    def loss(self) -> float:
        """Of all frames so far."""
        if self._known is None:
            self._known = self.metric.loss(self.references, self.outputs) if self.references else 0.0
        return self._known


def _read_only(value: Any) -> Any:
    """A view that a metric cannot change, as the next candidate is compared with the same array."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | float | None) else f"a {type(value).__name__}"
