"""Share a loss out among tensors: each gets the width at which reuse per loss is worth the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.model_profile import Profile
from reuse_compiler.search.candidate import Candidate, Window
from reuse_compiler.search.evaluator import Evaluator

__all__ = ["Sensitivity", "allocate", "measure_sensitivity", "savings"]

LEVELS = (-9, -7, -5, -3)
"""Widths at which the loss is measured, in octaves of a tensor's largest magnitude."""
_RATIO = 1.4
"""Step over width of these: between the memoryless quantizer and one that follows exactly."""
_RUNS = 4000
_FRAMES = (16, 60)
"""All runs of the network that sensitivity takes, and the fewest and most frames of one trial."""
_GRID = np.arange(-14, -0.9, 0.25)
"""Widths that allocation chooses from, in octaves of a tensor's largest magnitude."""
_UNIT = 0.1
_NOTHING = 1e-30


@dataclass(frozen=True)
class Sensitivity:
    """What the model loses and saves with one tensor quantized.

    Parameters
    ----------
    tensors : sequence of str
    widths : float64 array [tensors, grid]
    errors : float64 array [tensors, grid]
        Squares of relative RMSE in units of 0.1, which add up over tensors as far as errors are independent.
    """

    tensors: Sequence[str]
    widths: NDArray[np.float64]
    errors: NDArray[np.float64]


def measure_sensitivity(
    evaluator: Evaluator, peaks: Mapping[str, float], shapes: Mapping[str, tuple[float, ...]]
) -> Sensitivity:
    """Quantize one tensor at a time at four widths, on 16 to 60 frames."""
    tensors = list(peaks)
    tried = [
        Candidate({tensor: Window(peaks[tensor] * 2.0**level, _RATIO)}, shapes)
        for tensor in tensors
        for level in LEVELS
    ]
    frames = min(max(_RUNS // len(tried), _FRAMES[0]), _FRAMES[1])
    outcomes = evaluator.excerpt(frames).evaluate_all(tried)
    measured = np.array([(outcome.error / _UNIT) ** 2 for outcome in outcomes]).reshape(len(tensors), len(LEVELS))
    return Sensitivity(
        tensors=tensors,
        widths=np.array([[peaks[tensor] * 2.0**level for level in _GRID] for tensor in tensors]),
        errors=np.array([_between(np.minimum(row, 1 / _NOTHING)) for row in measured]),
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


def savings(
    profile: Profile, worth: Mapping[str, float], sensitivity: Sensitivity, ratio: float
) -> NDArray[np.float64]:
    """What the widths of a sensitivity save, by the profile: shares of the model's cost, float64 [tensors, grid].

    `worth` is what no change at all in a site would save, by site. A width is half the window in which an element stays;
    a memoryless quantizer's step is the window.
    """
    found = np.zeros(sensitivity.widths.shape)
    for row, tensor in enumerate(sensitivity.tensors):
        for site in profile.sites:
            if site.input == tensor:
                windows = max(ratio, 2.0) * sensitivity.widths[row]
                found[row] += [profile.reuse(site.node, float(window)).value * worth[site.node] for window in windows]
    return found


def allocate(sensitivity: Sensitivity, saved: NDArray[np.float64], price: float, like: Window) -> dict[str, Window]:
    """The windows whose widths maximize savings minus `price` times error, tensor by tensor; of equals the smallest. The
    rest is as of `like`."""
    best = np.argmax(saved - price * sensitivity.errors, axis=1)
    chosen = zip(sensitivity.tensors, sensitivity.widths, best, strict=True)
    return {tensor: replace(like, width=float(widths[place])) for tensor, widths, place in chosen}
