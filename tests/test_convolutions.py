"""Convolutions of every kind through the whole path: rewritten, run, lowered and interpreted, verified by replay."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.accounting import check_code
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Tiling
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.profiling import profile
from reuse_compiler.replay import Replay
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import open_stream

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Layer:
    """One convolution: shapes of x and W, ONNX attributes, and whether it has a bias and a Relu behind it."""

    op: str
    shape: tuple[int, ...]
    weight: tuple[int, ...]
    attributes: dict[str, Any]
    bias: bool
    rectified: bool

    @property
    def out_channels(self) -> int:
        return self.weight[1] * int(self.attributes["group"]) if self.op == "ConvTranspose" else self.weight[0]

    def model(self, generator: np.random.Generator) -> Model:
        """With weights that are drawn."""
        arrays = {"w": generator.standard_normal(self.weight).astype(np.float32)}
        if self.bias:
            arrays["b"] = generator.standard_normal(self.out_channels).astype(np.float32)
        nodes = [helper.make_node(self.op, ["x", *arrays], ["z"], name="conv", **self.attributes)]
        nodes.append(helper.make_node("Relu" if self.rectified else "Identity", ["z"], ["y"]))
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(self.shape))
        constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
        graph = helper.make_graph(nodes, "g", [x], [y], constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(proto, path)
            return frontend.load(path)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """1 to 3 axes, 1 to 3 images, groups up to depthwise, any padding that leaves something."""
    rank = draw(st.integers(1, 3))
    op = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    sizes = [draw(st.integers(1, {1: 24, 2: 9, 3: 5}[rank])) for _ in range(rank)]
    kernel, strides, dilations = ([draw(st.integers(1, most)) for _ in range(rank)] for most in (4, 3, 2))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    group = draw(st.sampled_from([1, 1, 2, 3]))
    channels, outputs = group * draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 4))
    attributes: dict[str, Any] = {"group": group, "strides": strides, "dilations": dilations}
    if op == "Conv":
        begin = [draw(st.integers(max(r - n, 0), max(r - n, 0) + 2)) for r, n in zip(reach, sizes, strict=True)]
        end = [draw(st.integers(0, 3)) for _ in range(rank)]
        weight = (group * outputs, channels // group, *kernel)
    else:
        extents = [(n - 1) * s + r for n, s, r in zip(sizes, strides, reach, strict=True)]
        begin = [draw(st.integers(0, min(extent - 1, 5))) for extent in extents]
        end = [draw(st.integers(0, min(extent - 1 - pad, 5))) for extent, pad in zip(extents, begin, strict=True)]
        attributes["output_padding"] = [draw(st.integers(0, stride - 1)) for stride in strides]
        weight = (channels, outputs, *kernel)
    attributes["pads"] = begin + end
    shape = (draw(st.sampled_from([1, 1, 2, 3])), channels, *sizes)
    return Layer(op, shape, weight, attributes, draw(st.booleans()), draw(st.booleans()))


def plan(model: Model, clusters: int, deadband: float | list[float]) -> Plan:
    [site] = find_sites(model)
    spec = QuantizerSpec(step=float(np.float32(6 / clusters)), zero=clusters // 2, clusters=clusters, deadband=deadband)
    sites = [SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec)]
    return Plan(model=ModelRef(path="m", sha256=model.sha256), sites=sites)


def stream(shape: tuple[int, ...], generator: np.random.Generator) -> list[Arrays]:
    """Three frames of which each shares most with the one before."""
    frames = [{"x": generator.standard_normal(shape).astype(np.float32)}]
    for _ in range(2):
        fresh = generator.standard_normal(shape).astype(np.float32)
        frames.append({"x": np.where(generator.random(shape) < 0.3, fresh, frames[-1]["x"])})
    return frames


@settings(max_examples=60)
@given(data=st.data(), layer=layers(), seed=st.integers(0, 2**32 - 1))
def test_a_convolution_of_any_kind_is_reused_by_every_executor_as_replay_demands(
    data: st.DataObject, layer: Layer, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    model = layer.model(generator)
    bands: list[float | list[float]] = [0.0, 0.1, [0.05 * (channel % 3) for channel in range(layer.shape[1])]]
    planned = plan(model, data.draw(st.sampled_from([5, 32, 300])), data.draw(st.sampled_from(bands)))
    reuse_model, frames = rewrite(model, planned), stream(layer.shape, generator)
    assert [node.op_type for node in reuse_model.graph] == [f"Reuse{layer.op}"]
    tiling = data.draw(st.sampled_from([load_hardware("isca18").tiling, Tiling("tiny", 4, 16, 1 << 13, 6000, 6000)]))
    program = lower(reuse_model, tiling, model.sha256)
    for code in (program.reuse, program.baseline):
        check_code(program, code, load_hardware("isca18"))
    session, interpreter = Session(reuse_model, threads=1), Interpreter(program)
    for executor in (session, interpreter):
        replay = Replay(model, planned, threads=1)
        for number, frame in enumerate(frames):
            outputs = executor.run(frame)
            replay.check(frame, executor.indices, outputs, start=not number, linear=executor.linear)
    session.refresh()
    scale = max(float(np.abs(interpreter.linear["conv"]).max()), 1e-3)
    np.testing.assert_allclose(session.linear["conv"], interpreter.linear["conv"], rtol=0, atol=1e-5 * scale)


def test_images_of_a_batch_are_compared_each_with_its_own_past() -> None:
    """The second image stays and the first changes: half of the multiply-accumulates are done."""
    layer = Layer("Conv", (2, 2, 6, 6), (3, 2, 3, 3), {"group": 1}, bias=True, rectified=False)
    generator = np.random.default_rng(0)
    model = layer.model(generator)
    first = generator.standard_normal(layer.shape).astype(np.float32)
    second = first.copy()
    second[0] = -first[0]
    [site] = find_sites(model)
    assert site.rows == 2 and site.macs == 2 * 3 * 2 * 9 * 16
    hardware, planned = load_hardware("isca18"), plan(model, 256, 0.0)
    program = lower(rewrite(model, planned), hardware.tiling, model.sha256)
    interpreter, costs = Interpreter(program), CostModel(program, hardware)
    interpreter.run({"x": first})
    before = interpreter.indices["conv"]
    interpreter.run({"x": second})
    costs.start_sequence()
    costs.add(interpreter.counts[None])
    changed = interpreter.indices["conv"] != before
    assert changed[0].any() and not changed[1].any()
    [done] = [
        row.macs_done for row, info in zip(costs.costs().layers, program.layers, strict=True) if info.name == "conv"
    ]
    assert done == int((changed * np.broadcast_to(site.fan_out(), site.shape)).sum())
    assert profile(model, open_stream([{"x": first}, {"x": second}], model.inputs), threads=1).macs == site.macs
