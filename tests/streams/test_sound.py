from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import open_stream

Write = Callable[[str], Path]
F32 = np.dtype("float32")


def _samples(count: int, channels: int = 1) -> np.ndarray:
    levels = np.random.default_rng(5).integers(-(2**15), 2**15, (count, channels))
    return (levels / 2**15).astype(np.float32)  # what 16 bits hold exactly


def _write(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def _read(source: Path, shape: tuple[int, ...], **options: Any) -> list[np.ndarray]:
    return [frame.inputs["x"] for frame in open_stream(source, [TensorSpec("x", shape, F32)], **options)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    count=st.integers(1, 60),
    frame=st.integers(1, 12),
    context=st.integers(0, 12),
    hop=st.integers(1, 30),
    first=st.integers(0, 4),
    suffix=st.sampled_from(["wav", "flac"]),
)
def test_frames_are_the_stretches_that_the_settings_name(
    tmp_path: Path, preprocess: Write, count: int, frame: int, context: int, hop: int, first: int, suffix: str
) -> None:
    samples = _samples(count)[:, 0]
    toml = preprocess(f"[sound]\nframe = {frame}\ncontext = {context}\nhop = {hop}\n")
    padded = np.concatenate([np.zeros(context, np.float32), samples])
    expected = [padded[s : s + context + frame] for s in range(0, count - frame + 1, hop)][first:]
    spec = TensorSpec("x", (1, context + frame), F32)
    stream = open_stream(_write(tmp_path / f"s.{suffix}", samples), [spec], preprocess=toml, frames=f"{first}:")
    assert stream.frames == len(expected)
    if not expected:
        with pytest.raises(StreamError, match="give at least one frame"):
            list(stream)
        return
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([item.inputs["x"] for item in stream]), expected)


def test_default_cuts_the_file_into_the_models_length(tmp_path: Path) -> None:
    samples = _samples(26)
    source = _write(tmp_path / "s.wav", samples)
    np.testing.assert_array_equal(np.concatenate(_read(source, (1, 8))), samples[:24, 0].reshape(3, 8))
    said = open_stream(source, [TensorSpec("x", (1, 8), F32)]).description
    assert "8000 Hz, 3 frames of 8 samples every 8, 0 samples of context, nt, as input x; 2 samples left over" in said


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((1, 2, 10), "", lambda s: s.T[None]),
        ((1, 10, 2), "", lambda s: s[None]),
        ((1, 2, 2), "", lambda s: s[:2].T[None]),
        ((1, 2, 2), 'layout = "ntc"\n', lambda s: s[None, :2]),
    ],
)
def test_channels_lie_where_the_layout_says(
    tmp_path: Path, preprocess: Write, shape: tuple[int, ...], layout: str, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    samples = _samples(10, 2)
    source = _write(tmp_path / "s.wav", samples)
    first = _read(source, shape, preprocess=preprocess(f"[sound]\n{layout}"))[0]
    np.testing.assert_array_equal(first, expected(samples))


@pytest.mark.parametrize(
    ("shape", "toml", "said"),
    [
        ((1, 8), "frame = 5\n", r"toml: sound\.frame 5 and sound\.context 0 do not make the 8 samples of input x"),
        ((1, 8), "context = 8\n", r"sound\.frame left out and sound\.context 8"),
        ((1, 8), "rate = 16000\n", r"s\.wav: has 8000 Hz, .*toml asks for 16000"),
        ((1, 8), 'layout = "nct"\n', r"input x float32 \[1, 8\] takes no sound of layout nct"),
        ((1, 2, 8), "", r"s\.wav: has 1 channels, input x \[1, 2, 8\] takes 2"),
        ((1, 1, 8, 8), "", r"input x float32 \[1, 1, 8, 8\] takes no sound"),
    ],
)
def test_settings_that_do_not_fit(
    tmp_path: Path, preprocess: Write, shape: tuple[int, ...], toml: str, said: str
) -> None:
    source = _write(tmp_path / "s.wav", _samples(20))
    with pytest.raises(StreamError, match=said):
        _read(source, shape, preprocess=preprocess(f"[sound]\n{toml}"))


def test_picture_settings_do_not_fit_sound(tmp_path: Path, preprocess: Write) -> None:
    source = _write(tmp_path / "s.wav", _samples(20))
    with pytest.raises(StreamError, match=r"\[picture\] is for pictures, and .*s\.wav is sound"):
        _read(source, (1, 8), preprocess=preprocess("[picture]\n"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    samples = 1_000_000
    source = _write(tmp_path / "s.wav", np.zeros(samples, np.float32))
    _read(source, (1, samples // 2))  # what the first use of the library keeps
    tracemalloc.start()
    try:
        for _ in open_stream(source, [TensorSpec("x", (1, 10_000), F32)]):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * 4 * 10_000


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    samples = _samples(20)
    samples[13] = np.nan
    soundfile.write(tmp_path / "s.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(StreamError, match=r"s\.wav: frame 1: input x is nan at \[0, 5\]"):
        _read(tmp_path / "s.wav", (1, 8))


def test_files_that_are_no_sound_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.wav").write_bytes(b"no sound")
    with pytest.raises(StreamError, match=r"s\.wav: cannot read the sound") as caught:
        _read(tmp_path / "s.wav", (1, 8))
    assert "\n" not in str(caught.value)


def test_without_soundfile_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.wav").touch()
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(StreamError, match=r"s\.wav: reading sound needs .*: pip install 'reuse-compiler\[sound\]'"):
        _read(tmp_path / "s.wav", (1, 8))
