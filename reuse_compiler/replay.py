"""Verify a run by replay: recorded indices fed back, as centroids, into the original network.

Two correct executors may part from an element where two inputs differ by rounding and lie on both sides of a
quantizer's edge, and such a flip cascades. So a run is not held against another run but against its own indices: each
must be right for the input that the network computes from the indices before it, and the linear outputs and the outputs
must follow from them.

A deviation is a share of the scale of its tensor: the largest magnitude in this frame plus 4 % of the largest since the
sequence began, because a linear output that is corrected frame by frame in float32 holds no more than that. At most
1e-4 is allowed. The replay computes in float32, within 1e-6 of float64 on the models that it was tried on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError, VerificationError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import Model
from reuse_compiler.index_check import distance_to_right
from reuse_compiler.onnx_session import one_line, open_session
from reuse_compiler.passes.replay_sites import ReplaySites, replayed_name, seen_name
from reuse_compiler.passes.rewrite import planned_quantizers
from reuse_compiler.plan import Plan
from reuse_compiler.quantizers import Index, Quantizer
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.steps import before_steps
from reuse_compiler.streams import Frame
from reuse_compiler.streams.checks import conform, expected_inputs

__all__ = ["TOLERANCE", "Replay", "ReplayResult", "SiteDeviation"]

Arrays = Mapping[str, NDArray[Any]]

TOLERANCE = 1e-4
"""The largest deviation allowed, as a share of the tensor's scale."""

_MEMORY = 0.04
"""What the largest magnitude since the sequence began adds to the scale."""

_DIFFERING = 1e-3
"""The share of elements of an output that is no float (a label, a mask) that may differ: ties."""


@dataclass(frozen=True)
class SiteDeviation:
    """The largest deviations of one site.

    Parameters
    ----------
    flips : int
        Elements whose index is right for an input near the one that the replay computed, and not for that one.
    index : float
        The farthest that such an input lies from where its index is right, as a share of the input's scale.
    linear : float
        Largest deviation of the linear output, as a share of its scale; 0 where none was recorded.
    """

    flips: int = 0
    index: float = 0.0
    linear: float = 0.0

    def merge(self, other: SiteDeviation) -> SiteDeviation:
        """Of the frames of both."""
        return SiteDeviation(self.flips + other.flips, max(self.index, other.index), max(self.linear, other.linear))


@dataclass(frozen=True)
class ReplayResult:
    """Deviations of verified frames: by reuse site in topological order, and by output as a share of its scale."""

    frames: int = 0
    sites: Mapping[str, SiteDeviation] = field(default_factory=dict)
    outputs: Mapping[str, float] = field(default_factory=dict)

    def merge(self, other: ReplayResult) -> ReplayResult:
        """Of the frames of both."""
        return ReplayResult(
            self.frames + other.frames,
            {node: self.sites.get(node, SiteDeviation()).merge(found) for node, found in other.sites.items()},
            {name: max(self.outputs.get(name, 0.0), found) for name, found in other.outputs.items()},
        )


class Replay:
    """Checks a run frame by frame; holds one frame at a time.

    Parameters
    ----------
    model : Model
        The original.
    plan : Plan
        What the run executed; its state is fed back from the recorded outputs.
    threads : int, optional
        Threads of onnxruntime inside an operator; all cores by default.

    Attributes
    ----------
    result : ReplayResult
        Of all frames so far.

    Raises
    ------
    PlanError
        If the plan does not fit the model.
    ModelError
        If onnxruntime does not take the model.
    """

    def __init__(self, model: Model, plan: Plan, *, threads: int | None = None) -> None:
        sites = find_sites(model)
        self._quantizers = planned_quantizers(model, plan, sites)
        self._sites = [site for site in sites if site.node in self._quantizers]
        network = model.ir.clone()
        ReplaySites(tuple(self._sites))(network)
        self._name = str(model.path)
        self._session = open_session(network, threads, self._name)
        self._fetched = [output.name for output in self._session.get_outputs()]
        self._outputs = [spec.name for spec in model.outputs]
        self._streamed, self._fed_back = expected_inputs(model.inputs, plan.state), dict(plan.state)
        self._feedback = Feedback(plan.state, model.inputs, model.outputs)
        self._past: dict[str, Index] = {}
        self._peaks: dict[str, float] = {}
        self.result = ReplayResult()

    def check(
        self,
        inputs: Arrays,
        indices: Arrays,
        outputs: Arrays,
        *,
        start: bool,
        anew: bool = False,
        linear: Arrays | None = None,
    ) -> ReplayResult:
        """Verify one frame, and give its deviations.

        Parameters
        ----------
        inputs : mapping
            The frame: the model's own inputs but those that outputs are fed back to.
        indices : mapping
            By reuse site: uint8 or uint16, in the shape of the site's input.
        outputs : mapping
            The model's own outputs.
        start : bool
            Whether the frame begins a sequence. The first one does in any case.
        anew : bool
            Whether the executor's guard had the frame quantized anew: from zero indices, within a sequence.
        linear : mapping, optional
            By reuse site: float32, in the shape of the linear output.

        Raises
        ------
        VerificationError
            That names the first site in topological order whose indices or linear output are wrong, or else the first
            output. The frames after it cannot be verified until a sequence starts.
        """
        if start or anew or not self.result.frames:
            self._past = {site.node: _zeros(site, self._quantizers[site.node]) for site in self._sites}
            self._peaks = {}
        frame = f"replay: frame {self.result.frames}"
        _check_names(f"{frame}: indices", indices, [site.node for site in self._sites])
        _check_names(f"{frame}: outputs", outputs, self._outputs)
        if linear is not None:
            _check_names(f"{frame}: linear outputs", linear, [site.node for site in self._sites])
        arrays = conform(inputs, self._streamed, self._fed_back, frame)
        computed = self._replay(self._feedback.feed(Frame(arrays, start)), indices, frame)
        found: dict[str, SiteDeviation] = {}
        for site in self._sites:
            where = f"{frame}: site {site.node}"
            flips, index = self._check_index(site, computed, indices[site.node], where)
            deviation = 0.0
            if linear is not None:
                deviation = self._check_values(site.output, computed, linear[site.node], f"{where}: linear output")
            found[site.node] = SiteDeviation(flips, index, deviation)
        shares = {
            name: self._check_values(name, computed, outputs[name], f"{frame}: output {name}") for name in self._outputs
        }
        self._past = {site.node: self._held(site, indices[site.node]) for site in self._sites}
        self._feedback.take(outputs)
        result = ReplayResult(1, found, shares)
        self.result = self.result.merge(result)
        return result

    def _replay(self, arrays: dict[str, NDArray[Any]], indices: Arrays, frame: str) -> dict[str, NDArray[Any]]:
        """Every tensor that is compared, computed from the centroids of `indices`."""
        centroids = {}
        for site in self._sites:
            quantizer, index = self._quantizers[site.node], indices[site.node]
            where = f"{frame}: site {site.node}"
            if index.shape != site.shape or index.dtype != quantizer.index_dtype:
                raise VerificationError(
                    f"{where}: indices are {index.dtype} {list(index.shape)}, the site takes {quantizer.index_dtype}"
                    f" {list(site.shape)}: record them with this plan"
                )
            centroids[replayed_name(site.node)] = quantizer.dequantize(index)
        try:
            values = self._session.run(self._fetched, {**arrays, **centroids})
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{self._name}: onnxruntime cannot run it: {one_line(error)}") from error
        return {**arrays, **dict(zip(self._fetched, values, strict=True))}

    def _scale(self, name: str, values: NDArray[Any]) -> float:
        """Of a tensor that was zero altogether since the sequence began (behind a Relu, say) that of the largest other."""
        largest = float(np.abs(values).max(initial=0))
        self._peaks[name] = max(self._peaks.get(name, 0.0), largest)
        return largest + _MEMORY * (self._peaks[name] or max(self._peaks.values()))

    def _held(self, site: Site, index: Index) -> Index:
        """What the first step of the next frame is compared with."""
        if site.recurrent is None:
            return index.copy()
        return _zeros(site, self._quantizers[site.node]) if site.recurrent.reverse else index[-1].copy()

    def _check_index(self, site: Site, computed: Arrays, index: Index, where: str) -> tuple[int, float]:
        """Number of flips and the largest distance of one, as a share of the scale of the site's input."""
        quantizer, name = self._quantizers[site.node], site.input if site.recurrent is None else seen_name(site.node)
        x, past = computed[name], self._past[site.node]
        if site.recurrent is not None:
            past = before_steps(index, past, reverse=site.recurrent.reverse)
        if int(index.max(initial=0)) >= quantizer.clusters:
            raise VerificationError(
                f"{where}: index {index.max()} of {quantizer.clusters} clusters: record them with this plan"
            )
        if not np.isfinite(x).all():
            raise VerificationError(f"{where}: its input is not finite in the replay: the run is not usable")
        scale = self._scale(name, x)
        distance = distance_to_right(quantizer, x, past, index, site.channel_axis)
        worst = np.unravel_index(distance.argmax(), distance.shape) if distance.size else ()
        share = _share(float(distance[worst]) if distance.size else 0.0, scale)
        if share > TOLERANCE:
            raise VerificationError(
                f"{where}: index {index[worst]} at {[int(i) for i in worst]} is not right for input {x[worst]:.9g} nor"
                f" for any within {TOLERANCE * scale:.3g} of it: the run is not usable"
            )
        return int(np.count_nonzero(distance)), share

    def _check_values(self, name: str, computed: Arrays, recorded: NDArray[Any], where: str) -> float:
        """The deviation of `recorded` from what the replay computed, as a share of the scale."""
        expected = computed[name]
        if recorded.shape != expected.shape or recorded.dtype != expected.dtype:
            raise VerificationError(
                f"{where}: recorded as {recorded.dtype} {list(recorded.shape)}, it is {expected.dtype}"
                f" {list(expected.shape)}: record it with this model"
            )
        if expected.dtype.kind != "f":
            share = float(np.mean(recorded != expected)) if expected.size else 0.0
            if share > _DIFFERING:
                raise VerificationError(f"{where}: {share:.2%} of its elements differ: the run is not usable")
            return share
        difference = np.abs(recorded - expected)
        share = _share(float(difference.max(initial=0)), self._scale(name, expected))
        if not share <= TOLERANCE:
            worst = np.unravel_index(difference.argmax(), difference.shape)
            raise VerificationError(
                f"{where}: {recorded[worst]:.9g} at {[int(i) for i in worst]}, the replay gives {expected[worst]:.9g}:"
                f" {share:.2g} of its scale, {TOLERANCE:g} is allowed: the run is not usable"
            )
        return share


def _zeros(site: Site, quantizer: Quantizer) -> Index:
    return np.full(site.frame_shape, quantizer.zero, quantizer.index_dtype)


def _share(deviation: float, scale: float) -> float:
    return deviation / scale if scale else (0.0 if deviation == 0 else np.inf)


def _check_names(where: str, given: Arrays, expected: list[str]) -> None:
    missing = next((name for name in expected if name not in given), None)
    if missing is not None:
        raise VerificationError(f"{where}: none recorded for {missing}: record the run again")
    unknown = next((name for name in given if name not in expected), None)
    if unknown is not None:
        raise VerificationError(f"{where}: {unknown} is not in the plan: replay the run with the plan that it had")
