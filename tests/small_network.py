"""A network of five sites with seeded weights that are no dyadic fractions, and plans for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.frontend import Model
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.sites import find_sites

SITES = ("a", "c", "d", "g", "y")

_NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 8, 8] x) => (float[1, 4] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (b, W2)
    s = Tanh (c)
    d = Conv (s, W3)
    f = Flatten (d)
    g = Gemm (f, W4, B4)
    h = Relu (g)
    y = Gemm (h, W5)
}"""
_SHAPES = {"W1": (6, 2, 3, 3), "B1": (6,), "W2": (6, 6, 3, 3), "W3": (4, 6, 1, 1), "W4": (64, 12), "B4": (12,)}
_SHAPES |= {"W5": (12, 4)}
_RANGE = {"a": 3.0, "c": 12.0, "d": 1.0, "g": 4.0, "y": 30.0}


def small_model() -> Model:
    """The network."""
    generator = np.random.default_rng(11)
    proto = onnx.parser.parse_model(_NETWORK)
    for name, shape in _SHAPES.items():
        weight = generator.standard_normal(shape).astype(np.float32) / 3
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


def small_plan(
    model: Model,
    *,
    clusters: int = 201,
    deadband: float = 0.0,
    refresh: RefreshPlan | None = None,
    guard: GuardPlan | None = None,
    dense: Iterable[str] = (),
) -> Plan:
    """Every site reuses but those of `dense`; `deadband` is a share of each site's range."""
    sites = []
    for site in find_sites(model):
        reach = _RANGE[site.node]
        quantizer = LinearQuantizer(2 * reach / (clusters - 1), clusters // 2, clusters, deadband * reach)
        reuses = site.node not in dense
        sites.append(
            SitePlan(
                node=site.node,
                input=site.input,
                op=site.op,
                mode="reuse" if reuses else "dense",
                quantizer=QuantizerSpec.of(quantizer) if reuses else None,
            )
        )
    model_ref = ModelRef(path="model.onnx", sha256=model.sha256)
    return Plan(model=model_ref, sites=sites, refresh=refresh, guard=guard)


def walk(frames: int, *, share: float = 0.2, seed: int = 0) -> list[NDArray[np.float32]]:
    """Frames of which `share` of the elements is new, the rest as before."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-2, 2, (1, 2, 8, 8)).astype(np.float32)
    found = []
    for _ in range(frames):
        x = np.where(generator.random(x.shape) < share, generator.uniform(-2, 2, x.shape).astype(np.float32), x)
        found.append(x)
    return found
