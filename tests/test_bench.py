"""The bench: what is run, counted and compared. No time is asserted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.cpu import library
from reuse_compiler.bench import benching
from reuse_compiler.bench.benching import bench
from reuse_compiler.bench.layer_rows import OTHER_NODES
from reuse_compiler.bench.layers import by_layer
from reuse_compiler.bench.report import BenchReport
from reuse_compiler.bench.skipping import EveryNthFrame, MovedFrames, Rule, Skipper
from reuse_compiler.bench.stillness import CompareClock, movement
from reuse_compiler.bench.stock import StockModel, StockStream
from reuse_compiler.bench.turns import BLOCK, LEAD, take_turns
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.errors import ModelError, ReuseError, StreamError
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model, load
from reuse_compiler.layer_run import LayerRun
from reuse_compiler.layer_times import KernelTimes
from reuse_compiler.plan import BudgetRecord, PartRecord, Plan
from reuse_compiler.profiling import profile
from reuse_compiler.run_accuracy import RunAccuracy
from reuse_compiler.running import run_session
from reuse_compiler.session import Session
from reuse_compiler.streams import Frame, Stream, open_stream

# Its initializers are inputs too, as in old files.
NETWORK = """
<ir_version: 8, opset_import: ["": 13]>
net (float[1, 2, 6, 5] x, float[1, 3] h, float[4, 2, 3, 3] W1, float[120, 3] W2) => (float[1, 3] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1)
    b = Relu (a)
    c = Flatten (b)
    d = Gemm (c, W2)
    e = Add (d, h)
    y = Tanh (e)
}"""
SHAPES = {"W1": (4, 2, 3, 3), "W2": (120, 3)}
FRAMES, START = 20, 11
STATE = {"h": "y"}


def samples(repeat: int = 1) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(3)
    x = np.zeros((2, 6, 5), np.float32)
    for number in range(FRAMES):
        if number % repeat == 0:
            x = np.where(generator.random(x.shape) < 0.3, generator.standard_normal(x.shape).astype(np.float32), x)
        yield {"x": x.copy(), "__start__": number == START}


@dataclass(frozen=True)
class Compiled:
    directory: CompiledDirectory
    model: Model
    plan: Plan
    stream: Stream


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("compiled")
    generator = np.random.default_rng(2)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in SHAPES.items():
        weight = generator.standard_normal(shape).astype(np.float32) / 8
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(proto, folder / "model.onnx")
    model = load(folder / "model.onnx")
    stream = open_stream(samples, model.inputs, state=STATE)
    plan = fit(model, profile(model, stream, state=STATE, threads=1), clusters=16, state=STATE, exclude=["d"])
    compile_model(model, plan, folder / "out", stream=None, hardware=load_hardware("isca18"))
    return Compiled(CompiledDirectory.open(folder / "out"), model, plan, stream)


@pytest.fixture(scope="module")
def report(compiled: Compiled) -> BenchReport:
    return bench(compiled.directory, compiled.stream, threads=1, adaptive=False)


def test_the_report_has_what_the_design_names(report: BenchReport) -> None:
    named = {"threads", "frames", "dense_ms", "reuse_ms", "speedup", "spread", "layers", "alternatives", "accuracy"}
    assert named <= report.model_dump().keys()
    assert (report.threads, report.frames) == (1, FRAMES)
    assert report.speedup == report.dense_ms / report.reuse_ms
    for median, spread in ((report.dense_ms, report.spread.dense_ms), (report.reuse_ms, report.spread.reuse_ms)):
        assert 0 < spread.lower <= median <= spread.upper
    assert BenchReport.model_validate_json(report.model_dump_json()) == report


def test_similarity_and_loss_are_those_of_a_run_with_fed_back_state(compiled: Compiled, report: BenchReport) -> None:
    run = run_session(compiled.directory, compiled.stream, threads=1)
    assert report.similarity == pytest.approx(run.similarity)
    assert {layer.name: layer.similarity for layer in report.layers if layer.similarity is not None} == {
        site.node: pytest.approx(site.similarity) for site in run.sites
    }
    assert report.accuracy.value > 0
    assert report.accuracy.value == pytest.approx(run.accuracy.value, rel=1e-3)


def test_layers_are_those_with_sites_and_the_rest(report: BenchReport) -> None:
    assert [(layer.name, layer.op) for layer in report.layers] == [("a", "Conv"), ("d", "Gemm"), (OTHER_NODES, "")]
    assert all(layer.dense_ms is not None and layer.dense_ms >= 0 for layer in report.layers)
    conv, dense, rest = report.layers
    assert (dense.reuse_ms, rest.reuse_ms) == (None, None)
    assert (conv.reuse_ms is None) == (library() is None)
    assert (dense.path, dense.similarity) == ("dense", None)
    assert dense.reason


def test_what_the_session_says_of_its_layers_is_shown(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    class Telling(Session):
        def layer_runs(self) -> Sequence[LayerRun]:
            assert self.statistics.frames == FRAMES
            return [LayerRun("a", 0.5, "sparse", "few changed"), LayerRun("y", 0.25, "onnxruntime", "no weights")]

    monkeypatch.setattr(benching, "Session", Telling)
    conv, gemm, rest = bench(compiled.directory, compiled.stream, threads=1).layers
    assert (conv.reuse_ms, conv.path, conv.reason) == (0.5, "sparse", "few changed")
    assert (gemm.reuse_ms, gemm.path) == (None, "dense")
    assert (rest.reuse_ms, rest.path) == (0.25, None)


def test_an_adaptive_session_counts_the_frames_without_reuse(compiled: Compiled) -> None:
    report = bench(compiled.directory, compiled.stream, threads=1)
    assert 0 <= report.dense_frames <= FRAMES
    assert report.accuracy.value >= 0


def test_frames_that_repeat_can_be_skipped_without_loss(compiled: Compiled) -> None:
    """Of a model without state: one with it would miss the frames that are skipped."""
    stateless = compiled.plan.model_copy(update={"state": {}})
    stream = open_stream(lambda: _pairs(compiled.model), compiled.model.inputs)
    directory = CompiledDirectory(compiled.directory.path)
    directory.__dict__["plan"] = stateless
    found = bench(directory, stream, model=compiled.model, threads=1).alternatives
    assert found.every_nth is not None and found.skip_max is not None and found.skip_mean is not None
    assert found.every_nth.n >= 2 and found.every_nth.kept
    for skip in (found.skip_max, found.skip_mean):
        assert skip.kept and skip.skipped >= 0.5
        assert skip.compare_ms > 0


def _pairs(model: Model) -> Iterator[dict[str, Any]]:
    for sample in samples(2):
        yield {"x": sample["x"], "h": np.zeros((1, 3), np.float32)}


def test_the_budget_is_what_alternatives_may_lose(compiled: Compiled) -> None:
    for text, loses in (("rmse<=10", True), ("rmse<=0", False)):
        part = PartRecord(frames=1, reuse=0.0, loss=0.0)
        record = BudgetRecord(text=text, calibration=part, verification=part)
        directory = CompiledDirectory(compiled.directory.path)
        directory.__dict__["plan"] = compiled.plan.model_copy(update={"budget": record})
        shown = bench(directory, compiled.stream, threads=1)
        every, skip = shown.alternatives.every_nth, shown.alternatives.skip_max
        assert every is not None and skip is not None
        assert shown.accuracy.bounds[0].limit == (10 if loses else 0)
        if loses:  # of n frames half of the stream at most, and one a sequence where any change is small enough
            assert (every.n, every.kept) == (FRAMES // 2, True)
            assert skip.skipped == 1 - 2 / FRAMES
        else:
            assert every.loss <= shown.accuracy.value or not every.kept
            assert skip.loss <= shown.accuracy.value


@pytest.mark.parametrize("declared", [True, False])
def test_a_short_stream_is_refused(compiled: Compiled, declared: bool) -> None:
    short = open_stream(samples, compiled.model.inputs, state=STATE, frames="0:7")
    assert short.frames is None
    if declared:
        short.frames = 7
    with pytest.raises(StreamError, match=r"7 frames are too few for a median: give 8 or more"):
        bench(compiled.directory, short, threads=1)


def test_threads_are_one_or_more(compiled: Compiled) -> None:
    with pytest.raises(ReuseError, match="threads is 0"):
        bench(compiled.directory, compiled.stream, threads=0)


def test_progress_counts_frames_and_passes(compiled: Compiled) -> None:
    seen: list[tuple[str, int, int | None]] = []
    bench(compiled.directory, compiled.stream, threads=1, progress=lambda *report: seen.append(report))
    assert [report for report in seen if report[0] == "time"] == [("time", frame, None) for frame in (BLOCK, FRAMES)]
    passes = [report[1:] for report in seen if report[0] == "try skipping"]
    assert [done for done, _ in passes] == list(range(1, len(passes) + 1))
    assert {total for _, total in passes} == {2 * FRAMES} and len(passes) in (FRAMES, 2 * FRAMES)


# -------------------------------------------------------------------------------------------------------------- turns


def _frame(value: float, start: bool = False) -> Frame:
    return Frame({"x": np.full(4, value, np.float32)}, start)


def test_turns_alternate_and_leave_out_their_first_frames() -> None:
    frames = [_frame(number) for number in range(2 * BLOCK + 1)]
    log: list[str] = []

    def run(who: str, frame: Frame) -> dict[str, NDArray[Any]]:
        log.append(f"{who}{int(frame.inputs['x'][0])}")
        return {"y": frame.inputs["x"]}

    blocks = list(
        take_turns(frames, lambda frame: run("d", frame), lambda frame: run("r", frame), lambda: log.append("after"))
    )
    assert [len(block.frames) for block in blocks] == [BLOCK, BLOCK, 1]
    assert [len(block.dense.milliseconds) for block in blocks] == [BLOCK - LEAD, BLOCK - LEAD, 0]
    assert [len(block.reuse.milliseconds) for block in blocks] == [BLOCK - LEAD, BLOCK - LEAD, 0]
    ran = [entry for entry in log if entry != "after"]
    first, second = range(BLOCK), range(BLOCK, 2 * BLOCK)
    order = [("d", first), ("r", first), ("r", second), ("d", second), ("d", [2 * BLOCK]), ("r", [2 * BLOCK])]
    assert ran == [f"{who}{number}" for who, numbers in order for number in numbers]
    assert all(log[position + 1] == "after" for position, entry in enumerate(log) if entry.startswith("r"))
    assert log.count("after") == len(frames)
    assert [values["y"][0] for block in blocks for values in block.reuse.outputs] == list(range(len(frames)))


# -------------------------------------------------------------------------------------------------------------- stock


def test_initializers_among_the_inputs_do_not_hinder_fusion(compiled: Compiled) -> None:
    stock = StockModel(compiled.model, STATE, 1)
    assert [value.name for value in stock.graph.input] == ["x", "h"]
    operators = [times.op for times in stock.kernel_times(compiled.stream).values()]
    assert "Relu" not in operators


def test_stock_feeds_its_state_back_and_begins_anew(compiled: Compiled) -> None:
    stock = StockModel(compiled.model, STATE, 1)
    frames = list(compiled.stream)
    stream, h = StockStream(stock), np.zeros((1, 3), np.float32)
    for frame in frames:
        h = np.zeros_like(h) if frame.start else h
        expected = StockModel(compiled.model, {}, 1)
        h = StockStream(expected).run(Frame({**frame.inputs, "h": h}, False))["y"]
        np.testing.assert_array_equal(stream.run(frame)["y"], h)


def test_weights_outside_of_the_file_are_found(compiled: Compiled, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(onnx.load(compiled.model.path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    model, frame = load(path), next(iter(compiled.stream))
    given = StockStream(StockModel(compiled.model, STATE, 1)).run(frame)
    np.testing.assert_array_equal(StockStream(StockModel(model, STATE, 1)).run(frame)["y"], given["y"])
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"model\.onnx: onnxruntime does not take it"):
        StockModel(model, STATE, 1)


def test_times_of_fused_nodes_go_to_their_layer() -> None:
    graph = onnx.parser.parse_graph(
        """net (float[1, 4, 8, 8] x) => (float[1, 4] y) {
            a = Conv (x, W)
            b = Relu (a)
            c = Conv (b, W)
            s = Add (b, c)
            t = Relu (s)
            p = GlobalAveragePool (t)
            f = Flatten (p)
            m = MatMul (f, V)
            n = Add (m, B)
            y = Relu (n)
        }"""
    )
    for node, name in zip(graph.node, ("a", "b", "c", "s", "t", "p", "f", "m", "n", "y"), strict=True):
        node.name = f"node_{name}"
    times = {
        "t_nchwc": KernelTimes("Conv", [2000.0, 4000.0]),
        "b_nchwc": KernelTimes("Conv", [1000.0, 1000.0]),
        "fused node_m/MatMulAddFusion": KernelTimes("FusedGemm", [500.0, 500.0]),
        "node_f": KernelTimes("Flatten", [10.0, 10.0]),
        "ReorderInput": KernelTimes("ReorderInput", [20.0, 20.0]),
    }
    found, others = by_layer(graph, ["node_a", "node_c", "node_m"], times, 2)
    assert found == {"node_a": 1.0, "node_c": 3.0, "node_m": 0.5}
    assert others == pytest.approx(0.03)


# ----------------------------------------------------------------------------------------------------------- skipping


def _ran(rule: Rule, frames: Sequence[Frame]) -> list[int]:
    model = _identity()
    skipper = Skipper(rule, RunAccuracy(model, None), None)
    ran = []
    for number, frame in enumerate(frames):
        before = skipper.ran
        skipper.take(frame, {"y": frame.inputs["x"]}, lambda new, last: movement(new.inputs, last.inputs))
        if skipper.ran > before:
            ran.append(number)
    assert skipper.skipped == pytest.approx(1 - len(ran) / len(frames))
    return ran


def _identity() -> Model:
    from tests.small_network import small_model

    return small_model()


def test_every_nth_frame_counts_from_a_sequence_start() -> None:
    frames = [_frame(number, number in (0, 5)) for number in range(10)]
    assert _ran(EveryNthFrame(3), frames) == [0, 3, 5, 8]
    assert _ran(EveryNthFrame(20), frames) == [0, 5]


def test_movement_is_from_the_last_frame_that_ran() -> None:
    creeping = [_frame(number / 4, number == 0) for number in range(9)]
    assert _ran(MovedFrames("max", 0.5), creeping) == [0, 3, 6]
    assert _ran(MovedFrames("mean", 0.0), creeping) == list(range(9))
    assert _ran(MovedFrames("max", math.inf), creeping) == [0]
    unknown = [_frame(0.0, True), _frame(math.nan), _frame(math.nan)]
    assert _ran(MovedFrames("max", 1e30), unknown) == [0, 1, 2]


def test_what_is_skipped_repeats_the_last_outputs() -> None:
    frames = [_frame(float(number), number == 0) for number in range(4)]
    accuracy = RunAccuracy(_identity(), None)
    skipper = Skipper(EveryNthFrame(2), accuracy, None)
    for frame in frames:
        skipper.take(frame, {"y": frame.inputs["x"]}, lambda new, last: movement(new.inputs, last.inputs))
    assert accuracy.report().outputs["y"].rmse == pytest.approx(math.sqrt(0.5))


def test_movement_of_several_inputs_and_types() -> None:
    past = {"a": np.zeros(4, np.float32), "b": np.array([250, 3], np.uint8)}
    new = {"a": np.array([0, 0, 0, -2], np.float32), "b": np.array([3, 3], np.uint8)}
    assert movement(new, past) == {"max": 247.0, "mean": 123.5}
    assert movement({"a": new["a"]}, past) == {"max": 2.0, "mean": 0.5}
    assert movement({"s": np.array(["a"])}, {"s": np.array(["a"])}) == {"max": math.inf, "mean": math.inf}
    assert movement(past, past) == {"max": 0.0, "mean": 0.0}


def test_the_clock_of_comparisons_takes_what_is_float() -> None:
    clock = CompareClock()
    assert clock.median("max") == 0.0
    clock.take({"a": np.zeros(4, np.float32), "s": np.array(["a"])}, {"a": np.ones(4, np.float32), "s": None})
    assert [len(clock.milliseconds[measure]) for measure in ("max", "mean")] == [1, 1]
