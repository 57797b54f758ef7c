"""The budget of whoever names none: a relative error of 0.1 of every float output that varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.budget import parse_budget
from reuse_compiler.errors import BudgetError, StreamError
from reuse_compiler.frontend import TensorSpec

__all__ = ["DEFAULT_BUDGET", "DefaultBudgetWarning", "default_budget", "default_warning"]

DEFAULT_BUDGET = "default"
"""What stands for it where a budget is given as text."""
_LIMIT = "0.1"


class DefaultBudgetWarning(UserWarning):
    """What a default budget does not cover."""


def default_budget(outputs: Sequence[TensorSpec], references: Sequence[Mapping[str, NDArray[Any]]], where: str) -> str:
    """The text of the budget, as a plan records it: `relrmse` of at most 0.1, with the outputs by name where some are the
    same in every frame of `references`, the fp32 model's outputs.

    Raises BudgetError where no float output varies, StreamError where one is not finite; `where` is what messages call
    the recording.
    """
    floats = [spec.name for spec in outputs if spec.dtype.kind == "f"]
    if not floats:
        raise BudgetError("the default budget is of float outputs, and the model has none: fit with clusters")
    varying = [name for name in floats if any(not np.array_equal(references[0][name], one[name]) for one in references)]
    if not varying:
        raise BudgetError(f"{where}: no float output of the fp32 model varies: give a longer recording, or a budget")
    _require_finite(varying, references, where)
    if varying == floats:
        return f"relrmse<={_LIMIT}"
    return "; ".join(f"relrmse:{name}<={_LIMIT}" for name in varying)


def _require_finite(names: Sequence[str], references: Sequence[Mapping[str, NDArray[Any]]], where: str) -> None:
    broken = [name for name in names if not all(np.isfinite(outputs[name]).all() for outputs in references)]
    if not broken:
        return
    finite = [name for name in names if name not in broken]
    remedy = "no other varies: give another recording"
    if finite:
        example = f"relrmse:{finite[0]}<={_LIMIT}"
        remedy = f"name an output in the budget, such as {example}; finite and varying: {', '.join(finite)}"
    raise StreamError(f"{where}: output {', '.join(broken)} of the fp32 model is not finite: {remedy}")


def default_warning(text: str, outputs: Sequence[TensorSpec]) -> str:
    """One line: what the default budget `text` does not cover."""
    bounded = {bound.output for bound in parse_budget(text, outputs)}
    left = [spec for spec in outputs if spec.name not in bounded]
    constant = ", ".join(spec.name for spec in left if spec.dtype.kind == "f")
    others = ", ".join(spec.name for spec in left if spec.dtype.kind != "f")
    parts = [f"the default budget is {text}", "decisions near a threshold and rare events are not covered"]
    if constant:
        parts.append(f"nor what is constant on this recording ({constant})")
    if others:
        parts.append(f"nor outputs that are not float ({others})")
    return f"{parts[0]}: {', '.join(parts[1:])}: give a budget for these"
