"""espeak-ng, the synthesiser: text and a voice to samples and the times of its phonemes.

The library is that of the PyPI package ``espeakng-loader`` (GPL-3.0; it is loaded where it is installed and no part of it is
here). It keeps state from one call to the next: noise, the phase of the glottis, the vibrato of the last voice. So every
call loads it anew, initialises it and unloads it, which takes half a millisecond and makes a call depend on its arguments
alone.
"""

from __future__ import annotations

import _ctypes
import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from reuse_compiler.errors import StreamError
from reuse_compiler.models.speech.voices import Voice

__all__ = ["Mark", "Speech", "speak"]

_UP, _DOWN = 320, 441  # 22,050 Hz, the synthesiser's rate, to 16,000 Hz
_NATIVE_RATE = 22_050

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT
_PHONEME_EVENTS = 1  # options of espeak_Initialize
_DONT_EXIT = 0x8000
_WORDS_A_MINUTE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_POSITION_CHARACTER = 1
_UTF8 = 1
_LAST_EVENT, _PHONEME = 0, 7  # espeak_EVENT_TYPE

_ONE_AT_A_TIME = threading.Lock()  # the library is one for the whole process


@dataclass(frozen=True)
class Mark:
    """A phoneme's name, as the synthesiser spells it, and the second at which it starts."""

    name: str
    start: float


@dataclass(frozen=True, eq=False)
class Speech:
    """float32 samples [n] in [-1, 1] at 16 kHz and the phonemes in them, in order of time."""

    samples: NDArray[np.float32]
    marks: tuple[Mark, ...]


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def speak(text: str, voice: Voice) -> Speech:
    """Render `text`; the same arguments give the same samples, whatever was rendered before.

    Raises
    ------
    StreamError
        If the package espeakng-loader is not installed, or the library does not know the voice.
    """
    pieces: list[NDArray[np.int16]] = []
    marks: list[Mark] = []

    def receive(samples: Any, count: int, events: Any) -> int:
        if count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].type != _LAST_EVENT:
            event = events[number]
            if event.type == _PHONEME:
                marks.append(Mark(event.id.string.decode(), event.sample / _NATIVE_RATE))
            number += 1
        return 0

    encoded = text.encode() + b"\0"
    callback = _CALLBACK(receive)
    with _ONE_AT_A_TIME, _library() as library:
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise StreamError(f"espeak-ng: no voice {voice.name}: pip install -U 'reuse-compiler[speech]'")
        library.espeak_SetParameter(_WORDS_A_MINUTE, voice.rate, 0)
        library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        library.espeak_SetParameter(_RANGE, voice.range, 0)
        library.espeak_Synth(encoded, len(encoded), 0, _POSITION_CHARACTER, 0, _UTF8, None, None)
    samples = np.concatenate(pieces).astype(np.float32) / np.float32(32_768)
    return Speech(np.clip(resample_poly(samples, _UP, _DOWN), -1, 1).astype(np.float32), tuple(marks))


@contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """The shared library in the state it has when a process starts."""
    loader = _loader()
    library = ctypes.CDLL(loader.get_library_path())
    library.espeak_Synth.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint]
    library.espeak_Synth.argtypes += [ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    try:
        options = _PHONEME_EVENTS | _DONT_EXIT
        if library.espeak_Initialize(_SYNCHRONOUS, 0, loader.get_data_path().encode(), options) < 0:
            raise StreamError("espeak-ng: its data cannot be read: pip install --force-reinstall espeakng-loader")
        library.espeak_ng_SetRandSeed(1)
        yield library
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)


def _loader() -> ModuleType:
    try:
        return import_module("espeakng_loader")
    except ImportError as error:
        raise StreamError(
            "speech: the synthesiser espeak-ng is not installed: pip install 'reuse-compiler[speech]'"
        ) from error
