"""A thousand frames of a network of CONV and FC through the native kernels, frame by frame held against its own indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.operators import initial_index, initial_linear, reuse_nodes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.replay import Replay
from reuse_compiler.state_layout import channels_first
from tests.backend.cpu.native_run import Arrays, open_model, run_frames
from tests.backend.cpu.node_cases import kernels_under_test
from tests.small_network import SITES, small_model, small_plan, walk

LIBRARY = kernels_under_test()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")
FRAMES = 1000
Float64 = NDArray[np.float64]


@pytest.mark.parametrize(("clusters", "deadband"), [(201, 0.0), (1001, 0.01)])
def test_every_index_is_right_and_every_linear_output_follows_from_them(clusters: int, deadband: float) -> None:
    model = small_model()
    plan = small_plan(model, clusters=clusters, deadband=deadband)
    reuse = rewrite(model, plan)
    nodes = {str(node.name): node for node in reuse_nodes(reuse)}
    assert set(nodes) == set(SITES)
    state: Arrays = {}
    for name, node in nodes.items():
        state[f"past_index_{name}"] = np.ascontiguousarray(initial_index(node))
        state[f"past_linear_{name}"] = np.ascontiguousarray(initial_linear(node))
    frames = [{"x": x} for x in walk(FRAMES)]
    session = open_model(ir.to_proto(reuse).SerializeToString(), LIBRARY)
    replay = Replay(model, plan, threads=1)
    quantizers = {site.node: site.quantizer.build() for site in plan.sites if site.quantizer is not None}
    for number, outputs in enumerate(run_frames(session, frames, state)):
        indices, linear = _sites(outputs, "index"), _sites(outputs, "linear")
        replay.check(frames[number], indices, {"y": outputs["y"]}, start=number == 0, linear=linear)
        if number % 50 and number != FRAMES - 1:
            continue
        for name in SITES:
            exact = _linear(model, name, quantizers[name].dequantize(indices[name]).astype(np.float64))
            assert np.abs(linear[name] - exact).max() <= 1e-4 * np.abs(exact).max()


def _sites(outputs: Mapping[str, NDArray[Any]], what: str) -> Arrays:
    """State after the frame by site, in the layout of the original network."""
    found = {name: outputs[f"present_{what}_{name}"] for name in SITES}
    return {name: channels_first(value) if value.ndim == 4 else value for name, value in found.items()}


def _linear(model: Model, name: str, x: Float64) -> Float64:
    """The linear output of the node of that name for the input `x`, in float64."""
    node = next(node for node in model.ir.graph if name in (node.name, node.outputs[0].name))
    weight, *bias = (value.const_value.numpy() for value in node.inputs[1:] if value is not None and value.const_value)
    if node.op_type == "Gemm":
        linear = x @ weight.astype(np.float64)
    else:
        padding = node.attributes["pads"].as_ints() if "pads" in node.attributes else [0] * 4
        stride = node.attributes["strides"].as_ints()[0] if "strides" in node.attributes else 1
        padded = np.pad(x, [(0, 0), (0, 0), (padding[0], padding[2]), (padding[1], padding[3])])
        windows = sliding_window_view(padded, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride]
        linear = np.einsum("nchwij,ocij->nohw", windows, weight.astype(np.float64))
    if not bias:
        return linear
    return linear + bias[0].astype(np.float64).reshape([1, -1] + [1] * (linear.ndim - 2))
