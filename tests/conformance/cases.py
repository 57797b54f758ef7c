"""A conformance model brought through the compiler: loaded, given a plan, rewritten, and its short stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from reuse_compiler.frontend import Model, load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.profiling import profile
from reuse_compiler.quantizers import MAX_CLUSTERS
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.streams import open_stream
from tests.conformance.binding import bound

__all__ = ["Case", "compile_case"]

_CHANGED = 0.25
_FACTOR = 0.5
_HALF = MAX_CLUSTERS // 2


@dataclass(frozen=True)
class Case:
    """A model of the suite, compiled.

    Parameters
    ----------
    model : Model
        As the frontend gives it, parameters bound.
    plan : Plan
        Every site reuses, with as many clusters as there can be.
    sites : list of Site
    reuse_model : onnx_ir.Model
    frames : list of dict
        What the test gives; where there is a site, followed by a perturbed copy and by what the test gives again.
    """

    model: Model
    plan: Plan
    sites: list[Site]
    reuse_model: ir.Model
    frames: list[dict[str, Any]]


def compile_case(model: onnx.ModelProto, inputs: Mapping[str, Any], folder: Path) -> Case:
    """Bind the parameters among `inputs`, write the model into `folder`, and compile it from there."""
    proto, given = bound(model, inputs)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    loaded = load(path, shapes=_open_shapes(proto, given))
    sites = find_sites(loaded)
    frames = [given, _perturbed(given), given] if sites else [given]
    plan = _planned(loaded, frames) if sites else Plan(model=ModelRef(path=str(path), sha256=loaded.sha256), sites=[])
    return Case(loaded, plan, sites, rewrite(loaded, plan), frames)


def _planned(model: Model, frames: list[dict[str, Any]]) -> Plan:
    """Every site reuses, as finely as there are indices for what `frames` show.

    The centroids reach to 1 at least: a state that is the rounding of a difference of ones has no precision of its own.
    """
    seen = profile(model, open_stream(frames, model.inputs), threads=1)
    sites = []
    for site in seen.sites:
        tensor = seen.tensor_of(site.node)
        reach = max(1.0, -tensor.minimum, tensor.maximum)
        spec = QuantizerSpec(step=float(np.float32(reach / _HALF)), zero=_HALF, clusters=MAX_CLUSTERS)
        sites.append(SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec))
    return Plan(model=seen.model, sites=sites)


def _open_shapes(model: onnx.ModelProto, inputs: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of the inputs that the model leaves open."""
    shapes = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        is_open = not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim)
        if value.type.HasField("tensor_type") and is_open and value.name in inputs:
            shapes[value.name] = np.shape(inputs[value.name])
    return shapes


def _perturbed(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which a quarter of the elements of every float tensor, one at least, are halved: within its range."""
    generator = np.random.default_rng(0)
    return {name: _halved(value, generator) for name, value in inputs.items()}


def _halved(value: Any, generator: np.random.Generator) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.any():
        return value
    chosen = generator.random(value.size) < _CHANGED
    chosen[np.flatnonzero(value)[0]] = True
    return np.where(chosen.reshape(value.shape), value * value.dtype.type(_FACTOR), value)
