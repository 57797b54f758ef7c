"""Rendered utterances: a seed gives the same samples, the phones stand where they sound, the words are whole."""

from __future__ import annotations

import subprocess
import sys
import zlib

import numpy as np
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.models.speech import PHONES, RATE, SILENCE, Utterance, log_mel, phone_classes, synthesis, utterance
from reuse_compiler.models.speech.phones import Phone, classes_at, frame_times, merged
from reuse_compiler.models.speech.sentences import TEMPLATES, sentence
from reuse_compiler.models.speech.synthesis import Mark, speak
from reuse_compiler.models.speech.voices import HELD_OUT_VARIANTS, TRAINING_VARIANTS, Voice
from reuse_compiler.models.speech.words import WORDS

KNOWN = {word for words in WORDS.values() for word in words} | {"an"}


@pytest.fixture(scope="module")
def spoken() -> list[Utterance]:
    return [utterance(seed) for seed in range(30)]


def test_a_seed_gives_the_same_samples_whatever_was_rendered_before() -> None:
    seeds = [(3, False), (4, True), (5, False), (3, True)]
    forth = {seed: utterance(*seed) for seed in seeds}
    utterance(77, True, 2.0)
    back = {seed: utterance(*seed) for seed in reversed(seeds)}
    for seed in seeds:
        assert np.array_equal(forth[seed].samples, back[seed].samples)
        assert forth[seed].phones == back[seed].phones
        assert forth[seed].text == back[seed].text


def test_another_process_renders_the_same() -> None:
    code = "import zlib; from reuse_compiler.models.speech import utterance; print(zlib.crc32(utterance(9).samples.tobytes()))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == zlib.crc32(utterance(9).samples.tobytes())


def test_seeds_and_the_kinds_of_voices_differ(spoken: list[Utterance]) -> None:
    assert len({one.samples.size for one in spoken}) == len(spoken)
    assert not set(HELD_OUT_VARIANTS) & set(TRAINING_VARIANTS)
    assert all(one.voice.name.partition("+")[2] in TRAINING_VARIANTS for one in spoken)
    assert all(utterance(seed, True).voice.name.partition("+")[2] in HELD_OUT_VARIANTS for seed in range(8))


def test_samples_are_sound_at_full_scale_or_below(spoken: list[Utterance]) -> None:
    for one in spoken:
        assert one.samples.dtype == np.float32
        assert np.abs(one.samples).max() <= 1
        assert one.samples.std() > 1e-3


def test_words_are_known_and_three_to_eight(spoken: list[Utterance]) -> None:
    for one in spoken:
        words = one.text.replace(",", "").rstrip(".").split(" ")
        assert 3 <= len(words) <= 8
        assert set(words) <= KNOWN


def test_templates_make_sentences_of_three_to_eight_words() -> None:
    rng = np.random.default_rng(0)
    assert {len(template) for template in TEMPLATES} == {3, 4, 5, 6, 7, 8}
    drawn = [sentence(rng) for _ in range(300)]
    assert all(text.endswith(".") and text == text.lower() for text in drawn)
    articles = [text[place + 3] in "aeiou" for text in drawn if (place := f" {text}".find(" an ")) >= 0]
    assert articles and all(articles)


def test_phones_lie_end_to_end_with_silence_at_both(spoken: list[Utterance]) -> None:
    for one in spoken:
        assert one.phones[0].start == 0 and one.phones[-1].end == one.samples.size / RATE
        assert one.phones[0].symbol == one.phones[-1].symbol == SILENCE
        for before, behind in zip(one.phones, one.phones[1:], strict=False):
            assert before.end == behind.start
            assert before.start < before.end
            assert not before.symbol == behind.symbol == SILENCE
        assert {phone.symbol for phone in one.phones} <= set(PHONES)


def test_all_phones_are_spoken() -> None:
    heard = {phone.symbol for seed in range(100) for phone in utterance(seed).phones}
    assert heard == set(PHONES)
    assert len(PHONES) == 45


def test_silence_is_quieter_and_vowels_are_louder(spoken: list[Utterance]) -> None:
    levels = np.concatenate([log_mel(one.samples).mean(axis=1) for one in spoken])
    classes = np.concatenate([phone_classes(one, len(log_mel(one.samples))) for one in spoken])
    middle = levels.mean()
    assert levels[classes == PHONES.index(SILENCE)].mean() < middle - 0.2
    for vowel in ("ae", "ay", "ah", "aa"):
        assert levels[classes == PHONES.index(vowel)].mean() > middle + 0.2


def test_phones_stand_where_they_sound(spoken: list[Utterance]) -> None:
    """Features scatter least within classes where the labels are in time."""
    features = [log_mel(one.samples) for one in spoken]

    def scatter(shift: float) -> float:
        times = [frame_times(len(mel)) + shift for mel in features]
        labels = np.concatenate([classes_at(one.phones, at) for one, at in zip(spoken, times, strict=True)])
        every = np.concatenate(features)
        groups = [every[labels == number] for number in np.unique(labels)]
        return float(sum(np.square(group - group.mean(axis=0)).sum() for group in groups) / every.size)

    aligned = scatter(0.0)
    assert all(aligned < scatter(shift) for shift in (-0.04, -0.02, 0.02, 0.04))


@pytest.mark.parametrize("seconds", [1.5, 2.0, 3.0, 9.99])
def test_a_length_is_kept_to_the_sample_and_words_are_whole(seconds: float) -> None:
    for seed in range(4):
        one = utterance(seed, seed % 2 == 0, seconds)
        assert one.samples.size == round(seconds * RATE)
        words = one.text.replace(",", "").replace(".", "").split(" ")
        assert words and set(words) <= KNOWN
        assert one.phones[0].symbol == one.phones[-1].symbol == SILENCE
        assert one.phones[0].end >= 0.1 and one.phones[-1].start <= seconds - 0.09


def test_a_longer_utterance_says_more() -> None:
    words = [len(utterance(1, False, seconds).text.split()) for seconds in (2.0, 4.0, 8.0)]
    assert words == sorted(words)
    assert words[-1] >= 2 * words[0]


def test_seeds_and_lengths_that_cannot_be_are_refused() -> None:
    with pytest.raises(StreamError, match="seed of an utterance is -1: give 0 or more"):
        utterance(-1)
    with pytest.raises(StreamError, match=r"utterance of 1\.0 s: give 1\.5 s or more"):
        utterance(1, seconds=1.0)


def test_without_the_synthesiser_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(synthesis, "import_module", missing)
    with pytest.raises(StreamError, match=r"espeak-ng is not installed: pip install 'reuse-compiler\[speech\]'"):
        utterance(1)


def test_a_voice_that_is_not_there_is_named() -> None:
    with pytest.raises(StreamError, match="no voice xx-none"):
        speak("hello.", Voice("xx-none", 150, 50, 50))


def test_faster_speech_is_shorter() -> None:
    slow, fast = (speak("the old doctor carried a basket.", Voice("en-us+m3", rate, 50, 50)) for rate in (120, 220))
    assert fast.samples.size < 0.75 * slow.samples.size
    assert [mark.name for mark in fast.marks][:3] == [mark.name for mark in slow.marks][:3]


def test_marks_are_merged_into_phones() -> None:
    marks = [Mark("_:", 0.0), Mark("'oU", 0.1), Mark("l", 0.2), Mark(";", 0.25), Mark("t#", 0.3), Mark("_", 0.4)]
    assert merged(marks, 0.5, 1.2) == (
        Phone("sil", 0.0, 0.6),
        Phone("ow", 0.6, 0.7),
        Phone("l", 0.7, 0.8),
        Phone("t", 0.8, 0.9),
        Phone("sil", 0.9, 1.2),
    )
    with pytest.raises(StreamError, match="phoneme 'Q9' has no class"):
        merged([Mark("Q9", 0.0)], 0.0, 1.0)
