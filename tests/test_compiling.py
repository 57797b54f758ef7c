"""Compiling into a folder: whole or nothing, verified before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator import program_file
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.compiling import compile_model, verify
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.document import ModelRef
from reuse_compiler.errors import HardwareError, PlanError, StreamError, VerificationError
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model, load
from reuse_compiler.passes import external_weights
from reuse_compiler.plan import Plan
from reuse_compiler.profiling import profile
from reuse_compiler.session import Session
from reuse_compiler.streams import Stream, open_stream

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x, float[1, 3] h) => (float[1, 3] y, float[1, 3] hn) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1)
    b = Relu (a)
    c = Flatten (b)
    d = Concat <axis = 1> (c, h)
    hn = Gemm (d, W2)
    y = Softmax (hn)
}"""
STATE = {"h": "hn"}
FRAMES = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    generator = np.random.default_rng(2)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in {"W1": (4, 2, 3, 3), "W2": (123, 3)}.items():
        weight = generator.standard_normal(shape).astype(np.float32) / 12
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(proto, path)
    return load(path)


def samples(fail: int | None = None) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(3)
    x = generator.standard_normal((2, 6, 5)).astype(np.float32)
    for number in range(FRAMES):
        if number == fail:
            raise StreamError("the camera broke")
        x = np.where(generator.random(x.shape) < 0.3, generator.standard_normal(x.shape).astype(np.float32), x)
        yield {"x": x, "__start__": number == 4}


@pytest.fixture(scope="module")
def stream(model: Model) -> Stream:
    return open_stream(samples, model.inputs, state=STATE)


@pytest.fixture(scope="module")
def plan(model: Model, stream: Stream) -> Plan:
    return fit(model, profile(model, stream, state=STATE, threads=1), clusters=32, state=STATE)


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return load_hardware("isca18")


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_with_a_stream_everything_is_written(
    model: Model, stream: Stream, plan: Plan, hardware: Hardware, tmp_path: Path
) -> None:
    seen: list[tuple[str, int]] = []
    profiled = profile(model, stream, state=STATE, threads=1)
    report = compile_model(
        model,
        plan,
        tmp_path / "out",
        stream=stream,
        hardware=hardware,
        profile=profiled,
        verify_frames=2,
        threads=1,
        progress=lambda what, done, total: seen.append((what, done)),
    )
    assert seen == [("verify", 1), ("verify", 2), *(("run", frame) for frame in range(1, FRAMES + 1))]
    assert report is not None
    assert (report.stream.frames, report.stream.sequences) == (FRAMES, 2)
    verified = report.verification
    assert verified is not None
    assert {name: check.frames for name, check in verified.executors.items()} == {"portable": 2, "accelerator": 2}
    assert set(verified.distance) == {spec.name for spec in model.outputs if spec.dtype == np.float32}
    opened = CompiledDirectory.open(tmp_path / "out")
    assert names(tmp_path / "out") == [
        "model.reuse.onnx",
        "plan.json",
        "profile.json",
        "program.safetensors",
        "report.json",
    ]
    assert opened.report == report
    assert opened.profile is not None and opened.profile.model_dump_json() == profiled.model_dump_json()
    assert opened.plan.sites == plan.sites and opened.plan.state == STATE
    assert opened.plan.model == ModelRef(path=str(model.path), sha256=model.sha256)
    onnx.checker.check_model(str(opened.reuse_model), full_check=True)
    assert opened.program.model_sha256 == model.sha256
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(("streamed", "run"), [(False, True), (True, False)])
def test_without_a_run_there_is_no_report(
    streamed: bool, run: bool, model: Model, stream: Stream, plan: Plan, hardware: Hardware, tmp_path: Path
) -> None:
    given = stream if streamed else None
    assert compile_model(model, plan, tmp_path / "out", stream=given, hardware=hardware, run=run, threads=1) is None
    assert names(tmp_path / "out") == ["model.reuse.onnx", "plan.json", "program.safetensors"]
    opened = CompiledDirectory.open(tmp_path / "out")
    session, interpreter = Session(opened.reuse_model, threads=1), Interpreter(opened.program)
    frame = {"x": np.ones((1, 2, 6, 5), np.float32)}
    outputs = interpreter.run({**frame, "h": np.zeros((1, 3), np.float32)})
    np.testing.assert_allclose(outputs["y"], session.run(frame)["y"], rtol=1e-5)


def test_weights_that_a_file_cannot_hold_lie_beside_it(
    model: Model, stream: Stream, plan: Plan, hardware: Hardware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_weights, "MAX_PROTO_BYTES", 1000)
    for _ in range(2):  # the second replaces the first
        compile_model(model, plan, tmp_path / "out", stream=stream, hardware=hardware, run=False, threads=1)
    assert names(tmp_path / "out") == ["model.reuse.onnx", "model.reuse.onnx.data", "plan.json", "program.safetensors"]
    assert (tmp_path / "out" / "model.reuse.onnx.data").stat().st_size >= 123 * 3 * 4


def test_compiling_twice_gives_equal_programs(model: Model, plan: Plan, hardware: Hardware, tmp_path: Path) -> None:
    for name in ("one", "two"):
        compile_model(model, plan, tmp_path / name, stream=None, hardware=hardware)
    one, two = (tmp_path / name / "program.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert (tmp_path / "one" / "model.reuse.onnx").read_bytes() == (tmp_path / "two" / "model.reuse.onnx").read_bytes()


@pytest.mark.parametrize("fail", [0, 1, 5], ids=["at once", "while verifying", "while running"])
@pytest.mark.parametrize("before", [False, True])
def test_a_stream_that_fails_leaves_what_was_there(
    fail: int, before: bool, model: Model, plan: Plan, hardware: Hardware, tmp_path: Path
) -> None:
    if before:
        compile_model(model, plan, tmp_path / "out", stream=None, hardware=hardware)
    content = [path.read_bytes() for path in sorted(tmp_path.glob("out/*"))]
    broken = open_stream(lambda: samples(fail), model.inputs, state=STATE)
    with pytest.raises(StreamError, match="the camera broke"):
        compile_model(model, plan, tmp_path / "out", stream=broken, hardware=hardware, threads=1)
    assert names(tmp_path) == (["out"] if before else [])
    assert [path.read_bytes() for path in sorted(tmp_path.glob("out/*"))] == content


def test_parts_that_do_not_fit_leave_nothing(model: Model, plan: Plan, hardware: Hardware, tmp_path: Path) -> None:
    other = plan.model_copy(update={"model": ModelRef(path="m", sha256="cd" * 32)})
    with pytest.raises(PlanError, match="the plan is for"):
        compile_model(model, other, tmp_path / "out", stream=None, hardware=hardware)
    described = hardware.model_dump()
    described["buffer"]["reuse"]["bytes"]["value"] = 128
    with pytest.raises(HardwareError, match="its smallest tile does not fit the I/O buffer of 128 bytes") as caught:
        compile_model(model, plan, tmp_path / "out", stream=None, hardware=Hardware.model_validate(described))
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


Change = Callable[[NDArray[Any]], NDArray[Any]]


@pytest.mark.parametrize(
    ("executor", "name", "site"),
    [(Session, "portable", "a"), (Interpreter, "accelerator", "a"), (Interpreter, "accelerator", "hn")],
)
def test_an_executor_that_is_wrong_is_named_with_the_site(
    executor: type, name: str, site: str, model: Model, stream: Stream, plan: Plan, hardware: Hardware, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The indices that it gives are shifted from the third frame on."""
    found: Any = executor.indices  # type: ignore[attr-defined]
    calls = []

    def shifted(self: Any) -> dict[str, NDArray[Any]]:
        calls.append(self)
        indices: dict[str, NDArray[Any]] = found.fget(self)
        return {node: 31 - index if node == site and len(calls) > 2 else index for node, index in indices.items()}

    monkeypatch.setattr(executor, "indices", property(shifted))
    with pytest.raises(VerificationError, match=f"executor {name}: replay: frame 2: site {site}: index"):
        compile_model(model, plan, tmp_path / "out", stream=stream, hardware=hardware, threads=1)
    assert names(tmp_path) == []


def test_all_frames_are_verified_where_no_number_is_given(
    model: Model, stream: Stream, plan: Plan, hardware: Hardware, tmp_path: Path
) -> None:
    compile_model(model, plan, tmp_path / "out", stream=None, hardware=hardware)
    opened = CompiledDirectory.open(tmp_path / "out")
    program = program_file.load(tmp_path / "out" / "program.safetensors")
    results = verify(model, opened.plan, opened.reuse_model, program, stream, None, threads=1).results
    assert {name: result.frames for name, result in results.items()} == {"portable": FRAMES, "accelerator": FRAMES}
    assert all(list(result.sites) == ["a", "hn"] for result in results.values())
