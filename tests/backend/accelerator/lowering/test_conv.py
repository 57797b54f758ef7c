"""Convolutions whose weights do not fit the eDRAM."""

from __future__ import annotations

import tempfile
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import DeltaConv, DenseConv, Load, Space
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program, Tiling
from reuse_compiler.errors import HardwareError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites

EACH = 4 * 2 * 3 * 3  # bytes of the weights of an output channel


@pytest.fixture(scope="module")
def model() -> Model:
    text = """<ir_version: 8, opset_import: ["": 18]>
        net (float[1,4,10,6] x) => (float[1,16,8,4] y) { y = Conv <group = 2> (x, W) }"""
    proto = onnx.parser.parse_model(text)
    weight = (np.random.default_rng(0).integers(-4, 5, (16, 2, 3, 3)) / 4).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "W"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


def plan(model: Model) -> Plan:
    quantizer = QuantizerSpec(step=0.25, zero=16, clusters=32)
    sites = [
        SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=quantizer)
        for site in find_sites(model)
    ]
    assert sites
    return Plan(model=ModelRef(path="m", sha256=model.sha256), sites=sites)


def test_ranges_of_channels_stream_through_two_halves_once_each(model: Model) -> None:
    """Each range is loaded once, all its tiles follow, and the next range is on its way meanwhile."""
    reuse_model = rewrite(model, plan(model))
    program = lower(reuse_model, Tiling("small", 4, 48, 1024, 1 << 14, 1 << 14), model.sha256)
    for code, kind in ((program.reuse, DeltaConv), (program.baseline, DenseConv)):
        assert races(code) == []
        loads = [i for i in code.sections.frame if isinstance(i, Load) and i.space is Space.EDRAM]
        assert sum(load.run_bytes for load in loads) == 16 * EACH
        assert len(loads) > 2 and len({load.address for load in loads}) == 2
        assert all(one.address != other.address for one, other in pairwise(loads))
        tiles = [i for i in code.sections.frame if isinstance(i, kind)]
        assert [address for address, _ in groupby(tile.weights for tile in tiles)] == [load.address for load in loads]
        for load in loads[1:]:
            behind = code.sections.frame[code.sections.frame.index(load) :]
            assert next(i for i in behind if isinstance(i, kind)).weights != load.address, "nothing overlaps the load"
        assert all(tile.out_channels * tile.out0 * tile.out1 <= 48 for tile in tiles)
    interpreter, session = Interpreter(program), Session(reuse_model, threads=1)
    for seed in range(3):
        frame = {"x": (np.random.default_rng(seed).integers(-16, 17, (1, 4, 10, 6)) / 8).astype(np.float32)}
        np.testing.assert_array_equal(interpreter.run(frame)["y"], session.run(frame)["y"])


def loaded(text: str, **weights: NDArray[np.float32]) -> Model:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(proto, Path(folder) / "model.onnx")
        return frontend.load(Path(folder) / "model.onnx")


def assert_interpreted_as_in_onnxruntime(model: Model, tiling: Tiling) -> Program:
    """Three frames give the same outputs to the bit, where all sums are exact."""
    [spec] = model.inputs
    program = lower(rewrite(model, plan(model)), tiling, model.sha256)
    for code in (program.reuse, program.baseline):
        assert races(code) == []
    interpreter, session = Interpreter(program), Session(rewrite(model, plan(model)), threads=1)
    for seed in range(3):
        frame = {"x": (np.random.default_rng(seed).integers(-16, 17, spec.shape) / 8).astype(np.float32)}
        np.testing.assert_array_equal(interpreter.run(frame)["y"], session.run(frame)["y"])
    return program


def quarters(*shape: int) -> NDArray[np.float32]:
    return (np.random.default_rng(len(shape)).integers(-4, 5, shape) / 4).astype(np.float32)


@pytest.mark.parametrize(("sizes", "kernel"), [("3,4,40", (2, 2, 3)), ("1,1,200", (1, 1, 5))])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_the_innermost_axis_is_cut_where_accumulators_are_few(op: str, sizes: str, kernel: tuple[int, ...]) -> None:
    """Loads of a box of which nothing is contiguous but a part of a row need more than two strides."""
    text = f"net (float[1,2,{sizes}] x) => (float[N,M,A,B,C] y) {{ y = {op} (x, W) }}"
    model = loaded(text, W=quarters(2, 2, *kernel))
    program = assert_interpreted_as_in_onnxruntime(model, Tiling("tiny", 2, 16, 1 << 20, 4096, 4096))
    tiles = [i for i in program.reuse.sections.frame if isinstance(i, DeltaConv)]
    assert max(tile.out_channels * tile.out0 * tile.out1 * tile.out2 for tile in tiles) <= 16
    assert len({tile.out2 for tile in tiles}) > 1 or tiles[0].out2 < 40


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_weights_that_stream_are_loaded_once_for_all_images_of_a_batch(op: str) -> None:
    text = f"net (float[3,4,10,6] x) => (float[N,M,A,B] y) {{ y = {op} (x, W) }}"
    weight = quarters(16, 4, 3, 3) if op == "Conv" else quarters(4, 16, 3, 3)
    program = assert_interpreted_as_in_onnxruntime(
        loaded(text, W=weight), Tiling("small", 4, 64, 2048, 1 << 14, 1 << 14)
    )
    loads = [i for i in program.reuse.sections.frame if isinstance(i, Load) and i.space is Space.EDRAM]
    assert sum(load.run_bytes for load in loads) == weight.nbytes
    assert len(loads) > 2


def test_an_input_of_a_batch_in_the_buffer_is_loaded_image_by_image() -> None:
    """The first image is convolved while the second is on its way."""
    text = """net (float[3,2,9,9] x) => (float[N,M,A,B] y)
        { z = Conv <pads = [1, 1, 1, 1]> (x, W) r = Relu (x) y = Add (z, r) }"""
    model = loaded(text, W=quarters(2, 2, 3, 3))
    program = assert_interpreted_as_in_onnxruntime(model, Tiling("large", 4, 64, 1 << 16, 1 << 16, 1 << 16))
    frame = program.reuse.sections.frame
    loads = [i for i in frame if isinstance(i, Load)]
    assert [load.run_bytes * load.count0 * load.count1 for load in loads] == [4 * 2 * 9 * 9] * 3
    assert any(isinstance(i, DeltaConv) for i in frame[: frame.index(loads[2])])


def test_a_gap_between_the_inputs_of_a_transposed_convolution_holds_the_bias() -> None:
    """Of a kernel smaller than the stride, outputs that no input reaches; and inputs that padding cuts off."""
    text = """net (float[1,2,7,6] x) => (float[N,M,A,B] y)
        { y = ConvTranspose <strides = [4, 3], pads = [5, 0, 6, 2], output_padding = [3, 2]> (x, W, B) }"""
    model = loaded(text, W=quarters(2, 3, 2, 1), B=quarters(3))
    assert_interpreted_as_in_onnxruntime(model, Tiling("tiny", 2, 16, 1 << 20, 2048, 2048))


def test_fewer_accumulators_than_lanes_are_named(model: Model) -> None:
    with pytest.raises(HardwareError, match="hardware tiny: 3 accumulators for 4 lanes: give every lane one"):
        lower(rewrite(model, plan(model)), Tiling("tiny", 4, 3, 1 << 20, 1 << 20, 1 << 20), model.sha256)
