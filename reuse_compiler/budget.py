"""Budgets: which loss of which output is accepted, as text.

``NAME[@threshold][~margin][:OUTPUT[index]]<=X``, several joined with ``;``. X is a loss against fp32, at most 1 for shares.
Without OUTPUT the bound holds for every float output, each on its own. ``index`` picks elements of an output as in
numpy: whole numbers, slices and ``...``.

===============  =====================================================================================================
relrmse          root mean squared error over the deviation of the fp32 output; 1 - R2 is its square
rmse             root mean squared error in the unit of the output: for a recording that varies less than what will come
sqnr             signal-to-quantization-noise ratio in dB, written ``sqnr>=X``, X 0 or more. Its loss is the root mean
                 squared error over the root mean square of the fp32 output, 10^(-X/20) at most: 0.01 for 40 dB
argmax           share of rows (last axis) whose largest element is another
top5             share of rows whose largest element in fp32 is not among the five largest
decision         share of elements that are on the other side of the threshold
f1               1 - F1 of the elements above the threshold, pooled over the stream
labels.argmax    share of rows whose largest element is the label: that of fp32 less that of the run
labels.top5      share of rows whose label is among the five largest, likewise
labels.decision  share of elements that are on the side that their label says, likewise
labels.f1        F1 of the elements above the threshold against labels, pooled over the stream, likewise
MODULE:FUNCTION  or FILE.py:FUNCTION: what a function of the user's own gives; takes no OUTPUT
===============  =====================================================================================================

A margin leaves out what fp32 itself is unsure of: elements within it of the threshold, rows whose two largest elements
are within it of each other.

No plan is fitted to a bound that cannot be broken: top5 is of rows of more than five elements.

Labels come with the stream, as ``__labels_OUTPUT__`` or ``__labels__`` (:mod:`reuse_compiler.streams.labels`), in the
order of what is bounded: a class number a row for argmax and top5; 1 for an element that belongs above the threshold and 0
for one that does not. What has a label below 0 is left out. A run that scores better than fp32 loses nothing.

A function is called with ``(references, outputs)``, as :class:`~reuse_compiler.own_metric.OwnMetric` says. All outputs of
the stream are kept in memory for it, which no other metric needs. A plan names it, so that running the plan imports and
calls it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType

from reuse_compiler.errors import BudgetError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.own_metric import OwnMetric, import_metric

__all__ = ["CONTINUOUS", "LABELLED", "METRICS", "TOP", "Bound", "Index", "parse_budget"]

Index = tuple[int | slice | EllipsisType, ...]

CONTINUOUS = ("relrmse", "rmse", "sqnr")
"""Metrics of errors; the others count."""
LABELLED = ("labels.argmax", "labels.top5", "labels.decision", "labels.f1")
"""Metrics against labels."""
METRICS = (*CONTINUOUS, "argmax", "top5", "decision", "f1", *LABELLED)
TOP = 5
"""How many elements of a row top5 takes for the best."""
_WITH_THRESHOLD = ("decision", "f1", "labels.decision", "labels.f1")
_WITHOUT_MARGIN = (*CONTINUOUS, *LABELLED)
_NUMBER = r"[^@~:<=>;\s]+"
_BOUND = re.compile(
    rf"(?P<metric>(labels\.)?\w+)(@(?P<threshold>{_NUMBER}))?(~(?P<margin>{_NUMBER}))?(:(?P<output>.+?))?"
    r"\s*(?P<sign>[<>]=)\s*(?P<limit>\S+)"
)
_OWN = re.compile(r"(?P<function>.+:[^\W\d][\w.]*)\s*<=\s*(?P<limit>\S+)")
_FORM = "give NAME[@threshold][~margin][:OUTPUT[index]]<=X, such as relrmse<=0.1 or f1@0.7:scores[...,1]<=0.01"


@dataclass(frozen=True)
class Bound:
    """One loss that is accepted.

    Parameters
    ----------
    text : str
        As the user wrote it.
    metric : str
        One of METRICS, or the name of a function.
    threshold : float or None
        Of decision and f1.
    margin : float
        0 leaves nothing out.
    output : str
        Empty for a function, which takes all.
    index : tuple
        What of the output is looked at; empty for all.
    limit : float
        The largest loss.
    own : OwnMetric or None
        The function.
    """

    text: str
    metric: str
    threshold: float | None
    margin: float
    output: str
    index: Index
    limit: float
    own: OwnMetric | None = None


def parse_budget(text: str, outputs: Sequence[TensorSpec]) -> tuple[Bound, ...]:
    """The bounds of a budget for a model with these `outputs`, one for each output where none is named.

    Functions that it names are imported. Raises BudgetError where the text has another form, or names a metric, an output,
    elements or a function that are not there.
    """
    parts = [part.strip() for part in text.split(";")]
    if not all(parts):
        raise BudgetError(f"budget {text!r}: an empty part: {_FORM}")
    return tuple(bound for part in parts for bound in _bounds(part, outputs))


def _bounds(text: str, outputs: Sequence[TensorSpec]) -> list[Bound]:
    match, own = _BOUND.fullmatch(text), _OWN.fullmatch(text)
    if own is not None and (match is None or match["metric"] not in METRICS):
        return [_own_bound(own["function"], own["limit"], text)]
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
    if (metric == "sqnr") != (match["sign"] == ">="):
        remedy = "is a ratio in dB: write sqnr>=40" if metric == "sqnr" else f"is a loss: write {metric}<=X"
        raise BudgetError(f"budget {text!r}: {metric} {remedy}")
    threshold = None if match["threshold"] is None else _number(match["threshold"], "threshold", text)
    margin = 0.0 if match["margin"] is None else _number(match["margin"], "margin", text, least=0)
    limit = _number(match["limit"], "limit", text, least=0)
    if metric == "sqnr":
        limit = 10 ** (-limit / 20)
    places = _places(match["output"], text, outputs)
    return [Bound(text, metric, threshold, margin, spec.name, index, limit) for spec, index in places]


def _own_bound(name: str, limit: str, text: str) -> Bound:
    try:
        own = import_metric(name)
    except BudgetError as error:
        place = name.rpartition(":")[0]
        if "." in place:
            raise BudgetError(f"budget {text!r}: {error}") from error
        raise BudgetError(
            f"budget {text!r}: no metric is called {place.partition(':')[0]}, and as a function, {error}: give one of"
            f" {', '.join(METRICS)}, or MODULE:FUNCTION"
        ) from error
    return Bound(text, name, None, 0.0, "", (), _number(limit, "limit", text, least=0), own)


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
