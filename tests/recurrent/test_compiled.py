"""A recurrent model from file to report: compiled, verified on both executors, run on the accelerator and costed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from reuse_compiler.backend.accelerator import program_file
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.check import check
from reuse_compiler.compiling import compile_model
from reuse_compiler.frontend import Model
from reuse_compiler.simulation import simulate
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Stream, open_stream
from tests.recurrent.cells import Cell, build, planned

Loaded = Callable[[onnx.ModelProto], Model]
CELL = Cell("LSTM", steps=12, batch=1, inputs=6, hidden=5, direction="bidirectional")


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return load_hardware("isca18")


def utterances(model: Model, count: int) -> Stream:
    """Slow walks; the third begins a sequence."""

    def walk() -> Iterator[dict[str, Any]]:
        generator = np.random.default_rng(5)
        for number in range(count):
            steps = generator.standard_normal(model.inputs[0].shape) * 0.1
            arrays: dict[str, Any] = {"X": np.cumsum(steps, axis=0).astype(np.float32)}
            if len(model.inputs) > 1:
                arrays["lengths"] = np.array([12, 12 - number], np.int32)
            yield arrays

    return open_stream(walk, model.inputs)


def test_a_bidirectional_layer(loaded: Loaded, hardware: Hardware, tmp_path: Path) -> None:
    model = loaded(build(CELL))
    plan = planned(model, step=1 / 16, clusters=64)
    stream = utterances(model, 4)
    report = compile_model(model, plan, tmp_path / "out", stream=stream, hardware=hardware, threads=1)
    assert report is not None and report.verification is not None
    assert set(report.verification.executors) == {"portable", "accelerator"}
    rows = {layer.name: layer for layer in report.layers}
    sites = {site.node: site for site in find_sites(model)}
    assert set(sites) < set(rows)
    for name, site in sites.items():
        row = rows[name]
        assert (row.macs, row.inputs, row.backend) == (4 * site.macs, 4 * 12 * site.in_features, "reuse")
        assert row.similarity is not None and row.similarity > 0.2
        assert row.reuse == row.similarity, "every input of an FC has the same fan-out"
    assert rows["cell.forward"].macs == 0 < rows["cell.forward"].cycles.reuse
    assert report.totals.macs == 4 * sum(site.macs for site in sites.values())


def test_the_indices_of_every_step_are_written(loaded: Loaded, hardware: Hardware, tmp_path: Path) -> None:
    model = loaded(build(CELL))
    compile_model(
        model, planned(model, step=1 / 16), tmp_path / "out", stream=None, hardware=hardware, run=False, threads=1
    )
    program = program_file.load(tmp_path / "out" / "program.safetensors")
    stream, path = utterances(model, 2), tmp_path / "indices.npz"
    simulate(model, program, stream, hardware=hardware, indices=path, threads=1)
    with np.load(path) as file:
        found: dict[str, NDArray[Any]] = dict(file)
    assert {name: index.shape for name, index in found.items()} == {
        f"cell.{direction}.{operand}": (2, 12, 1, width)
        for direction in ("forward", "reverse")
        for operand, width in (("x", 6), ("h", 5))
    }
    frames = [frame.inputs["X"] for frame in stream]
    expected = np.rint(np.stack(frames) * 16) + 32_767
    np.testing.assert_array_equal(found["cell.forward.x"], expected)
    np.testing.assert_array_equal(found["cell.reverse.x"], expected)


def test_a_layer_whose_lengths_are_computed_at_run_time_runs_on_the_host(
    loaded: Loaded, hardware: Hardware, tmp_path: Path
) -> None:
    proto = build(Cell("GRU", steps=12, batch=2, lengths=(12, 12)))
    lengths = next(tensor for tensor in proto.graph.initializer if tensor.name == "lengths")
    proto.graph.initializer.remove(lengths)
    proto.graph.input.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [2]))
    model = loaded(proto)
    verdicts = {verdict.node: verdict for verdict in check(model)}
    assert (verdicts["cell"].verdict, verdicts["cell"].measured) == ("host", "lengths is computed at run time")
    report = compile_model(
        model,
        planned(model, step=1 / 16),
        tmp_path / "out",
        stream=utterances(model, 3),
        hardware=hardware,
        threads=1,
    )
    assert report is not None
    assert [(layer.name, layer.backend) for layer in report.layers] == [("cell", "host")]
    assert report.accuracy.value < 1e-6


def test_lengths_of_zero_are_no_sites(loaded: Loaded) -> None:
    """What onnxruntime gives as their last state is zero, whatever they began with."""
    assert find_sites(loaded(build(Cell("RNN", lengths=(6, 0))))) == []
    proto = build(Cell("RNN", lengths=(6, 1)))
    assert len(find_sites(loaded(proto))) == 2
    assert numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == "lengths")).tolist() == [6, 1]
