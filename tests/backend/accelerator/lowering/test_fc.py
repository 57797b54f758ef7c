"""Fully connected layers cut along rows, outputs and inputs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import DeltaFc, DenseFc, Instruction, Load, Space
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.lowering.fc import split_lanes
from reuse_compiler.backend.accelerator.program import Tiling
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.session import Session

ROWS, INPUTS, OUTPUTS = 5, 40, 10  # weights of 1,600 bytes


@pytest.fixture(scope="module")
def model() -> Model:
    return network(ROWS, INPUTS, OUTPUTS)


def network(rows: int, inputs: int, outputs: int) -> Model:
    text = f"""<ir_version: 8, opset_import: ["": 18]>
        net (float[{rows},{inputs}] x) => (float[{rows},{outputs}] y) {{ z = Gemm (x, W, B) y = Relu (z) }}"""
    proto = onnx.parser.parse_model(text)
    for name, shape in {"W": (inputs, outputs), "B": (outputs,)}.items():
        weight = (np.random.default_rng(0).integers(-4, 5, shape) / 4).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


def tile(instruction: Instruction) -> tuple[int, int, int]:
    assert isinstance(instruction, DeltaFc | DenseFc)
    return instruction.rows, instruction.inputs, instruction.outputs


@pytest.mark.parametrize(
    ("tiling", "tiles", "streams"),
    [
        (Tiling("all at once", 4, 64, 1 << 20, 1 << 16, 1 << 16), {(5, 40, 10)}, False),
        (Tiling("rows", 4, 20, 1 << 20, 1 << 16, 1 << 16), {(2, 40, 10), (1, 40, 10)}, False),
        (Tiling("outputs", 4, 8, 1 << 20, 1 << 16, 1 << 16), {(1, 40, 8), (1, 40, 2)}, False),
        (Tiling("inputs", 4, 64, 1600, 1 << 16, 1 << 16), {(5, 6, 10), (5, 4, 10)}, True),
        (
            Tiling("inputs and outputs", 4, 4, 1600, 1 << 16, 1 << 16),
            {(1, 14, 4), (1, 12, 4), (1, 14, 2), (1, 12, 2)},
            True,
        ),
        (Tiling("through DRAM", 4, 8, 1600, 3000, 3100), {(1, 8, 8), (1, 8, 2)}, True),
    ],
    ids=lambda value: value.hardware if isinstance(value, Tiling) else "",
)
def test_tiles(model: Model, tiling: Tiling, tiles: set[tuple[int, int, int]], streams: bool) -> None:
    """The same tiles in both codes, and bit for bit what a session gives."""
    quantizer = QuantizerSpec(
        step=0.25, zero=16, clusters=32, deadband=[0.25 * (number % 3) for number in range(INPUTS)]
    )
    site = SitePlan(node="z", input="x", op="Gemm", mode="reuse", quantizer=quantizer)
    reuse_model = rewrite(model, Plan(model=ModelRef(path="m", sha256=model.sha256), sites=[site]))
    program = lower(reuse_model, tiling, model.sha256)
    for code, kind in ((program.reuse, DeltaFc), (program.baseline, DenseFc)):
        assert races(code) == []
        frame = code.sections.frame
        assert {tile(instruction) for instruction in frame if isinstance(instruction, kind)} == tiles
        loads = [i.address for i in frame if isinstance(i, Load) and i.space is Space.EDRAM]
        assert (len(set(loads)) == 2) == streams, "streamed weights take turns in two halves"
    interpreter, session = Interpreter(program), Session(reuse_model, threads=1)
    generator = np.random.default_rng(1)
    x = np.zeros((ROWS, INPUTS), np.float32)
    for share in (0.0, 1.0, 0.1, 0.3):
        fresh = (generator.integers(-16, 17, x.shape) / 8).astype(np.float32)
        x = np.where(generator.random(x.shape) < share, fresh, x)
        np.testing.assert_array_equal(interpreter.run({"x": x})["y"], session.run({"x": x})["y"])
        np.testing.assert_array_equal(interpreter.indices["z"], session.indices["z"])


@pytest.mark.parametrize(
    ("edram", "buffer", "tiles"),
    [
        (1 << 20, 1000, {(1, 10, 8), (1, 10, 2)}),
        (1 << 20, 900, {(1, 6, 8), (1, 4, 8), (1, 6, 2), (1, 4, 2)}),
        (1600, 1000, {(1, 8, 8), (1, 8, 2)}),
    ],
    ids=["weights stay", "uneven parts", "weights stream"],
)
def test_a_row_of_inputs_that_no_half_holds_is_cut(
    model: Model, edram: int, buffer: int, tiles: set[tuple[int, int, int]]
) -> None:
    """Parts of a row take turns, its linear outputs stay until the last."""
    quantizer = QuantizerSpec(step=0.25, zero=16, clusters=32)
    site = SitePlan(node="z", input="x", op="Gemm", mode="reuse", quantizer=quantizer)
    reuse_model = rewrite(model, Plan(model=ModelRef(path="m", sha256=model.sha256), sites=[site]))
    program = lower(reuse_model, Tiling("narrow", 4, 8, edram, 2000, buffer), model.sha256)
    assert races(program.reuse) == []
    frame = program.reuse.sections.frame
    assert {tile(instruction) for instruction in frame if isinstance(instruction, DeltaFc)} == tiles
    interpreter, session = Interpreter(program), Session(reuse_model, threads=1)
    for seed in range(3):
        x = (np.random.default_rng(seed).integers(-16, 17, (ROWS, INPUTS)) / 8).astype(np.float32)
        np.testing.assert_array_equal(interpreter.run({"x": x})["y"], session.run({"x": x})["y"])
        np.testing.assert_array_equal(interpreter.indices["z"], session.indices["z"])


def test_a_row_of_streamed_weights_that_no_half_holds_is_cut() -> None:
    """100 outputs, and halves for 32 weights: parts of 32, though there are accumulators for all."""
    wide = network(1, 4, 100)
    plan = Plan(
        model=ModelRef(path="m", sha256=wide.sha256), sites=[SitePlan(node="z", input="x", op="Gemm", mode="dense")]
    )
    program = lower(rewrite(wide, plan), Tiling("wide", 4, 128, 800, 1 << 14, 1 << 14), wide.sha256)
    tiles = [tile(i) for i in program.reuse.sections.frame if isinstance(i, DenseFc)]
    assert sum(rows * inputs * outputs for rows, inputs, outputs in tiles) == 400
    assert max(outputs for *_, outputs in tiles) == 32
    x = (np.arange(4, dtype=np.float32) - 1)[None]
    weight, bias = (wide.ir.graph.initializers[name].const_value for name in ("W", "B"))
    assert weight is not None and bias is not None
    outputs = Interpreter(program).run({"x": x})["y"]
    np.testing.assert_array_equal(outputs, np.maximum(x @ weight.numpy() + bias.numpy(), 0))


@pytest.mark.parametrize(
    ("size", "most", "lanes", "parts"),
    [
        (10, 64, 4, [(0, 10)]),
        (10, 10, 4, [(0, 10)]),
        (10, 9, 4, [(0, 8), (8, 2)]),
        (10, 4, 4, [(0, 4), (4, 4), (8, 2)]),
        (300, 128, 128, [(0, 128), (128, 128), (256, 44)]),
    ],
)
def test_parts_are_multiples_of_the_lanes(size: int, most: int, lanes: int, parts: list[tuple[int, int]]) -> None:
    assert split_lanes(size, most, lanes) == parts
