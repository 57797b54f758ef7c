"""A budget on a recording: whether it can be judged there, and by what scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.accuracy import OutputError
from reuse_compiler.budget import TOP, Bound
from reuse_compiler.errors import BudgetError
from reuse_compiler.metrics import Judge

__all__ = ["check_budget", "scales"]

Arrays = Mapping[str, NDArray[Any]]


def check_budget(bounds: Sequence[Bound], references: Sequence[Arrays], where: str) -> None:
    """Judge the fp32 model by itself.

    Parameters
    ----------
    bounds : sequence of Bound
    references : sequence of mapping
        Its outputs and the stream's labels, frame by frame.
    where : str
        What the message calls the recording.

    Raises
    ------
    BudgetError
        Where a bound has no scale on the recording or cannot be broken, its labels are missing, or a function of the
        user's own fails or finds a loss above its limit already.
    StreamError
        Where an output of the fp32 model is not finite, or labels do not fit.
    """
    for bound in bounds:
        if bound.metric in ("top5", "labels.top5"):
            _require_more_classes(bound, references[0])
    judge = Judge(bounds)
    for outputs in references:
        judge.add(outputs, outputs)
    for bound in judge.constant:
        if bound.metric == "relrmse":
            raise BudgetError(
                f"budget {bound.text!r}: output {bound.output} of the fp32 model is one value throughout {where}: a"
                " relative error has no scale: judge another output, or bound its rmse"
            )
    for bound in judge.silent:
        if bound.metric == "sqnr":
            raise BudgetError(
                f"budget {bound.text!r}: output {bound.output} of the fp32 model is zero throughout {where}: there is no"
                " signal: judge another output, or bound its rmse"
            )
    for bound, loss in judge.losses:
        if loss > bound.limit:
            raise BudgetError(
                f"budget {bound.text!r}: the fp32 model itself loses {loss:.4g} on {where}: give a function that loses 0"
                " where nothing changes, or a higher limit"
            )


def _require_more_classes(bound: Bound, outputs: Arrays) -> None:
    rows = np.asarray(outputs[bound.output])[bound.index]
    classes = rows.shape[-1] if rows.ndim else 1
    if classes <= TOP:
        best = bound.metric.replace("top5", "argmax")
        raise BudgetError(
            f"budget {bound.text!r}: output {bound.output} has rows of {classes}, all of which are among the {TOP} best: bound"
            f" {best}, or name an output with more"
        )


def scales(bounds: Sequence[Bound], references: Sequence[Arrays]) -> list[float]:
    """The square of what each bound's error is relative to, over the whole recording: the power of the fp32 output for
    sqnr, its variance for others. Where that is 0: 1 for rmse. 0 for a function of the user's own."""
    found = []
    for bound in bounds:
        error = OutputError()
        for outputs in references if bound.own is None else ():
            exact = np.asarray(outputs[bound.output])[bound.index]
            error.add(exact, exact)
        if bound.metric == "sqnr":
            found.append(error.squares / max(error.elements, 1))
        else:
            found.append(error.variance or float(bound.metric == "rmse"))
    return found
