"""The cost model at the paper's own reuse rates, on the paper's four networks: shapes count, weights are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.frontend import Model, load
from reuse_compiler.models import autopilot, eesen, kaldi
from reuse_compiler.models.c3d import network as c3d
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.reproduce.documents import SameInput
from reuse_compiler.reproduce.paper import ENERGY_SAVING, NETWORKS, REUSE, REUSE_ORDER
from reuse_compiler.reproduce.same_input import same_input
from reuse_compiler.reproduce.shapes import layer_shapes
from reuse_compiler.sites import find_sites


def _c3d() -> ir.Model:
    return c3d.build(c3d.C3D, {name: np.zeros(shape, np.float32) for name, shape in c3d.weight_shapes(c3d.C3D).items()})


BUILT: dict[str, Callable[[], ir.Model]] = {
    "kaldi": kaldi.build,
    "eesen": eesen.build,
    "c3d": _c3d,
    "autopilot": autopilot.build,
}
MACS = {"kaldi": 4_642_400, "eesen": 3_296_640_000, "c3d": 33_010_432_512, "autopilot": 28_218_470}
"""Of a frame, products with padding left out; with them C3D has 38.5 G."""


def everything_reuses(model: Model, clusters: int) -> Plan:
    quantizer = QuantizerSpec.of(LinearQuantizer(step=0.1, zero=clusters // 2, clusters=clusters))
    return Plan(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        sites=[
            SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=quantizer)
            for site in find_sites(model)
        ],
    )


@pytest.fixture(scope="module")
def found() -> dict[str, SameInput]:
    """Of every network; on the way, its parameters and its multiply-accumulates are held against the paper's."""
    hardware, costs = load_hardware("isca18"), {}
    for name, build in BUILT.items():
        with TemporaryDirectory() as folder:
            ir.save(build(), Path(folder) / "model.onnx")
            model = load(Path(folder) / "model.onnx")
        shapes = layer_shapes(model)
        assert sum(shape.parameters for shape in shapes) == NETWORKS[name].parameters
        assert sum(shape.macs for shape in shapes) == MACS[name]
        reusing = rewrite(model, everything_reuses(model, NETWORKS[name].clusters))
        costs[name] = same_input(name, lower(reusing, hardware.tiling, model.sha256), hardware, REUSE_ORDER[name])
    return costs


def test_the_rates_are_the_papers() -> None:
    assert sorted(REUSE_ORDER.values()) == sorted(REUSE.values)


def test_speedups_are_within_a_tenth_of_their_bound(found: dict[str, SameInput]) -> None:
    for name, one in found.items():
        assert one.drawn_reuse == pytest.approx(one.reuse, abs=0.01)
        assert one.speedup == pytest.approx(1 / (1 - one.reuse), rel=0.1), name


def test_the_energy_saving_is_within_five_points_of_the_papers(found: dict[str, SameInput]) -> None:
    assert 100 * fmean(one.energy_saving for one in found.values()) == pytest.approx(
        100 * ENERGY_SAVING.values[0], abs=5
    )
