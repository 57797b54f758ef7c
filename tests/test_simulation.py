"""Simulation: a stream on the interpreter, its report, its files, and its trace costed again."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.cost import Costs, cost_trace, trace_columns
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.backend.accelerator.trace import TraceReader
from reuse_compiler.errors import HardwareError, ProgramError, StreamError, VerificationError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.report import Report
from reuse_compiler.session import Session
from reuse_compiler.simulation import simulate
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.streams import Stream, open_stream

Arrays = dict[str, NDArray[Any]]

# A state that is fed back, a dense layer, a layer for the host, an output that is a label, one that is a constant.
NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x, float[1, 3] h) => (float[1, 3] y, float[1, 3] hn, int64[1, 1] label, float[2] fixed) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <group = 2> (b, W2)
    d = Flatten (c)
    e = MatMul (d, W3)
    f = Concat <axis = 1> (e, h)
    hn = Gemm (f, W4, B4)
    y = Tanh (hn)
    one = Constant <value_ints = [1]> ()
    largest, label = TopK <axis = 1> (hn, one)
    fixed = Add (K, K)
}"""
SHAPES = {"W1": (4, 2, 3, 3), "B1": (4,), "W2": (4, 2, 3, 3), "W3": (48, 5), "W4": (8, 3), "B4": (3,), "K": (2,)}
STATE = {"h": "hn"}
DENSE = "c"
QUANTIZERS = {
    "x": LinearQuantizer(0.25, 16, 32, (0.125, 0.0)),
    "d": LinearQuantizer(0.5, 2000, 4000),
    "f": LinearQuantizer(0.25, 100, 200, 0.25),
}
STARTS = (0, 70)
FRAMES = 100


@dataclass(frozen=True)
class Setting:
    """A model, a plan, its program, and a stream in two sequences."""

    model: Model
    plan: Plan
    program: Program
    x: NDArray[np.float32]

    @property
    def stream(self) -> Stream:
        return open_stream(self.samples, self.model.inputs, state=STATE)

    def samples(self) -> Iterator[dict[str, Any]]:
        for number, x in enumerate(self.x):
            yield {"x": x, "__start__": number in STARTS}

    @property
    def sites(self) -> list[Site]:
        return [site for site in find_sites(self.model) if site.node in self.plan.quantizers()]


def dyadic(generator: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return (generator.integers(-4, 5, shape) / 4).astype(np.float32)


def plan_for(model: Model, dense: tuple[str, ...]) -> Plan:
    sites = [
        SitePlan(
            node=site.node,
            input=site.input,
            op=site.op,
            mode="dense" if site.node in dense else "reuse",
            quantizer=None if site.node in dense else QuantizerSpec.of(QUANTIZERS[site.input]),
        )
        for site in find_sites(model)
    ]
    return Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites, state=STATE)


@pytest.fixture(scope="module")
def setting() -> Setting:
    generator = np.random.default_rng(5)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in SHAPES.items():
        weight = dyadic(generator, *shape) / (8 if name == "W4" else 1)  # the state stays bounded
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight.astype(np.float32), name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        model = frontend.load(path)
    plan = plan_for(model, (DENSE,))
    x = np.zeros((FRAMES, 2, 6, 5), np.float32)
    for number in range(1, FRAMES):
        fresh = generator.random(x.shape[1:]) < generator.choice([0, 0.1, 0.5])
        x[number] = np.where(fresh, dyadic(generator, *x.shape[1:]) * 2, x[number - 1])
    program = lower(rewrite(model, plan), load_hardware("isca18").tiling, model.sha256)
    return Setting(model, plan, program, x)


@dataclass(frozen=True)
class Run:
    """A report, and what the run wrote."""

    report: Report
    outputs: Arrays
    indices: Arrays
    trace: Path


@pytest.fixture(scope="module")
def run(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    report = simulate(
        setting.model,
        setting.program,
        setting.stream,
        hardware=load_hardware("isca18"),
        state=STATE,
        outputs=folder / "o.npz",
        indices=folder / "i.npz",
        trace=folder / "t",
        threads=1,
    )
    return Run(report, dict(np.load(folder / "o.npz")), dict(np.load(folder / "i.npz")), folder / "t")


# -------------------------------------------------------------------------------------------------------------- values


def test_outputs_and_indices_are_those_of_a_session_with_the_state_fed_back(setting: Setting, run: Run) -> None:
    """Sums are exact, so bit for bit but for Tanh; each sequence starts anew."""
    session = Session(rewrite(setting.model, setting.plan), threads=1)
    assert list(run.outputs) == ["y", "hn", "label", "fixed"]
    assert list(run.indices) == [site.node for site in setting.sites] == ["a", "e", "hn"]
    for number, x in enumerate(setting.x):
        if number in STARTS:
            session.reset()
        outputs = session.run({"x": x[None]})
        for name in ("hn", "label", "fixed"):
            np.testing.assert_array_equal(run.outputs[name][number], outputs[name])
        np.testing.assert_allclose(run.outputs["y"][number], outputs["y"], rtol=1e-6)
        for node, index in session.indices.items():
            np.testing.assert_array_equal(run.indices[node][number], index)


def test_the_state_matters_and_the_second_sequence_starts_anew(setting: Setting, run: Run) -> None:
    def alone(first: int, stop: int, tmp: str) -> Arrays:
        part = open_stream(lambda: ({"x": x} for x in setting.x[first:stop]), setting.model.inputs, state=STATE)
        path = Path(tmp) / "o.npz"
        simulate(
            setting.model, setting.program, part, hardware=load_hardware("isca18"), state=STATE, outputs=path, threads=1
        )
        return dict(np.load(path))

    with tempfile.TemporaryDirectory() as folder:
        second = alone(STARTS[1], FRAMES, folder)
        late = alone(STARTS[1] - 1, FRAMES, folder)
    for name, values in second.items():
        np.testing.assert_array_equal(run.outputs[name][STARTS[1] :], values)
    assert not np.array_equal(run.outputs["hn"][STARTS[1] :], late["hn"][1:])


# -------------------------------------------------------------------------------------------------------------- report


def test_totals_are_what_the_recorded_indices_say(setting: Setting, run: Run) -> None:
    """Similarity by elements, reuse by the fan-out of each: the first frame of a sequence is held against zero."""
    inputs = changed = skipped = 0
    for site in setting.sites:
        index = run.indices[site.node]
        zero = np.full((1, *site.shape), setting.plan.quantizers()[site.node].zero, index.dtype)
        past = np.concatenate([zero, index[:-1]])
        past[list(STARTS)] = zero
        different = index != past
        fan_out = np.broadcast_to(site.fan_out(), site.shape)
        inputs += different.size
        changed += int(different.sum())
        skipped += int((~different * fan_out).sum())
    totals = run.report.totals
    macs = sum(site.macs for site in find_sites(setting.model)) * FRAMES
    assert (totals.frames, totals.macs, totals.macs_computed) == (FRAMES, macs, macs - skipped)
    assert totals.similarity == pytest.approx(1 - changed / inputs)
    assert totals.reuse == pytest.approx(skipped / macs)
    assert 0 < totals.reuse_nonzero < totals.reuse < 1


def test_layers_add_up_to_the_totals(run: Run) -> None:
    report, totals = run.report, run.report.totals
    assert (report.stream.frames, report.stream.sequences) == (FRAMES, 2)
    for side in ("baseline", "reuse"):
        assert sum(getattr(layer.cycles, side) for layer in report.layers) == getattr(totals.cycles, side)
        energy = sum(getattr(totals.energy_pj, side).values())
        assert sum(getattr(layer.energy_pj, side) for layer in report.layers) == pytest.approx(energy)
    assert totals.speedup == totals.cycles.baseline / totals.cycles.reuse
    used = sum(totals.energy_pj.reuse.values()) / sum(totals.energy_pj.baseline.values())
    assert totals.energy_saving == pytest.approx(1 - used)
    assert sum(layer.macs for layer in report.layers) == totals.macs
    assert sum(layer.macs_computed for layer in report.layers) == totals.macs_computed
    host = sum(layer.cycles.baseline for layer in report.layers if layer.backend == "host")
    assert totals.host_share == host / totals.cycles.baseline > 0


def test_every_node_is_a_layer_where_it_ran(setting: Setting, run: Run) -> None:
    layers = {layer.name: layer for layer in run.report.layers}
    assert {name: layer.backend for name, layer in layers.items()} == {
        "a": "reuse",
        "c": "dense",
        "d": "dense",
        "e": "reuse",
        "f": "dense",
        "hn": "reuse",
        "y": "dense",
        "largest": "host",
        "fixed": "host",
    }
    assert layers["a"].deadband == [0.125, 0.0] and layers["hn"].deadband == 0.25
    assert (layers["e"].clusters, layers["e"].step) == (4000, 0.5)
    assert layers["c"].reuse == 0 and layers["c"].similarity is None and layers["c"].clusters is None
    assert layers["c"].macs_computed == layers["c"].macs > 0
    assert layers["e"].inputs == 48 * FRAMES


def test_state_has_a_place_and_setup_stands_apart(run: Run) -> None:
    state = run.report.state
    assert state.indices == 60 + 2 * 48 + 8
    assert state.linear == 4 * (4 * 30 + 5 + 3)
    assert state.buffer + state.dram == state.indices + state.linear
    assert run.report.setup.cycles.reuse >= run.report.setup.cycles.baseline > 0  # the deadbands are constants, too


def test_loss_is_measured_against_onnxruntime(setting: Setting, run: Run) -> None:
    session = onnx_session(setting.model)
    exact: dict[str, list[NDArray[Any]]] = {"y": [], "hn": []}
    h = np.zeros((1, 3), np.float32)
    for number, x in enumerate(setting.x):
        h = np.zeros_like(h) if number in STARTS else h
        y, h = session.run(["y", "hn"], {"x": x[None], "h": h})
        exact["y"].append(y)
        exact["hn"].append(h)
    accuracy = run.report.accuracy
    assert list(accuracy.outputs) == ["y", "hn", "fixed"]
    for name, values in exact.items():
        error = run.outputs[name].astype(np.float64) - np.stack(values)
        assert accuracy.outputs[name].relrmse == pytest.approx(
            np.sqrt(np.mean(error**2)) / np.std(values, dtype=np.float64)
        )
        assert accuracy.outputs[name].max_abs == np.abs(error).max() > 0
    assert accuracy.outputs["fixed"].max_abs == 0
    assert accuracy.value == max(output.relrmse for output in accuracy.outputs.values())


def onnx_session(model: Model) -> Any:
    import onnxruntime as ort

    return ort.InferenceSession(model.proto().SerializeToString(), providers=["CPUExecutionProvider"])


def test_the_report_names_what_it_rests_on(setting: Setting, run: Run, tmp_path: Path) -> None:
    report = run.report
    assert report.model.sha256 == setting.model.sha256
    assert report.hardware.name == "isca18"
    assert len(report.hardware.constants) == len(load_hardware("isca18").constants())
    assert report.run.seconds > 0 and report.run.macs_per_second > 0 and report.run.peak_memory_bytes > 1 << 20
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == report


def test_a_plan_without_reuse_saves_nothing(setting: Setting, tmp_path: Path) -> None:
    plan = plan_for(setting.model, ("a", "c", "e", "hn"))
    program = lower(rewrite(setting.model, plan), load_hardware("isca18").tiling, setting.model.sha256)
    report = simulate(
        setting.model,
        program,
        setting.stream,
        hardware=load_hardware("isca18"),
        state=STATE,
        threads=1,
        indices=tmp_path / "i.npz",
    )
    totals = report.totals
    assert (totals.reuse, totals.reuse_nonzero, totals.similarity) == (0, 0, 0)
    assert totals.cycles.baseline == totals.cycles.reuse
    assert totals.energy_saving < 0  # the larger buffer and the tables leak
    assert report.accuracy.value < 1e-6
    assert np.load(tmp_path / "i.npz").files == []


def test_progress_counts_frames(setting: Setting) -> None:
    seen: list[tuple[str, int, int | None]] = []
    stream = open_stream([{"x": x} for x in setting.x[:3]], setting.model.inputs, state=STATE)
    simulate(
        setting.model,
        setting.program,
        stream,
        hardware=load_hardware("isca18"),
        state=STATE,
        threads=1,
        progress=lambda what, done, total: seen.append((what, done, total)),
    )
    assert [(what, done) for what, done, _ in seen] == [("run", 1), ("run", 2), ("run", 3)]


# --------------------------------------------------------------------------------------------------------------- trace


def costed(run: Run, program: Program, hardware: Hardware) -> Costs:
    columns = trace_columns(program)
    reader = TraceReader.open(run.trace, digest(program), columns)
    return cost_trace(program, reader.blocks(), reader.sequences, hardware)


def test_the_trace_costed_again_is_the_run(setting: Setting, run: Run) -> None:
    costs, report = costed(run, setting.program, load_hardware("isca18")), run.report
    assert (costs.frames, costs.sequences) == (FRAMES, 2)
    assert costs.reuse.cycles.tolist() == [layer.cycles.reuse for layer in report.layers]
    assert costs.baseline.cycles.tolist() == [layer.cycles.baseline for layer in report.layers]
    assert costs.reuse.components_pj == report.totals.energy_pj.reuse
    assert costs.baseline.components_pj == report.totals.energy_pj.baseline
    assert [layer.macs_done for layer in costs.layers] == [layer.macs_computed for layer in report.layers]


def test_the_trace_costs_other_hardware_as_a_run_on_it_would(setting: Setting, run: Run) -> None:
    macro = load_hardware("isca18-macro")
    report = simulate(setting.model, setting.program, setting.stream, hardware=macro, state=STATE, threads=1)
    costs = costed(run, setting.program, macro)
    assert costs.reuse.components_pj == report.totals.energy_pj.reuse != run.report.totals.energy_pj.reuse
    assert costs.reuse.cycles.tolist() == [layer.cycles.reuse for layer in report.layers]


def test_a_trace_of_another_program_is_refused(setting: Setting, run: Run) -> None:
    plan = plan_for(setting.model, ("c", "e"))
    other = lower(rewrite(setting.model, plan), load_hardware("isca18").tiling, setting.model.sha256)
    with pytest.raises(ProgramError, match=f"it is of program {digest(setting.program)}, not of {digest(other)}"):
        costed(run, other, load_hardware("isca18"))


# --------------------------------------------------------------------------------------------------------------- errors


def broken(setting: Setting, frame: int, error: Exception) -> Stream:
    def samples() -> Iterator[dict[str, Any]]:
        for number, sample in enumerate(setting.samples()):
            if number == frame:
                raise error
            yield sample

    return open_stream(samples, setting.model.inputs, state=STATE)


@pytest.mark.parametrize("frame", [0, 1, 64, 65, 99])
def test_files_are_absent_where_the_stream_fails_midway(frame: int, setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("before")
    with pytest.raises(StreamError):
        simulate(
            setting.model,
            setting.program,
            broken(setting, frame, StreamError("the camera broke")),
            hardware=load_hardware("isca18"),
            state=STATE,
            outputs=tmp_path / "o.npz",
            indices=tmp_path / "i.npz",
            trace=tmp_path / "t",
            threads=1,
        )
    assert [item.name for item in tmp_path.iterdir()] == ["t"]
    assert (tmp_path / "t").read_text() == "before"


def test_files_are_absent_where_the_accounts_do_not_close(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise VerificationError("the accounts do not close")

    monkeypatch.setattr("reuse_compiler.simulation.check_accounts", refuse)
    with pytest.raises(VerificationError):
        simulate(
            setting.model,
            setting.program,
            setting.stream,
            hardware=load_hardware("isca18"),
            state=STATE,
            outputs=tmp_path / "o.npz",
            trace=tmp_path / "t",
            threads=1,
        )
    assert list(tmp_path.iterdir()) == []


def test_parts_that_do_not_fit_are_refused(setting: Setting) -> None:
    hardware = load_hardware("isca18")
    other = Program(**{**vars(setting.program), "model_sha256": "cd" * 32})
    with pytest.raises(ProgramError, match=f"the program is of model {'cd' * 32}, .* is {setting.model.sha256}"):
        simulate(setting.model, other, setting.stream, hardware=hardware, state=STATE)
    with pytest.raises(StreamError, match="the model has no output z"):
        simulate(setting.model, setting.program, setting.stream, hardware=hardware, state={"h": "z"})
    described = hardware.model_dump()
    described["edram"]["bytes"]["value"] = 1 << 20
    with pytest.raises(HardwareError, match="edram_bytes is 1,048,576, the program was lowered for 37,748,736"):
        simulate(
            setting.model, setting.program, setting.stream, hardware=Hardware.model_validate(described), state=STATE
        )


def test_memory_does_not_grow_with_the_stream(setting: Setting, tmp_path: Path) -> None:
    """Ten times the frames, with all files written: not 256 KB more, though the files grow by more than that."""

    def peak(repeats: int) -> int:
        def samples() -> Iterator[dict[str, NDArray[Any]]]:
            return ({"x": x} for _ in range(repeats) for x in setting.x[:50])

        stream = open_stream(samples, setting.model.inputs, state=STATE)
        tracemalloc.start()
        simulate(
            setting.model,
            setting.program,
            stream,
            hardware=load_hardware("isca18"),
            state=STATE,
            outputs=tmp_path / "o.npz",
            indices=tmp_path / "i.npz",
            trace=tmp_path / "t",
            threads=1,
        )
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)
    short = peak(2)
    size = sum(item.stat().st_size for item in tmp_path.iterdir())
    long = peak(20)
    assert sum(item.stat().st_size for item in tmp_path.iterdir()) - size > 256 << 10
    assert long - short < 256 << 10
