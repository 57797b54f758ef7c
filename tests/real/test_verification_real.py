"""Trained models on whole recordings: every frame passes the replay check, in onnxruntime and on the accelerator."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.assembler import assemble, disassemble
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.compiling import verify
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model, load
from reuse_compiler.model_profile import Profile
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.profiling import profile
from reuse_compiler.replay import TOLERANCE
from reuse_compiler.streams import Stream, open_stream

# Clusters, and the deadband in steps.
SETTINGS = {"16": (16, 0.0), "32": (32, 0.0), "256": (256, 0.0), "256 with a deadband": (256, 2.0)}
Recorded = tuple[Model, Stream, Profile, int]


@pytest.fixture(scope="module", params=["pilotnet@highway", "ultraface@asl_bird"])
def recorded(real: ModuleType, request: pytest.FixtureRequest) -> Recorded:
    """A model, its recording, what a profile of it says, and the number of frames."""
    pair = real.PAIRS[request.param]
    model = load(pair.model)
    stream = open_stream(pair.feeds, model.inputs)
    profiled = profile(model, stream, threads=1)
    return model, stream, profiled, profiled.stream.frames


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_every_frame_passes_the_replay_on_both_executors(
    recorded: Recorded, setting: tuple[int, float], tmp_path: Path
) -> None:
    model, stream, profiled, frames = recorded
    clusters, deadband = setting
    plan = fit(model, profiled, clusters=clusters, deadband=deadband)
    rewritten = rewrite(model, plan)
    path = tmp_path / "model.reuse.onnx"
    path.write_bytes(ir.to_proto(rewritten).SerializeToString())
    program = lower(rewritten, load_hardware("isca18").tiling, model.sha256)
    verified = verify(model, plan, path, program, stream, None, threads=1)
    results = verified.results
    assert set(results) == {"portable", "accelerator"}
    for result in results.values():
        assert result.frames == frames
        assert len(result.sites) == len(plan.sites)
        assert max(site.linear for site in result.sites.values()) < TOLERANCE
        assert max(result.outputs.values()) < TOLERANCE
    for name, error in verified.distance.outputs.items():  # of one executor from the other: reported, not bounded
        print(f"{model.path.name}, {clusters} clusters, deadband {deadband}: {name} differs by {error.max_abs:.2g}")


def test_its_program_has_no_race_and_survives_the_assembler(recorded: Recorded) -> None:
    model, _, profiled, _ = recorded
    program = lower(rewrite(model, fit(model, profiled)), load_hardware("isca18").tiling, model.sha256)
    assert races(program.reuse) == []
    assert races(program.baseline) == []
    assert digest(assemble(disassemble(program), program)) == digest(program)
