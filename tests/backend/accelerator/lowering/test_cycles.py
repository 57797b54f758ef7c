"""A CONV from model to cycles, against a simulation that visits every input and every output that it corrects."""

from __future__ import annotations

import itertools
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import DeltaConv, DenseConv, Instruction, Load, Store
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan

# Four channels to 150 in two groups, stride 2 by 1, padding on three sides, dilated across.
ATTRIBUTES = "group = 2, strides = [2, 1], pads = [1, 0, 0, 2], dilations = [1, 2]"
CHANNELS, OUTPUTS, GROUP, HEIGHT, WIDTH, KERNEL = 4, 150, 2, 7, 6, 3
STRIDE, PAD, DILATION, OUT = (2, 1), (1, 0), (1, 2), (3, 4)
STEP, ZERO, CLUSTERS = 0.5, 4, 9
LANES = 128


@pytest.fixture(scope="module")
def model() -> Model:
    text = f"""<ir_version: 8, opset_import: ["": 18]>
        net (float[1, {CHANNELS}, {HEIGHT}, {WIDTH}] x) => (float[1, {OUTPUTS}, {OUT[0]}, {OUT[1]}] y)
        {{ y = Conv <{ATTRIBUTES}> (x, W) }}"""
    proto = onnx.parser.parse_model(text)
    weight = np.random.default_rng(0).standard_normal((OUTPUTS, CHANNELS // GROUP, KERNEL, KERNEL)).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "W"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


@cache
def corrected(channel: int, row: int, column: int) -> int:
    """How many products of outputs and taps read an input, found by asking every one."""
    count = 0
    for output, y, x in itertools.product(range(OUTPUTS), range(OUT[0]), range(OUT[1])):
        if output // (OUTPUTS // GROUP) != channel // (CHANNELS // GROUP):
            continue
        for i, j in itertools.product(range(KERNEL), range(KERNEL)):
            at = y * STRIDE[0] - PAD[0] + i * DILATION[0], x * STRIDE[1] - PAD[1] + j * DILATION[1]
            count += at == (row, column)
    return count


def busy(changed: NDArray[np.bool_]) -> int:
    """Cycles of the lanes for the inputs of one frame that changed, one after the other."""
    return sum(-(-corrected(*element) // LANES) for element in np.argwhere(changed).tolist())


def expected(section: tuple[Instruction, ...], work: int) -> int:
    """A load of the input, the CONV, a store of the output: each is issued in its place and waits for the one before."""
    place = {type(instruction): number for number, instruction in enumerate(section)}
    kinds = [kind for kind in (Load, DeltaConv, DenseConv, Store) if kind in place]
    assert len(kinds) == 3 and [place[kind] for kind in kinds] == sorted(place[kind] for kind in kinds)
    loaded = place[Load] + 50 + -(-CHANNELS * HEIGHT * WIDTH * 4 * 10 // 512)
    computed = max(place[kinds[1]], loaded + 6) + work
    return max(place[Store], computed + 8) + 50 + -(-OUTPUTS * OUT[0] * OUT[1] * 4 * 10 // 512) + 6


def test_frames_take_the_cycles_of_their_changed_inputs(model: Model, hardware: Hardware) -> None:
    quantizer = QuantizerSpec(step=STEP, zero=ZERO, clusters=CLUSTERS)
    site = SitePlan(node="y", input="x", op="Conv", mode="reuse", quantizer=quantizer)
    plan = Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=[site])
    program = lower(rewrite(model, plan), hardware.tiling, model.sha256)
    interpreter, generator = Interpreter(program), np.random.default_rng(1)
    past = np.full((CHANNELS, HEIGHT, WIDTH), ZERO)
    x = np.zeros((CHANNELS, HEIGHT, WIDTH), np.float32)
    for share in (1.0, 0.0, 0.05, 0.3, 0.0, 1.0):
        x = np.where(generator.random(x.shape) < share, generator.normal(0, 1, x.shape), x).astype(np.float32)
        index = np.clip(np.round(x / STEP) + ZERO, 0, CLUSTERS - 1)
        interpreter.run({"x": x[None]})
        costs = CostModel(program, hardware)
        costs.add(interpreter.counts[None])
        total = costs.costs()
        scan = -(-x.size // 16)
        assert total.reuse.total_cycles == expected(program.reuse.sections.frame, max(busy(index != past), scan))
        dense = expected(program.baseline.sections.frame, busy(np.ones(x.shape, np.bool_)))
        assert total.baseline.total_cycles == dense
        assert total.layers[0].changed == int((index != past).sum())
        past = index
