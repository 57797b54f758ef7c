"""The most reuse at a loss in hindsight: a plan whose widths are scaled until the frames it is judged on use the loss up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reuse_compiler.budget import Bound
from reuse_compiler.frontend import Model
from reuse_compiler.macs import model_macs
from reuse_compiler.metrics import Judge
from reuse_compiler.plan import Plan
from reuse_compiler.quantizers import MAX_CLUSTERS, LinearQuantizer
from reuse_compiler.reference import Reference
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial

__all__ = ["reuse_in_hindsight"]

_OCTAVES = np.arange(2.0, -2.01, -0.125)
_BETWEEN = 0.0625


def reuse_in_hindsight(model: Model, plan: Plan, bounds: Sequence[Bound], frames: Sequence[Frame]) -> float:
    """Reuse of the widest scaling of `plan` that keeps `bounds` on `frames`, in sixteenths of an octave from a quarter to four
    times its widths; 0 where none keeps them."""
    trial, reference = Trial(model), Reference(model, plan.state, threads=1)
    references = [reference.run(frame) for frame in frames]
    worth = np.array([slot.macs for slot in trial.slots]) / model_macs(model, find_sites(model))
    elements = np.array([slot.elements for slot in trial.slots], np.float64) * len(frames)

    def reuse(octaves: float) -> float | None:
        quantizers = {
            site.input: _scaled(site.quantizer.build(), 2.0**octaves)
            for site in plan.sites
            if site.quantizer is not None and site.quantizer.kind == "linear"
        }
        judge, changed = Judge(bounds), np.zeros(len(trial.slots), np.int64)
        for exact, frame in zip(references, trial.run(quantizers, frames, plan.state), strict=True):
            judge.add(exact, frame.outputs)
            changed += frame.changed
        return float(((1 - changed / elements) * worth).sum()) if judge.excess <= 1 else None

    for octaves in _OCTAVES:
        found = reuse(float(octaves))
        if found is not None:
            return reuse(float(octaves) + _BETWEEN) or found
    return 0.0


def _scaled(quantizer: LinearQuantizer, factor: float) -> LinearQuantizer:
    """Step and deadbands times `factor`, over the same range."""
    low, high = quantizer.zero * quantizer.step, (quantizer.clusters - 1 - quantizer.zero) * quantizer.step
    step = float(np.float32(max(quantizer.step * factor, (low + high) / (MAX_CLUSTERS - 3))))
    zero = math.ceil(low / step)
    bands = np.atleast_1d(np.asarray(quantizer.deadband, np.float32) * np.float32(factor))
    return LinearQuantizer(
        step,
        zero,
        max(zero + math.ceil(high / step) + 1, 2),
        tuple(map(float, bands)) if isinstance(quantizer.deadband, tuple) else float(bands[0]),
    )
