"""Objectives: what each layer is worth, and the sites where reuse does not pay."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.break_even import break_even
from reuse_compiler.budget_fit import fit_to_budget
from reuse_compiler.cpu_costs import CpuCosts
from reuse_compiler.frontend import Model, load
from reuse_compiler.layer_times import layer_times
from reuse_compiler.objectives import accelerator_worth, cpu_worth, macs_worth
from reuse_compiler.plan import Objective, Plan
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Frame, Stream, open_stream
from reuse_compiler.trial import Trial

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 48] x, float[1, 2, 8, 8] n) => (float[1, 32] y, float[1, 2, 8, 8] z) {
    y = MatMul (x, WY)
    z = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (n, WZ)
}"""
SHAPES = {"WY": (48, 32), "WZ": (2, 2, 3, 3)}
CONVOLUTIONS = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 3, 8, 8] image) => (float[1, 2, 8, 8] y) {
    first = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (image, W1)
    depthwise = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 8> (first, W2)
    pointwise = Conv <kernel_shape = [1, 1]> (depthwise, W3)
    y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (pointwise, W4)
}"""
KERNELS = {"W1": (8, 3, 3, 3), "W2": (8, 1, 3, 3), "W3": (4, 8, 1, 1), "W4": (2, 4, 3, 3)}


def _load(text: str, shapes: Mapping[str, tuple[int, ...]], folder: Path) -> Model:
    generator = np.random.default_rng(0)
    proto = onnx.parser.parse_model(text)
    for name, shape in shapes.items():
        array = generator.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(proto, folder / "model.onnx")
    return load(folder / "model.onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Two layers, one for each input."""
    return _load(NETWORK, SHAPES, tmp_path_factory.mktemp("model"))


def _recording(frames: int = 24) -> list[dict[str, NDArray[np.float32]]]:
    """`x` rests in nine of ten elements, `n` is noise."""
    generator = np.random.default_rng(1)
    x, n = generator.uniform(-2, 2, (frames, 1, 48)), generator.standard_normal((frames, 1, 2, 8, 8))
    for past, now in pairwise(x):
        np.copyto(now, past, where=generator.random(now.shape) < 0.9)
    return [{"x": a, "n": b} for a, b in zip(x.astype(np.float32), n.astype(np.float32), strict=True)]


def _stream(model: Model) -> Stream:
    return open_stream(_recording(), model.inputs)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every node takes a microsecond: a clock that shows whole ones may show none for layers as small as these."""
    monkeypatch.setattr(
        "reuse_compiler.objectives.layer_times",
        lambda model, frames, state: {node.name: 1.0 for node in model.ir.graph},
    )
    # On a machine whose multiplications are slow, so that reuse pays in layers as small as these.
    slow = CpuCosts(
        call=10, stock_call=10, stock_fc=1, row=1, stock_conv=0.6, dense_vector=12, vector=3, stock_depthwise=0.01
    )
    monkeypatch.setattr("reuse_compiler.break_even.machine_costs", lambda: slow)


def _fit(model: Model, objective: Objective) -> Plan:
    return fit_to_budget(model, _stream(model), "relrmse<=0.01", rounds=0, jobs=1, guard=False, objective=objective)


@pytest.mark.parametrize("objective", ["cycles", "energy"])
def test_a_layer_is_worth_what_the_baseline_spends_on_it(model: Model, objective: Objective) -> None:
    sites, slots = find_sites(model), Trial(model).slots
    worth = accelerator_worth(model, sites, slots, objective, load_hardware("isca18"))
    assert min(worth.values()) > 0
    assert sum(worth.values()) == pytest.approx(1)  # there is no other layer
    macs = {"x": 48 * 32, "n": 2 * 2 * 22 * 22}
    assert macs_worth(model, sites, slots) == pytest.approx({name: n / sum(macs.values()) for name, n in macs.items()})


def test_time_is_measured_by_layer(model: Model) -> None:
    frames = [Frame(dict(inputs), not number) for number, inputs in enumerate(_recording(4))]
    assert layer_times(model, frames, {}).keys() == {"y", "z"}
    worth = cpu_worth(model, find_sites(model), Trial(model).slots, frames, {})
    assert all(share >= 0 for share in worth.values())
    assert sum(worth.values()) in (pytest.approx(1), 0.0)  # of layers below the clock's resolution


@pytest.mark.parametrize(
    ("objective", "why"), [("cycles", "cycles a frame with reuse"), ("energy", "pJ"), ("cpu_time", "on a CPU")]
)
@pytest.mark.usefixtures("timed")
def test_a_site_where_reuse_does_not_pay_is_dense_and_says_why(model: Model, objective: Objective, why: str) -> None:
    plan = _fit(model, objective)
    y, z = plan.sites
    assert (y.mode, z.mode) == ("reuse", "dense")
    assert z.reason.startswith("dense: ") and why in z.reason
    assert plan.budget is not None and plan.budget.objective == objective
    for part in (plan.budget.calibration, plan.budget.verification):
        assert part.loss <= 1 and part.reuse > 0.2 and part.weighed is not None


def test_macs_make_nothing_dense(model: Model) -> None:
    plan = _fit(model, "macs")
    assert [site.mode for site in plan.sites] == ["reuse", "reuse"]
    assert plan.budget is not None and plan.budget.calibration.weighed is None


@pytest.mark.usefixtures("timed")
def test_a_break_even_is_where_the_costs_of_this_machine_meet(tmp_path: Path, model: Model) -> None:
    sites = find_sites(_load(CONVOLUTIONS, KERNELS, tmp_path))
    shares = {site.node: break_even(site) for site in (*sites, *find_sites(model))}
    assert shares["depthwise"] is None
    assert all(0 < share < 1 for name, share in shares.items() if share is not None)
    assert {"first", "y"} <= {name for name, share in shares.items() if share is not None}


@pytest.mark.usefixtures("timed")
def test_a_depthwise_layer_is_dense_on_a_cpu(tmp_path: Path) -> None:
    network = _load(CONVOLUTIONS, KERNELS, tmp_path)
    image = np.random.default_rng(2).standard_normal((1, 3, 8, 8)).astype(np.float32)
    frames = [{"image": image + np.float32(0.02 * number) * (np.arange(8) == number % 8)} for number in range(18)]
    stream = open_stream([{"image": frame["image"].astype(np.float32)} for frame in frames], network.inputs)
    plan = fit_to_budget(network, stream, "relrmse<=0.1", rounds=0, jobs=1, guard=False, objective="cpu_time")
    modes = {site.node: (site.mode, site.reason) for site in plan.sites}
    assert modes["depthwise"] == ("dense", "dense: on a CPU it takes longer with reuse, however little changes")
    assert modes["first"][0] == "reuse"
