"""How the widths of a tensor's channels differ: wide where much changes and little is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from reuse_compiler.frontend import Model
from reuse_compiler.search.candidate import Candidate, Range, Window
from reuse_compiler.sites import Site
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial

__all__ = ["channel_shapes"]

_FINE = 2.0**-13
_FARTHEST = 8.0
_SMALLEST = 1e-3


def channel_shapes(
    model: Model, trial: Trial, frames: Sequence[Frame], ranges: Mapping[str, Range], state: Mapping[str, str]
) -> dict[str, tuple[float, ...]]:
    """Widths of channels in shares of their tensor's: the root of what a channel changes by over what its weights weigh.

    An element that wanders by s a frame leaves a deadband of d in about (d / s)^2 frames, and errs by a mean square of
    d^2 / 3, which weights of norm g pass on as g^2 d^2 / 3. The least of the sum of errors for a given sum of (s / d)^2
    is where d^4 is in proportion to s^2 / g^2.

    Of tensors of several channels that change, which all their sites read along one axis; their geometric mean is 1, and
    none is more than 8 times it or less than an eighth.
    """
    readers = _readers(trial, ranges)
    shapes = {}
    for tensor, changed in _changes(trial, frames, list(readers), ranges, state).items():
        weighed = np.sqrt(np.sum([_weigh(model, site) for site in readers[tensor]], axis=0))
        if len(changed) < 2 or not changed.any() or not weighed.any():
            continue
        ratio = np.maximum(changed, changed.max() * _SMALLEST) / np.maximum(weighed, weighed.max() * _SMALLEST)
        shapes[tensor] = tuple(np.exp(_centred(np.log(ratio) / 2)).tolist())
    return shapes


def _centred(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shifted and cut off so that none is beyond the logarithm of 8 and their mean is 0."""
    bound = np.log(_FARTHEST)

    def cut(shift: float) -> NDArray[np.float64]:
        return np.asarray(np.clip(logs - shift, -bound, bound))

    return cut(brentq(lambda shift: float(cut(shift).mean()), logs.min() - bound, logs.max() + bound))


def _readers(trial: Trial, ranges: Mapping[str, Range]) -> dict[str, list[Site]]:
    """The sites of each tensor that all of them read along one axis, counted from the last."""
    readers: dict[str, list[Site]] = {}
    for slot in trial.slots:
        if slot.tensor in ranges:
            readers.setdefault(slot.tensor, []).extend(slot.sites)
    return {tensor: sites for tensor, sites in readers.items() if len({_rank(site) for site in sites}) == 1}


def _rank(site: Site) -> int:
    rank = len(site.frame_shape)
    return rank - site.channel_axis % rank


def _changes(
    trial: Trial,
    frames: Sequence[Frame],
    tensors: Sequence[str],
    ranges: Mapping[str, Range],
    state: Mapping[str, str],
) -> dict[str, NDArray[np.float64]]:
    """Root mean square of what each channel changes by from frame to frame: float64 [channels], by tensor; none where
    every frame begins a sequence."""
    finest = Candidate({tensor: Window(max(-ranges[tensor][0], ranges[tensor][1]) * _FINE, 2.0) for tensor in tensors})
    quantizers = finest.quantizers(ranges)
    squares: dict[str, NDArray[np.float64]] = {}
    for frame in trial.run(quantizers, frames, state, squares=True):
        if frame.squares is None:
            continue
        for slot, found in zip(trial.slots, frame.squares, strict=True):
            if slot.tensor in quantizers:
                squares[slot.tensor] = squares.get(slot.tensor, 0.0) + found * quantizers[slot.tensor].step ** 2
    return {tensor: np.sqrt(found) for tensor, found in squares.items()}


def _weigh(model: Model, site: Site) -> NDArray[np.float64]:
    """Squares of a site's weights, summed for each channel that it reads: float64 [channels]."""
    value = model.ir.graph.initializers[site.weight].const_value
    assert value is not None
    squares = value.numpy().astype(np.float64) ** 2
    if site.geometry is not None and not site.geometry.transposed:
        group = site.geometry.group
        grouped = squares.reshape(group, -1, site.geometry.inputs_per_group, int(np.prod(site.geometry.kernel)))
        return np.asarray(grouped.sum(axis=(1, 3))).reshape(-1)
    axis = _input_axis(model, site)
    return np.asarray(squares.sum(axis=tuple(other for other in range(squares.ndim) if other != axis)))


def _input_axis(model: Model, site: Site) -> int:
    """The axis of a site's weights that its channels lie along."""
    if site.recurrent is not None:
        return 2
    if site.op != "Gemm":
        return 0
    node = next(node for node in model.ir.graph if node.name == site.node)
    return 1 if node.attributes.get_int("transB", 0) else 0
