"""Share a loss out among tensors: each gets the width at which reuse per loss is worth the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.model_profile import Profile
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.evaluator import Evaluator

__all__ = ["Sensitivity", "allocate", "measure_sensitivity"]

LEVELS = (-9, -7, -5, -3)
"""Widths at which the loss is measured, in octaves of a tensor's largest magnitude."""
_GRID = np.arange(-14, -0.9, 0.25)
"""Widths that allocation chooses from, in the same unit."""
_NOTHING = 1e-30


@dataclass(frozen=True)
class Sensitivity:
    """What the model loses and saves with one tensor quantized.

    Parameters
    ----------
    tensors : sequence of str
    widths : float64 array [tensors, grid]
    errors : float64 array [tensors, grid]
        Squared loss, as a share of what is allowed, which adds up over tensors as far as errors are independent.
    savings : float64 array [tensors, grid]
        Share of the model's multiply-accumulates that is avoided.
    ratio : float
        Step over width.
    """

    tensors: Sequence[str]
    widths: NDArray[np.float64]
    errors: NDArray[np.float64]
    savings: NDArray[np.float64]
    ratio: float


def measure_sensitivity(
    evaluator: Evaluator, profile: Profile, peaks: Mapping[str, float], ratio: float
) -> Sensitivity:
    """Quantize one tensor at a time at four widths; savings are read from the profile."""
    tensors = list(peaks)
    tried = [Candidate({tensor: peaks[tensor] * 2.0**level}, ratio) for tensor in tensors for level in LEVELS]
    outcomes = evaluator.evaluate_all(tried)
    measured = np.array([outcome.loss**2 for outcome in outcomes]).reshape(len(tensors), len(LEVELS))
    widths = np.array([[peaks[tensor] * 2.0**level for level in _GRID] for tensor in tensors])
    return Sensitivity(
        tensors=tensors,
        widths=widths,
        errors=np.array([_between(row) for row in measured]),
        savings=np.array([_savings(profile, tensor, row, ratio) for tensor, row in zip(tensors, widths, strict=True)]),
        ratio=ratio,
    )


def _between(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Errors on the grid: between two levels in the logarithm, but never less than the square law from the one above.

    Pictures step by whole grey levels, so that the error falls off a cliff below one, and the logarithm alone would
    promise far too little on the way up.
    """
    levels, logs = np.array(LEVELS, float), np.log(np.maximum(measured, _NOTHING))
    found = []
    for level in _GRID:
        above = int(np.searchsorted(levels, level))
        if above == len(levels):
            found.append(measured[-1] * 4.0 ** (level - levels[-1]))
            continue
        square = measured[above] * 4.0 ** (level - levels[above])
        between = math.exp(float(np.interp(level, levels, logs))) if above else 0.0
        found.append(max(square, between))
    return np.array(found)


def _savings(profile: Profile, tensor: str, widths: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """A width is half the window in which an element stays; a memoryless quantizer's step is the window."""
    sites = [site for site in profile.sites if site.input == tensor]
    saved = [
        sum(profile.reuse(site.node, max(ratio, 2.0) * float(width)).value * site.macs for site in sites)
        for width in widths
    ]
    return np.array(saved) / max(profile.macs, 1)


def allocate(sensitivity: Sensitivity, price: float) -> Candidate:
    """The widths that maximize savings minus `price` times error, tensor by tensor; of equals the smallest."""
    best = np.argmax(sensitivity.savings - price * sensitivity.errors, axis=1)
    chosen = zip(sensitivity.tensors, sensitivity.widths, best, strict=True)
    return Candidate({tensor: float(widths[place]) for tensor, widths, place in chosen}, sensitivity.ratio)
