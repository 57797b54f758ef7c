"""Convolutions whose weights do not fit the eDRAM."""

from __future__ import annotations

import tempfile
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import DeltaConv, DenseConv, Load, Space
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Tiling
from reuse_compiler.errors import HardwareError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.session import Session

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
    site = SitePlan(node="y", input="x", op="Conv", mode="reuse", quantizer=quantizer)
    return Plan(model=ModelRef(path="m", sha256=model.sha256), sites=[site])


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


def test_too_few_accumulators_for_a_row_or_a_lane_are_named(model: Model) -> None:
    volume = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> net (float[1,1,2,2,9] x) => (float[1,4,2,2,9] y) { y = Conv (x, W) }'
    )
    volume.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((4, 1, 1, 1, 1), np.float32), "W"))
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(volume, Path(folder) / "model.onnx")
        loaded = frontend.load(Path(folder) / "model.onnx")
    dense = SitePlan(node="y", input="x", op="Conv", mode="dense")
    empty = Plan(model=ModelRef(path="m", sha256=loaded.sha256), sites=[dense])
    message = "layer y: its smallest tile has 36 outputs, hardware tiny has 20 accumulators: use hardware with more"
    with pytest.raises(HardwareError, match=message):
        lower(rewrite(loaded, empty), Tiling("tiny", 4, 20, 1 << 20, 1 << 20, 1 << 20), loaded.sha256)
    with pytest.raises(HardwareError, match="hardware tiny: 3 accumulators for 4 lanes: give every lane one"):
        lower(rewrite(model, plan(model)), Tiling("tiny", 4, 3, 1 << 20, 1 << 20, 1 << 20), model.sha256)
