"""Every model with its recording: nothing is rejected, and the first frames pass the replay check on both executors."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.check import check
from reuse_compiler.compiling import verify
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import load
from reuse_compiler.onnx_writer import write_model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.profiling import profile
from reuse_compiler.streams import open_stream

FRAMES = 3
PAIRS = (
    "pilotnet@highway",
    "ultraface@asl_book",
    "ultraface@asl_bird",
    "ultraface@bottle",
    "kws@speech_40ms",
    "kws@speech_10ms",
    "silero_vad@speech",
)


def test_every_pair_is_among_them(real: ModuleType) -> None:
    assert set(real.PAIRS) == set(PAIRS)


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_compiles_and_its_first_frames_pass_the_replay(real: ModuleType, name: str, tmp_path: Path) -> None:
    pair = real.PAIRS[name]
    model = load(pair.model)
    assert not [verdict for verdict in check(model) if verdict.verdict == "rejected"]
    state = dict(pair.state)
    stream = open_stream(pair.feeds, model.inputs, frames="0:10", state=state)
    plan = fit(model, profile(model, stream, state=state, threads=1), clusters=pair.clusters)
    assert all(site.mode == "reuse" for site in plan.sites)
    reuse_model = rewrite(model, plan)
    write_model(reuse_model, tmp_path / "model.reuse.onnx")
    program = lower(reuse_model, load_hardware("isca18").tiling, model.sha256)
    assert not [layer.name for layer in program.layers if layer.backend == "host"]
    results = verify(model, plan, tmp_path / "model.reuse.onnx", program, stream, FRAMES, threads=1).results
    assert {executor: result.frames for executor, result in results.items()} == {"portable": 3, "accelerator": 3}
