"""Log-mel features of a stream, rooms and noises, and recordings of other people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import wavfile

from reuse_compiler.errors import StreamError
from reuse_compiler.models.speech import FILTERS, RATE, frame_count, log_mel, of_wav, utterance
from reuse_compiler.models.speech.features import FLOOR, raw_log_mel
from reuse_compiler.models.speech.room import Room, draw, record


def tone(frequency: float, seconds: float = 0.5, rate: int = RATE) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def peak(samples: NDArray[np.float32]) -> int:
    """The filter that hears most of these samples."""
    return int(raw_log_mel(samples).mean(axis=0).argmax())


def room(**changes: float) -> Room:
    still = {"decay": 0.1, "echo": -60.0, "level": -20.0, "noise": 90.0, "slope": 0.0, "hum": 0.0, "mains": 50.0}
    return Room(tone=(0.0,) * 7, **{**still, **changes})


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000])
def test_there_is_a_frame_every_ten_milliseconds(samples: int) -> None:
    features = log_mel(np.zeros(samples, np.float32))
    assert features.shape == (frame_count(samples), FILTERS) == (1 + (samples - 400) // 160, 40)
    assert features.dtype == np.float32


def test_frames_do_not_depend_on_what_comes_later() -> None:
    samples = utterance(1).samples
    whole, part = log_mel(samples), log_mel(samples[:8_000])
    assert np.allclose(whole[: len(part)], part, atol=1e-4)


def test_features_of_training_speech_have_mean_0_and_deviation_1() -> None:
    features = np.concatenate([log_mel(utterance(seed).samples) for seed in range(40)])
    assert np.abs(features.mean(axis=0)).max() < 0.3
    assert np.abs(features.std(axis=0) - 1).max() < 0.2


def test_a_higher_tone_is_heard_by_a_higher_filter() -> None:
    heard = [peak(tone(frequency)) for frequency in (200, 400, 800, 1600, 3200, 6400)]
    assert heard == sorted(set(heard))


def test_silence_is_at_the_floor() -> None:
    assert np.allclose(raw_log_mel(np.zeros(1_000, np.float32)), np.log(FLOOR))


def test_what_features_cannot_take_is_refused() -> None:
    with pytest.raises(StreamError, match="8000 Hz: give 16000 Hz"):
        log_mel(np.zeros(1_000, np.float32), 8_000)
    with pytest.raises(StreamError, match="at least 400"):
        log_mel(np.zeros(399, np.float32))
    with pytest.raises(StreamError, match="give one channel"):
        log_mel(np.zeros((1_000, 2), np.float32))


def test_a_recording_has_the_rooms_level_and_noise() -> None:
    dry = np.concatenate([np.zeros(8_000, np.float32), tone(500, 1.0)])
    wet = record(dry, room(level=-26.0, noise=20.0), np.random.default_rng(0))
    assert wet.size == dry.size
    assert 20 * np.log10(wet[8_000:].std()) == pytest.approx(-26, abs=0.5)
    assert 20 * np.log10(wet[:8_000].std()) == pytest.approx(-46, abs=0.5)


def test_an_echo_follows_the_sound_and_decays() -> None:
    dry = np.zeros(RATE, np.float32)
    dry[2_000:2_400] = tone(500, 0.025)
    wet = np.square(record(dry, room(decay=0.4, echo=-6.0), np.random.default_rng(0)))
    assert wet[:1_900].max() < 1e-5 * wet.max()
    levels = [wet[start : start + 800].mean() for start in range(2_500, 8_000, 800)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] < 1e-3 * levels[0]


def test_rooms_follow_the_generator() -> None:
    first, again, other = (draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("kind", ["int16", "int32", "uint8", "float32"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_wav_files_of_any_kind_and_rate_are_read(tmp_path: Path, kind: str, rate: int) -> None:
    exact = tone(500, 1.0, rate)
    scale = {"int16": 2**15, "int32": 2**31, "uint8": 2**7, "float32": 1}[kind]
    data = (exact.astype(np.float64) * scale + (128 if kind == "uint8" else 0)).astype(kind)
    wavfile.write(tmp_path / "tone.wav", rate, data)
    samples = of_wav(tmp_path / "tone.wav")
    assert samples.dtype == np.float32
    assert abs(samples.size - RATE) <= 1
    inner = slice(1_000, 15_000)
    assert np.abs(samples[inner] - tone(500, 1.0)[inner]).max() < 0.02


def test_channels_are_averaged(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "two.wav", RATE, np.stack([tone(500), -tone(500)], axis=1))
    assert np.abs(of_wav(tmp_path / "two.wav")).max() < 1e-6


def test_what_is_no_wav_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all, only letters")
    with pytest.raises(StreamError, match=r"text\.wav: not a readable wav file"):
        of_wav(tmp_path / "text.wav")
    with pytest.raises(StreamError, match=r"missing\.wav: no such file"):
        of_wav(tmp_path / "missing.wav")
