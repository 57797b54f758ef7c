"""Tables through the whole path: rewritten, run, lowered, interpreted, costed, refreshed, verified by replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.accounting import check_code
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import ConfigureTable, Quantize
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Tiling
from reuse_compiler.backend.accelerator.program_file import load, save
from reuse_compiler.errors import PlanError, VerificationError
from reuse_compiler.frontend import Model
from reuse_compiler.inspecting import node_rows
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, SitePlan, quantizer_spec
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from reuse_compiler.replay import Replay
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites

Arrays = dict[str, NDArray[Any]]

# A CONV and a transposed one, two FC layers that read one tensor, and one with a linear quantizer behind them.
NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x) => (float[1, 3] y, float[1, 4] z) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = ConvTranspose <strides = [2, 1]> (b, W2)
    d = Flatten (c)
    e = MatMul (d, W3)
    z = MatMul (d, W4)
    y = Gemm (e, W5, B5)
}"""
SHAPES = {"W1": (4, 2, 3, 3), "B1": (4,), "W2": (4, 1, 2, 2), "W3": (72, 5), "W4": (72, 4), "W5": (5, 3), "B5": (3,)}
TILINGS = (load_hardware("isca18").tiling, Tiling("tiny", 4, 16, 1 << 13, 3000, 3000))


def network(folder: Path, generator: np.random.Generator) -> Model:
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in SHAPES.items():
        array = generator.standard_normal(shape).astype(np.float32) / 2
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(proto, folder / "model.onnx")
    return frontend.load(folder / "model.onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return network(tmp_path_factory.mktemp("tables"), np.random.default_rng(5))


def planned(model: Model, quantizers: dict[str, Quantizer]) -> Plan:
    sites = [
        SitePlan(
            node=site.node,
            input=site.input,
            op=site.op,
            mode="reuse",
            quantizer=quantizer_spec(quantizers[site.input]),
        )
        for site in find_sites(model)
    ]
    return Plan(model=ModelRef(path="m", sha256=model.sha256), sites=sites)


def table(generator: np.random.Generator, clusters: int, deadband: float | tuple[float, ...]) -> TableQuantizer:
    drawn = generator.standard_normal(clusters - 1).astype(np.float32) * 2
    return TableQuantizer(tuple(sorted({0.0, *drawn.tolist()})), deadband)


def stream(generator: np.random.Generator) -> list[Arrays]:
    """Four frames of which each shares most with the one before."""
    shape = (1, 2, 6, 5)
    frames = [generator.standard_normal(shape).astype(np.float32)]
    for _ in range(3):
        fresh = generator.standard_normal(shape).astype(np.float32)
        frames.append(np.where(generator.random(shape) < 0.3, fresh, frames[-1]))
    return [{"x": frame} for frame in frames]


def quantizers(generator: np.random.Generator, clusters: int, deadband: float, channels: bool) -> dict[str, Quantizer]:
    bands = (deadband, 0.0) if channels else deadband
    return {
        "x": table(generator, clusters, bands),
        "b": table(generator, clusters, deadband),
        "d": table(generator, 256, deadband),
        "e": LinearQuantizer(0.125, 100, 200, deadband),
    }


@settings(max_examples=16, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    clusters=st.sampled_from([2, 16, 33]),
    deadband=st.sampled_from([0.0, 0.25]),
    channels=st.booleans(),
    tiling=st.sampled_from(TILINGS),
)
def test_tables_run_on_every_executor_as_replay_demands(
    model: Model, seed: int, clusters: int, deadband: float, channels: bool, tiling: Tiling
) -> None:
    generator = np.random.default_rng(seed)
    plan, frames = planned(model, quantizers(generator, clusters, deadband, channels)), stream(generator)
    reuse_model = rewrite(model, plan)
    ops = {node.op_type for node in reuse_model.graph if node.domain}
    assert ops == {"ReuseConvTable", "ReuseConvTransposeTable", "ReuseGemmTable", "ReuseGemm"}
    program = lower(reuse_model, tiling, model.sha256)
    for code in (program.reuse, program.baseline):
        check_code(program, code, load_hardware("isca18"))
        assert races(code) == []
    session, interpreter = Session(reuse_model, threads=1), Interpreter(program)
    for executor in (session, interpreter):
        replay = Replay(model, plan, threads=1)
        for number, frame in enumerate(frames):
            outputs = executor.run(frame)
            replay.check(frame, executor.indices, outputs, start=not number, linear=executor.linear)
    assert np.array_equal(session.indices["a"], interpreter.indices["a"])
    kept = {site: value.copy() for site, value in session.linear.items()}
    session.refresh()
    for site, value in session.linear.items():
        np.testing.assert_allclose(value, kept[site], rtol=0, atol=1e-5 * float(np.abs(value).max()))


def test_replay_finds_an_index_of_a_table_that_is_not_right(model: Model) -> None:
    generator = np.random.default_rng(3)
    plan, frames = planned(model, quantizers(generator, 16, 0.0, False)), stream(generator)
    session, replay = Session(rewrite(model, plan), threads=1), Replay(model, plan, threads=1)
    outputs = session.run(frames[0])
    indices = {site: index.copy() for site, index in session.indices.items()}
    indices["a"].flat[7] = 15 - indices["a"].flat[7]
    with pytest.raises(VerificationError, match="site a: index"):
        replay.check(frames[0], indices, outputs, start=True)


def test_a_program_with_tables_is_written_and_read(model: Model, tmp_path: Path) -> None:
    plan = planned(model, quantizers(np.random.default_rng(1), 16, 0.25, True))
    program = lower(rewrite(model, plan), TILINGS[0], model.sha256)
    configured = [step for step in program.reuse.instructions if isinstance(step, ConfigureTable)]
    assert [step.clusters for step in configured] == [16, 16, 256, 256]
    assert sum(isinstance(step, Quantize) for step in program.reuse.instructions) == 1  # d has two readers
    layers = {layer.name: layer for layer in program.layers}
    assert (layers["a"].clusters, layers["a"].step) == (16, None)
    assert layers["y"].step == 0.125
    save(program, tmp_path / "p.safetensors")
    read = load(tmp_path / "p.safetensors")
    assert read.reuse.instructions == program.reuse.instructions
    assert read.layers == program.layers
    assert np.array_equal(read.constants, program.constants)


def test_tables_are_shown_as_tables(model: Model) -> None:
    plan = planned(model, quantizers(np.random.default_rng(1), 16, 0.0, False))
    rows = {row.node: row for row in node_rows(rewrite(model, plan))}
    assert (rows["a"].before, rows["a"].after) == ("Conv + Relu", "ReuseConvTable")
    assert (rows["a"].clusters, rows["a"].step) == (16, None)
    assert (rows["y"].clusters, rows["y"].step) == (200, 0.125)


def test_readers_of_one_tensor_share_a_table(model: Model) -> None:
    generator = np.random.default_rng(2)
    plan = planned(model, quantizers(generator, 16, 0.0, False))
    site = next(site for site in plan.sites if site.node == "z")
    site.quantizer = quantizer_spec(table(generator, 16, 0.0))
    with pytest.raises(PlanError, match="read the same tensor d but have different quantizers"):
        plan.quantizers()
