"""What a stream did, frame by frame, adds up to the report of the same stream."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.report_page import Recording, record
from reuse_compiler.streams import Stream


@pytest.fixture
def recording(compiled: CompiledDirectory, stream: Stream) -> Recording:
    return record(compiled.original(), compiled.program, compiled.plan, stream, load_hardware("isca18"), threads=1)


def test_every_frame_is_there(recording: Recording) -> None:
    assert (recording.frames, recording.every, recording.starts) == (9, 1, [0])
    assert len(recording.cycles) == len(recording.total) == len(recording.reuse) == 9


def test_similarity_of_the_layers_is_that_of_the_report(recording: Recording, compiled: CompiledDirectory) -> None:
    assert compiled.report is not None
    expected = {layer.name: layer.similarity for layer in compiled.report.layers if layer.similarity is not None}
    assert set(recording.similarity) == set(expected)
    for name, values in recording.similarity.items():
        assert np.mean(values) == pytest.approx(expected[name], abs=1e-4)


def test_totals_are_those_of_the_report(recording: Recording, compiled: CompiledDirectory) -> None:
    assert compiled.report is not None
    totals = compiled.report.totals
    assert np.mean(recording.total) == pytest.approx(totals.similarity, abs=1e-4)
    assert np.mean(recording.reuse) == pytest.approx(totals.reuse, abs=1e-4)
    assert recording.baseline_cycles * totals.frames <= totals.cycles.baseline
    assert sum(recording.cycles) <= totals.cycles.reuse, "the report counts the start of the sequence, too"
    assert sum(recording.cycles) > 0.9 * totals.cycles.reuse


def test_frames_have_pictures(recording: Recording) -> None:
    assert recording.pictures is not None
    assert len(recording.pictures.uris) == 9


def test_progress_is_told(compiled: CompiledDirectory, stream: Stream) -> None:
    told: list[tuple[str, int, int | None]] = []
    record(
        compiled.original(),
        compiled.program,
        compiled.plan,
        stream,
        load_hardware("isca18"),
        threads=1,
        progress=lambda *what: told.append(what),
    )
    assert [done for _, done, _ in told] == list(range(1, 10))
