"""A budget that allows more, or less, of the same losses."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from reuse_compiler.budget import CONTINUOUS, Bound

__all__ = ["scaled_budget"]

_BOUND = re.compile(r"(?P<before>.*(?P<sign>[<>]=)\s*)(?P<limit>\S+)")


def scaled_budget(text: str, factor: float, bounds: Sequence[Bound]) -> str | None:
    """The budget with every limit times `factor`, as text; None where a share's limit would be above 1, or a ratio of
    noise to signal above it.

    `bounds` are those of `text`.
    """
    shares = [
        bound for bound in bounds if bound.own is None and (bound.metric not in CONTINUOUS or bound.metric == "sqnr")
    ]
    if any(bound.limit * factor > 1 for bound in shares):
        return None
    return "; ".join(_scaled_bound(part.strip(), factor) for part in text.split(";"))


def _scaled_bound(text: str, factor: float) -> str:
    match = _BOUND.fullmatch(text)
    assert match is not None, text  # it was parsed
    limit = float(match["limit"])
    scaled = limit * factor if match["sign"] == "<=" else limit - 20 * math.log10(factor)
    return f"{match['before']}{scaled:.6g}"
