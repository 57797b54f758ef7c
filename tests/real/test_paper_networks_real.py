"""The paper's networks on real recordings: speech for Kaldi and EESEN, video for C3D and AutoPilot.

Nothing says what is right there. What is looked at: that they run from the file to costs, and that real streams repeat.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.reproduce.network import execute, lowered, prepared
from reuse_compiler.reproduce.workloads import Workload, workload


@pytest.mark.parametrize(
    ("name", "file", "frames", "clusters"),
    [
        ("kaldi", "silero_test.wav", 400, 16),
        ("eesen", "silero_test.wav", 2, 16),
        ("c3d-small", "asl_bird.mkv", 3, 32),
        ("autopilot", "solidWhiteRight.mp4", 60, 32),
    ],
)
def test_a_network_of_the_paper_runs_on_a_real_recording(
    real: ModuleType, name: str, file: str, frames: int, clusters: int
) -> None:
    one: Workload = workload(name)
    one = replace(one, full=replace(one.quick, calibration=max(one.quick.calibration // 2, 1)))
    recording: Path = real.DATA / file
    with prepared(one, quick=False, hardware=load_hardware("isca18"), threads=2, recording=recording) as ready:
        done = execute(ready, lowered(ready, ready.fitted()), ready.evaluation, frames=frames)
    totals = done.report.totals
    assert totals.frames == frames and len(done.outputs) == frames
    assert 0.2 < totals.similarity < 1 and 0.2 < totals.reuse < 1
    assert totals.speedup > 1 and totals.host_share == 0
    assert {layer.clusters for layer in done.report.layers if layer.clusters is not None} == {clusters}
