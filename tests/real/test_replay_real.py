"""Sessions of trained models on recordings keep the contract of the executors: frame by frame, site by site."""

from __future__ import annotations

from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.replay import TOLERANCE, Replay
from reuse_compiler.session import Session
from reuse_compiler.sites import Site, find_sites

Frames = list[dict[str, NDArray[np.float32]]]

FRAMES = {"pilotnet@highway": 24, "ultraface@asl_bird": 5}
# Clusters over the range, step as a share of what they need, deadband in steps.
SETTINGS = {
    "16 clusters": (16, 1.0, 0.0),
    "32 clusters": (32, 1.0, 0.0),
    "256 clusters": (256, 1.0, 0.0),
    "256 clusters of half the step with a deadband": (256, 0.5, 1.0),
    "4096 clusters with a deadband": (4096, 1.0, 8.0),
}


@pytest.fixture(scope="module", params=FRAMES)
def pair(real: ModuleType, request: pytest.FixtureRequest) -> tuple[Model, Frames, dict[str, tuple[float, float]]]:
    """A model, the first frames of its recording, and the range of every site's input over them."""
    chosen = real.PAIRS[request.param]
    model = frontend.load(chosen.model)
    frames = list(islice(chosen.feeds(), FRAMES[request.param]))
    return model, frames, ranges(model, frames)


def ranges(model: Model, frames: Frames) -> dict[str, tuple[float, float]]:
    proto = model.proto()
    shown = {spec.name for spec in (*model.inputs, *model.outputs)}
    tapped = list(dict.fromkeys(site.input for site in find_sites(model)))
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tapped if name not in shown
    )
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict.fromkeys(tapped, (0.0, 0.0))
    for frame in frames:
        values = {**frame, **dict(zip(names, session.run(names, frame), strict=True))}
        for name, (low, high) in found.items():
            found[name] = min(low, float(values[name].min())), max(high, float(values[name].max()))
    return found


def plan_for(model: Model, found: dict[str, tuple[float, float]], setting: tuple[int, float, float]) -> Plan:
    clusters, share, band = setting
    sites = []
    for site in find_sites(model):
        low, high = found[site.input]
        step = np.float32((high - low) / (clusters - 1) * share)
        zero = int(np.clip(np.rint(-low / step), 0, clusters - 1))
        quantizer = LinearQuantizer(float(step), zero, clusters, float(step * np.float32(band)))
        spec = QuantizerSpec.of(quantizer)
        sites.append(SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec))
    return Plan(model=ModelRef(path=str(model.path), sha256=model.sha256), sites=sites)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_every_frame_of_a_session_passes_the_replay(
    pair: tuple[Model, Frames, dict[str, tuple[float, float]]], setting: tuple[int, float, float]
) -> None:
    model, frames, found = pair
    plan = plan_for(model, found, setting)
    session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
    for number, frame in enumerate(frames):
        outputs = session.run(frame)
        replay.check(frame, session.indices, outputs, start=number == 0, linear=session.linear)
    assert replay.result.frames == len(frames)
    assert len(replay.result.sites) == len(find_sites(model)) > 0


def test_the_reuse_model_is_valid_onnx(pair: tuple[Model, Frames, dict[str, tuple[float, float]]]) -> None:
    model, _, found = pair
    reuse = ir.to_proto(rewrite(model, plan_for(model, found, SETTINGS["32 clusters"])))
    onnx.checker.check_model(reuse, full_check=True)
    count = len(find_sites(model))
    assert len(reuse.graph.input) == 1 + 2 * count
    assert len(reuse.graph.output) == len(model.outputs) + 2 * count


def test_linear_outputs_keep_the_contract_in_float64(
    pair: tuple[Model, Frames, dict[str, tuple[float, float]]],
) -> None:
    """What the replay computes in float32 is far closer to float64 than the tolerance that it checks with."""
    model, frames, found = pair
    plan = plan_for(model, found, SETTINGS["256 clusters"])
    quantizers = plan.quantizers()
    session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
    for number, frame in enumerate(frames):
        outputs = session.run(frame)
        result = replay.check(frame, session.indices, outputs, start=number == 0, linear=session.linear)
    indices, linear = session.indices, session.linear
    for site in find_sites(model):
        exact = linear_output(model, site, quantizers[site.node].dequantize(indices[site.node]))
        deviation = float(np.abs(linear[site.node] - exact).max() / np.abs(exact).max())
        assert deviation < TOLERANCE / 10
        assert abs(deviation - result.sites[site.node].linear) < TOLERANCE / 50


def linear_output(model: Model, site: Site, centroids: NDArray[np.float32]) -> NDArray[np.float64]:
    """``B + sum c(k) W`` in float64."""
    x, weight = centroids.astype(np.float64), constant(model, site.weight)
    bias = 0.0 if site.bias is None else constant(model, site.bias)
    if site.geometry is None:
        node = next(node for node in model.ir.graph if node.name == site.node)
        transposed = bool(node.attributes.get_int("transB", 0))
        return np.asarray(x @ (weight.T if transposed else weight) + bias)
    g = site.geometry
    (top, left), (bottom, right) = g.pads_begin, g.pads_end
    grouped = x.reshape(g.group, g.inputs_per_group, *g.in_shape)
    padded = np.pad(grouped, ((0, 0), (0, 0), (top, bottom), (left, right)))
    kernel = weight.reshape(g.group, g.outputs_per_group, g.inputs_per_group, *g.kernel)
    height, width = g.out_shape
    result: NDArray[Any] = np.zeros((g.group, g.outputs_per_group, height * width))
    for i in range(g.kernel[0]):
        for j in range(g.kernel[1]):
            rows, columns = i * g.dilations[0], j * g.dilations[1]
            tap = padded[:, :, rows :: g.strides[0], columns :: g.strides[1]][:, :, :height, :width]
            result += kernel[..., i, j] @ tap.reshape(g.group, g.inputs_per_group, -1)
    return np.asarray(result.reshape(1, g.out_channels, height, width) + np.reshape(bias, (-1, 1, 1)))


def constant(model: Model, name: str) -> NDArray[np.float64]:
    tensor = model.ir.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy().astype(np.float64)
