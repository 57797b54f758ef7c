"""The nine light models of the onnx wheel, whole: real structure with seeded weights, through the whole path.

Every frame passes the replay check on both executors; nothing of them is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.check import check
from reuse_compiler.compiling import verify
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import load
from reuse_compiler.models.seeded_weights import with_seeded_weights
from reuse_compiler.onnx_writer import write_model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.profiling import profile
from reuse_compiler.session import Session
from reuse_compiler.streams import open_stream

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"
NAMES = sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx"))
FRAMES = 3


def frames(name: str, shape: tuple[int, ...]) -> Iterator[dict[str, NDArray[Any]]]:
    """A scene that changes a little, in one corner, from frame to frame."""
    generator = np.random.default_rng(0)
    scene = generator.standard_normal(shape).astype(np.float32)
    for _ in range(FRAMES):
        yield {name: scene.copy()}
        scene[..., :56, :56] += generator.standard_normal((56, 56)).astype(np.float32)


def test_there_are_nine() -> None:
    assert len(NAMES) == 9


@pytest.mark.parametrize("name", NAMES)
def test_a_light_model_compiles_and_every_frame_passes_the_replay(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    onnx.save(with_seeded_weights(onnx.load(LIGHT / f"light_{name}.onnx")), path)
    model = load(path)
    path.unlink()
    assert not [verdict for verdict in check(model) if verdict.verdict == "rejected"]
    recorded = list(frames(model.inputs[0].name, model.inputs[0].shape))
    stream = open_stream(recorded, model.inputs)
    plan = fit(model, profile(model, stream, threads=1), clusters=32)
    assert all(site.mode == "reuse" for site in plan.sites)
    reuse_model = rewrite(model, plan)
    file = tmp_path / "model.reuse.onnx"
    write_model(reuse_model, file)
    program = lower(reuse_model, load_hardware("isca18").tiling, model.sha256)
    assert not [layer.name for layer in program.layers if layer.backend == "host"]
    verified = verify(model, plan, file, program, stream, FRAMES, threads=1)
    for result in verified.results.values():
        assert result.frames == FRAMES
        assert len(result.sites) == len(plan.sites)
    session = Session(file, threads=1)
    first, second = (next(iter(session.run(frame).values())) for frame in recorded[:2])
    assert first.std() > 0
    assert np.abs(first - second).max() > 0
