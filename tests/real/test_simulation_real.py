"""Trained models on recordings, simulated: the baseline computes them, counts are right, and traces cost as runs do."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.accounting import check_accounts
from reuse_compiler.backend.accelerator.cost import cost_trace, trace_columns
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.backend.accelerator.trace import TraceReader
from reuse_compiler.feedback import Feedback
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model, load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.profiling import profile
from reuse_compiler.reference import Reference
from reuse_compiler.simulation import simulate
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Stream, open_stream

FRAMES = {"pilotnet@highway": 20, "ultraface@asl_bird": 4, "kws@speech_40ms": 60, "silero_vad@speech": 60}


@dataclass(frozen=True)
class Recorded:
    model: Model
    plan: Plan
    program: Program
    stream: Stream
    frames: int


@pytest.fixture(scope="module", params=FRAMES)
def recorded(real: ModuleType, request: pytest.FixtureRequest) -> Recorded:
    pair, frames = real.PAIRS[request.param], FRAMES[request.param]
    model, state = load(pair.model), dict(pair.state)
    stream = open_stream(lambda: islice(pair.feeds(), frames), model.inputs, state=state)
    plan = fit(model, profile(model, stream, state=state, threads=1), clusters=pair.clusters, state=state)
    program = lower(rewrite(model, plan), load_hardware("isca18").tiling, model.sha256)
    return Recorded(model, plan, program, stream, frames)


def test_the_baseline_computes_the_model(recorded: Recorded) -> None:
    baseline = Interpreter(recorded.program, recorded.program.baseline)
    state = recorded.plan.state
    reference, feedback = Reference(recorded.model, state, 1), Feedback(state, recorded.model.inputs)
    for frame in islice(recorded.stream, 10):
        outputs = baseline.run(feedback.feed(frame))
        feedback.take(outputs)
        for name, exact in reference.run(frame).items():
            assert np.abs(outputs[name] - exact).max() <= 1e-5 * max(np.abs(exact).max(), 1e-3)


def test_counts_are_those_of_the_recorded_indices_and_the_trace_costs_as_the_run(
    recorded: Recorded, tmp_path: Path
) -> None:
    model, program, quantizers = recorded.model, recorded.program, recorded.plan.quantizers()
    report = simulate(
        model,
        program,
        recorded.stream,
        hardware=load_hardware("isca18"),
        state=recorded.plan.state,
        indices=tmp_path / "i.npz",
        trace=tmp_path / "t",
        threads=1,
    )
    indices = np.load(tmp_path / "i.npz")
    layers = {layer.name: layer for layer in report.layers}
    for site in find_sites(model):
        index = indices[site.node]
        past = np.concatenate([np.full_like(index[:1], quantizers[site.node].zero), index[:-1]])
        changed = index != past
        assert layers[site.node].similarity == pytest.approx(1 - changed.mean())
        assert layers[site.node].macs_computed == int((changed * np.broadcast_to(site.fan_out(), site.shape)).sum())
    totals = report.totals
    assert totals.frames == recorded.frames
    assert 0 < totals.reuse_nonzero <= totals.reuse < 1
    assert totals.speedup > 1 and 0 < totals.energy_saving < 1
    assert np.isfinite(report.accuracy.value)
    columns = trace_columns(program)
    reader = TraceReader.open(tmp_path / "t", digest(program), columns)
    for name in ("isca18", "isca18-macro"):
        hardware = load_hardware(name)
        costs = cost_trace(program, reader.blocks(), reader.sequences, hardware)
        check_accounts(program, costs, hardware)
        assert costs.reuse.cycles.tolist() == [layer.cycles.reuse for layer in report.layers]
        assert (costs.reuse.components_pj == totals.energy_pj.reuse) == (name == "isca18")
