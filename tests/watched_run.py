"""A run whose trace is watched: a small network with a layer on the host, in two sequences, with a scene cut for the guard."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.frontend import Model
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.report import Report
from reuse_compiler.simulation import FrameWatcher, simulate
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import open_stream

__all__ = ["FRAMES", "STARTS", "WatchedRun", "watched_run"]

# Two sites that read one tensor, so that it is quantized once; a dense one; a layer for the host.
_NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 8, 8] x) => (float[1, 4] y, int64[1, 1] label) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (b, W2)
    d = Conv (b, W3)
    e = GlobalAveragePool (d)
    f = Flatten (c)
    g = MatMul (f, W4)
    k = Flatten (e)
    m = Gemm (k, W5)
    y = Add (g, m)
    one = Constant <value_ints = [1]> ()
    largest, label = TopK <axis = 1> (y, one)
}"""
_SHAPES = {"W1": (6, 2, 3, 3), "B1": (6,), "W2": (6, 6, 3, 3), "W3": (3, 6, 1, 1), "W4": (96, 4), "W5": (3, 4)}
_QUANTIZERS = {
    "x": LinearQuantizer(0.25, 16, 33, 0.25),
    "b": LinearQuantizer(0.5, 1, 200),
    "f": LinearQuantizer(0.5, 100, 201),
}
STARTS = (0, 70)
FRAMES = 100
_CUT = 40


@dataclass(frozen=True)
class WatchedRun:
    """A model, its program, and a stream."""

    model: Model
    plan: Plan
    program: Program
    hardware: Hardware

    def run(self, watchers: Sequence[AbstractContextManager[FrameWatcher]] = (), *, frames: int = FRAMES) -> Report:
        """The report of the first `frames` frames."""
        return simulate(
            self.model,
            self.program,
            open_stream(lambda: _frames(frames), self.model.inputs),
            hardware=self.hardware,
            plan=self.plan,
            watchers=watchers,
            threads=1,
        )

    def dense(self) -> WatchedRun:
        """The same without reuse."""
        sites = [site.model_copy(update={"mode": "dense", "quantizer": None}) for site in self.plan.sites]
        plan = self.plan.model_copy(update={"sites": sites, "guard": None})
        program = lower(rewrite(self.model, plan), self.hardware.tiling, self.model.sha256)
        return replace(self, plan=plan, program=program)


def _frames(count: int) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(5)
    x = generator.uniform(-2, 2, (2, 8, 8)).astype(np.float32)
    for number in range(count):
        share = 1.0 if number == _CUT else 0.1
        fresh = generator.uniform(-2, 2, x.shape).astype(np.float32)
        x = np.where(generator.random(x.shape) < share, fresh, x)
        yield {"x": x, "__start__": number in STARTS}


def watched_run() -> WatchedRun:
    """Seeded weights, `c` and `d` on one quantizer, `m` dense."""
    generator = np.random.default_rng(11)
    proto = onnx.parser.parse_model(_NETWORK)
    for name, shape in _SHAPES.items():
        weight = generator.standard_normal(shape).astype(np.float32) / 3
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        model = frontend.load(path)
    sites = []
    for site in find_sites(model):
        quantizer = _QUANTIZERS.get(site.input)
        spec = None if quantizer is None else QuantizerSpec.of(quantizer)
        mode = "dense" if spec is None else "reuse"
        sites.append(SitePlan(node=site.node, input=site.input, op=site.op, mode=mode, quantizer=spec))  # type: ignore[arg-type]
    guard = GuardPlan(changed=0.6, clipped={}, quiet=None)
    plan = Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites, guard=guard)
    hardware = load_hardware("isca18")
    return WatchedRun(model, plan, lower(rewrite(model, plan), hardware.tiling, model.sha256), hardware)
