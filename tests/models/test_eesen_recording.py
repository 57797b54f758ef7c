"""The utterances that EESEN hears, their features and transcripts, and how many labels of held-out voices it gets wrong."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from scipy.io import wavfile

from reuse_compiler.errors import StreamError
from reuse_compiler.models import eesen
from reuse_compiler.models.eesen.features import deltas
from reuse_compiler.models.speech import PHONES, log_mel

CEILING = 0.2


@pytest.fixture
def synthesizer() -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'reuse-compiler[speech]'")


def tone(samples: int) -> NDArray[np.float32]:
    return np.asarray(0.1 * np.sin(np.arange(samples) * 0.3), np.float32)


def test_the_delta_of_a_ramp_is_its_slope() -> None:
    ramp = np.arange(8, dtype=np.float32)[:, None] * np.array([1, -2], np.float32)
    np.testing.assert_allclose(deltas(ramp)[2:-2], np.tile(np.array([[1, -2]], np.float32), (4, 1)))


def test_the_delta_is_the_regression_over_two_frames_to_either_side() -> None:
    frames = np.array([0, 0, 0, 1, 0, 0, 0], np.float32)[:, None]
    np.testing.assert_allclose(deltas(frames)[:, 0], [0, 0.2, 0.1, 0, -0.1, -0.2, 0])
    np.testing.assert_allclose(deltas(np.array([[0], [1]], np.float32))[:, 0], [0.3, 0.3])


def test_features_are_energies_slopes_and_their_slopes() -> None:
    samples = tone(8000)
    features = eesen.features(samples)
    static = log_mel(samples)
    assert features.dtype == np.float32 and features.shape == (len(static), 120)
    np.testing.assert_array_equal(features[:, :40], static)
    np.testing.assert_array_equal(features[:, 40:80], deltas(static))
    np.testing.assert_array_equal(features[:, 80:], deltas(deltas(static)))


def test_outputs_are_the_blank_and_the_phones_that_are_said() -> None:
    assert eesen.LABELS[0] == "" and len(eesen.LABELS) <= 50
    assert set(eesen.LABELS[1:]) == set(PHONES) - {"sil"}


@pytest.mark.usefixtures("synthesizer")
def test_a_frame_of_the_stream_is_an_utterance_that_starts_a_sequence() -> None:
    frames = list(eesen.stream(2, seed=5))
    for frame in frames:
        assert frame.keys() == {"features", "__start__"} and frame["__start__"] is True
        features = np.asarray(frame["features"])
        assert features.shape == (300, 1, 120) and features.dtype == np.float32
    assert not np.array_equal(frames[0]["features"], frames[1]["features"])


@pytest.mark.usefixtures("synthesizer")
def test_an_utterance_follows_its_seed_alone() -> None:
    (_, second), (again,) = list(eesen.stream(2, seed=5)), list(eesen.stream(1, seed=6))
    np.testing.assert_array_equal(second["features"], again["features"])
    (known,) = eesen.calibration(1, seed=6)
    assert not np.array_equal(known["features"], again["features"])


@pytest.mark.usefixtures("synthesizer")
def test_transcripts_are_those_of_the_stream() -> None:
    pairs = list(eesen.labelled(2, seed=5))
    assert eesen.transcripts(2, seed=5) == [labels for _, labels in pairs]
    for (features, labels), frame in zip(pairs, eesen.stream(2, seed=5), strict=True):
        np.testing.assert_array_equal(features, frame["features"])
        assert 5 <= len(labels) <= 80 and all(1 <= label < len(eesen.LABELS) for label in labels)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(StreamError, match="seed of the utterances is -1: give 0 or more"):
        next(eesen.stream(1, seed=-1))


def test_a_recording_comes_in_pieces_of_three_seconds(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "tone.wav", 16_000, tone(100_000))
    pieces = list(eesen.of_wav(tmp_path / "tone.wav"))
    assert [np.shape(piece["features"]) for piece in pieces] == [(300, 1, 120)] * 3
    np.testing.assert_array_equal(np.asarray(pieces[1]["features"])[:, 0], eesen.features(tone(100_000)[48_240:96_480]))


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "empty.wav", 16_000, np.zeros(0, np.float32))
    with pytest.raises(StreamError, match=r"empty\.wav: no sample"):
        list(islice(eesen.of_wav(tmp_path / "empty.wav"), 1))


@pytest.mark.usefixtures("synthesizer")
def test_most_labels_of_held_out_voices_are_heard() -> None:
    session = ort.InferenceSession(eesen.path(), providers=["CPUExecutionProvider"])
    pairs = list(eesen.labelled(8))
    scores = [session.run(None, {"features": features})[0] for features, _ in pairs]
    assert eesen.label_error_rate(scores, [labels for _, labels in pairs]) < CEILING
