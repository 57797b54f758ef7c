"""Budgets: which loss of which output is accepted, as text.

``NAME[@threshold][~margin][:OUTPUT[index]]<=X``, several joined with ``;``. X is a loss against fp32, at most 1 for shares.
Without OUTPUT the bound holds for every float output, each on its own. ``index`` picks elements of an output as in
numpy: whole numbers, slices and ``...``.

=========  ===========================================================================================================
relrmse    root mean squared error over the deviation of the fp32 output; 1 - R2 is its square
argmax     share of rows (last axis) whose largest element is another
top5       share of rows whose largest element in fp32 is not among the five largest
decision   share of elements that are on the other side of the threshold
f1         1 - F1 of the elements above the threshold, pooled over the stream
=========  ===========================================================================================================

A margin leaves out what fp32 itself is unsure of: elements within it of the threshold, rows whose two largest elements
are within it of each other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType

from reuse_compiler.errors import BudgetError
from reuse_compiler.frontend import TensorSpec

__all__ = ["METRICS", "Bound", "Index", "parse_budget"]

Index = tuple[int | slice | EllipsisType, ...]

METRICS = ("relrmse", "argmax", "top5", "decision", "f1")
_WITH_THRESHOLD = ("decision", "f1")
_WITHOUT_MARGIN = ("relrmse",)
_NUMBER = r"[^@~:<=>;\s]+"
_BOUND = re.compile(
    rf"(?P<metric>\w+)(@(?P<threshold>{_NUMBER}))?(~(?P<margin>{_NUMBER}))?(:(?P<output>.+?))?\s*<=\s*(?P<limit>\S+)"
)
_FORM = "give NAME[@threshold][~margin][:OUTPUT[index]]<=X, such as relrmse<=0.1 or f1@0.7:scores[...,1]<=0.01"


@dataclass(frozen=True)
class Bound:
    """One loss that is accepted.

    Parameters
    ----------
    text : str
        As the user wrote it.
    metric : str
        One of METRICS.
    threshold : float or None
        Of decision and f1.
    margin : float
        0 leaves nothing out.
    output : str
    index : tuple
        What of the output is looked at; empty for all.
    limit : float
    """

    text: str
    metric: str
    threshold: float | None
    margin: float
    output: str
    index: Index
    limit: float


def parse_budget(text: str, outputs: Sequence[TensorSpec]) -> tuple[Bound, ...]:
    """The bounds of a budget for a model with these `outputs`, one for each output where none is named.

    Raises BudgetError where the text has another form, or names a metric, an output or elements that are not there.
    """
    parts = [part.strip() for part in text.split(";")]
    if not all(parts):
        raise BudgetError(f"budget {text!r}: an empty part: {_FORM}")
    return tuple(bound for part in parts for bound in _bounds(part, outputs))


def _bounds(text: str, outputs: Sequence[TensorSpec]) -> list[Bound]:
    match = _BOUND.fullmatch(text)
    if match is None:
        raise BudgetError(f"budget {text!r}: {_FORM}")
    metric = match["metric"]
    if metric not in METRICS:
        raise BudgetError(f"budget {text!r}: no metric is called {metric}: give one of {', '.join(METRICS)}")
    if (metric in _WITH_THRESHOLD) != (match["threshold"] is not None):
        remedy = f"write {metric}@0.5" if metric in _WITH_THRESHOLD else "leave it out"
        has = "needs a threshold" if metric in _WITH_THRESHOLD else "takes no threshold"
        raise BudgetError(f"budget {text!r}: {metric} {has}: {remedy}")
    if match["margin"] is not None and metric in _WITHOUT_MARGIN:
        raise BudgetError(f"budget {text!r}: {metric} takes no margin: leave ~{match['margin']} out")
    threshold = None if match["threshold"] is None else _number(match["threshold"], "threshold", text)
    margin = 0.0 if match["margin"] is None else _number(match["margin"], "margin", text, least=0)
    limit = _number(match["limit"], "limit", text, least=0)
    places = _places(match["output"], text, outputs)
    return [Bound(text, metric, threshold, margin, spec.name, index, limit) for spec, index in places]


def _number(text: str, what: str, where: str, least: float = -math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < least:
        remedy = "a finite number" if least < 0 else "a finite number of 0 or more"
        raise BudgetError(f"budget {where!r}: the {what} is {text}: give {remedy}")
    return value


def _places(named: str | None, text: str, outputs: Sequence[TensorSpec]) -> list[tuple[TensorSpec, Index]]:
    """Outputs, and what of them is looked at."""
    floats = [spec for spec in outputs if spec.dtype.kind == "f"]
    if named is None:
        if not floats:
            raise BudgetError(f"budget {text!r}: the model has no float output: name what is to be judged")
        return [(spec, ()) for spec in floats]
    found = next((spec for spec in outputs if spec.name == named), None)
    index: Index = ()
    if found is None and named.endswith("]"):
        name, _, inner = named[:-1].rpartition("[")
        found = next((spec for spec in outputs if spec.name == name), None)
        if found is not None:
            index = _index(inner, text, found)
    if found is None:
        names = ", ".join(spec.name for spec in outputs)
        raise BudgetError(f"budget {text!r}: the model has no output {named}: it has {names}")
    if found.dtype.kind != "f":
        raise BudgetError(f"budget {text!r}: output {found.name} is {found.dtype}: name a float output")
    return [(found, index)]


def _index(inner: str, text: str, spec: TensorSpec) -> Index:
    items = tuple(_item(item.strip(), text) for item in inner.split(","))
    whole = [item for item in items if item is not ...]
    if len(items) - len(whole) > 1 or len(whole) > len(spec.shape):
        raise BudgetError(f"budget {text!r}: [{inner}] does not fit output {spec.name} of shape {list(spec.shape)}")
    after = len(items) - items.index(...) - 1 if ... in items else 0
    places = [*range(len(whole) - after), *range(len(spec.shape) - after, len(spec.shape))]
    for item, axis in zip(whole, places, strict=True):
        size = spec.shape[axis]
        inside = -size <= item < size if isinstance(item, int) else bool(range(max(size, 0))[item])
        if size >= 0 and not inside:
            raise BudgetError(
                f"budget {text!r}: [{inner}] is outside of output {spec.name} of shape {list(spec.shape)}:"
                f" axis {axis} has {size} elements"
            )
    return items


def _item(item: str, text: str) -> int | slice | EllipsisType:
    if item == "...":
        return ...
    if not re.fullmatch(r"-?\d+|(-?\d+)?(:(-?\d+)?){1,2}", item) or (item.endswith(":0") and item.count(":") == 2):
        raise BudgetError(f"budget {text!r}: [{item}] is no index: give whole numbers, slices a:b and ...")
    if ":" not in item:
        return int(item)
    return slice(*(int(part) if part else None for part in item.split(":")))
