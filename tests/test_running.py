"""Running a compiled model in onnxruntime: what the report says is what the indices say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.cpu import library
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.errors import ModelError, StreamError
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import load
from reuse_compiler.profiling import profile
from reuse_compiler.running import SessionReport, run_session
from reuse_compiler.simulation import simulate
from reuse_compiler.streams import Stream, open_stream

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x) => (float[1, 3] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1)
    b = Relu (a)
    c = Flatten (b)
    y = Gemm (c, W2)
}"""
FRAMES, START = 9, 6


def samples(fail: int | None = None) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(3)
    x = np.zeros((2, 6, 5), np.float32)
    for number in range(FRAMES):
        if number == fail:
            raise StreamError("the camera broke")
        x = np.where(generator.random(x.shape) < 0.3, generator.standard_normal(x.shape).astype(np.float32), x)
        yield {"x": x, "__start__": number == START}


@dataclass(frozen=True)
class Compiled:
    directory: CompiledDirectory
    stream: Stream


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("compiled")
    generator = np.random.default_rng(2)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in {"W1": (4, 2, 3, 3), "W2": (120, 3)}.items():
        weight = generator.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(proto, folder / "model.onnx")
    model = load(folder / "model.onnx")
    stream = open_stream(samples, model.inputs)
    plan = fit(model, profile(model, stream, threads=1), clusters=16)
    compile_model(model, plan, folder / "out", stream=None, hardware=load_hardware("isca18"))
    return Compiled(CompiledDirectory.open(folder / "out"), stream)


def test_similarity_is_what_the_indices_say(compiled: Compiled, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    report = run_session(
        compiled.directory,
        compiled.stream,
        outputs=tmp_path / "o.npz",
        indices=tmp_path / "i.npz",
        threads=1,
        progress=lambda what, done, total: seen.append((what, done)),
    )
    assert seen == [("run", frame) for frame in range(1, FRAMES + 1)]
    assert report.executor == ("portable" if library() is None else "native")
    assert (report.stream.frames, report.stream.sequences) == (FRAMES, 2)
    indices, quantizers = dict(np.load(tmp_path / "i.npz")), compiled.directory.plan.quantizers()
    changed = {}
    for node, index in indices.items():
        past = np.concatenate([np.full_like(index[:1], quantizers[node].zero), index[:-1]])
        past[START] = quantizers[node].zero
        changed[node] = int((index != past).sum())
    assert {site.node: site.similarity for site in report.sites} == {
        node: pytest.approx(1 - count / indices[node].size) for node, count in changed.items()
    }
    assert [site.inputs for site in report.sites] == [index.size for index in indices.values()]
    total = sum(index.size for index in indices.values())
    assert report.similarity == pytest.approx(1 - sum(changed.values()) / total)
    assert np.load(tmp_path / "o.npz")["y"].shape == (FRAMES, 1, 3)
    assert report.milliseconds_per_frame > 0
    assert SessionReport.model_validate_json(report.model_dump_json()) == report


def test_loss_and_similarity_are_those_of_the_accelerator(compiled: Compiled) -> None:
    session = run_session(compiled.directory, compiled.stream, threads=1)
    simulated = simulate(
        compiled.directory.original(),
        compiled.directory.program,
        compiled.stream,
        hardware=load_hardware("isca18"),
        threads=1,
    )
    assert session.accuracy.value == pytest.approx(simulated.accuracy.value, rel=1e-3)
    assert session.accuracy.value > 0
    assert session.similarity == pytest.approx(simulated.totals.similarity)
    assert session.model == simulated.model


def test_files_are_absent_where_the_stream_fails_midway(compiled: Compiled, tmp_path: Path) -> None:
    broken = open_stream(lambda: samples(fail=4), compiled.directory.original().inputs)
    with pytest.raises(StreamError, match="the camera broke"):
        run_session(compiled.directory, broken, outputs=tmp_path / "o.npz", indices=tmp_path / "i.npz", threads=1)
    assert list(tmp_path.iterdir()) == []


def test_the_original_is_needed_for_the_loss(compiled: Compiled, tmp_path: Path) -> None:
    moved = CompiledDirectory.open(compiled.directory.path, tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match=r"gone\.onnx: the model that .* was compiled from is gone"):
        run_session(moved, compiled.stream, threads=1)
    report = run_session(moved, compiled.stream, model=compiled.directory.original(), threads=1)
    assert report.stream.frames == FRAMES
