"""What lies between a mouth and a recording: a room, a microphone, a level, and noise that does not change with time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from reuse_compiler.models.speech.features import RATE

__all__ = ["Room", "draw", "record"]

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Room:
    """One place of recording.

    Parameters
    ----------
    decay : float
        Seconds in which the echo falls by 60 dB.
    echo : float
        Energy of the echo over that of the direct sound, dB.
    tone : tuple of float
        Gain of the microphone at 125, 250, .. 8,000 Hz, dB.
    level : float
        RMS of the speech below full scale, dB.
    noise : float
        RMS of the noise below that of the speech, dB.
    slope : float
        The noise's power falls with frequency to this power: 0 is white, 1 pink.
    hum : float
        Share of the noise's power that is the mains and its harmonics.
    mains : float
        Hz.
    """

    decay: float
    echo: float
    tone: tuple[float, ...]
    level: float
    noise: float
    slope: float
    hum: float
    mains: float


def draw(rng: np.random.Generator) -> Room:
    """A room with an echo of 0.1 to 0.5 s, noise 10 to 35 dB below the speech and a microphone within some 3 dB."""
    return Room(
        decay=float(rng.uniform(0.1, 0.5)),
        echo=float(rng.uniform(-20, -3)),
        tone=tuple(float(gain) for gain in np.clip(rng.normal(0, 2, 7), -4, 4)),
        level=float(rng.uniform(-36, -18)),
        noise=float(rng.uniform(10, 35)),
        slope=float(rng.uniform(0, 1.3)),
        hum=float(rng.choice([0.0, 0.0, 0.2, 0.5])),
        mains=float(rng.choice([50.0, 60.0])),
    )


def record(dry: Float, room: Room, rng: np.random.Generator) -> Float:
    """The recording of `dry`, float32 [n] at 16 kHz: as long, direct sound undelayed, in [-1, 1]."""
    echo = _echo(room, rng)
    size = next_fast_len(dry.size + echo.size - 1, real=True)
    wet = irfft(rfft(dry, size) * rfft(echo, size) * _gain(room, size), size)[: dry.size]
    wet *= 10 ** (room.level / 20) / max(_rms(wet[np.abs(dry) > 1e-3]), 1e-9)
    wet += 10 ** ((room.level - room.noise) / 20) * _noise(room, dry.size, rng)
    return np.asarray(np.clip(wet, -1, 1), np.float32)


def _echo(room: Room, rng: np.random.Generator) -> NDArray[np.float64]:
    """The room's impulse response: the direct sound, then noise whose amplitude decays exponentially."""
    time = np.arange(int(room.decay * RATE)) / RATE
    response: NDArray[np.float64] = rng.standard_normal(time.size) * 10 ** (-3 * time / room.decay)
    response *= 10 ** (room.echo / 20) / np.sqrt(np.square(response).sum())
    response[: int(0.002 * RATE)] = 0
    response[0] = 1
    return response


def _gain(room: Room, size: int) -> NDArray[np.float64]:
    """The microphone's gain at the frequencies of a transform of `size` samples."""
    octave = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / RATE), 62.5) / 125)
    return np.asarray(10 ** (np.interp(octave, np.arange(len(room.tone)), room.tone) / 20))


def _noise(room: Room, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of RMS 1."""
    length = next_fast_len(size, real=True)
    shape = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 40) ** (-room.slope / 2)
    hiss = irfft(rfft(rng.standard_normal(length)) * shape, length)[:size]
    harmonics = np.arange(1, 9)[:, None]
    phase = 2 * np.pi * rng.random((8, 1))
    hum = (np.sin(2 * np.pi * room.mains * harmonics * np.arange(size) / RATE + phase) / harmonics).sum(axis=0)
    return np.asarray(np.sqrt(1 - room.hum) * hiss / _rms(hiss) + np.sqrt(room.hum) * hum / _rms(hum))


def _rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.square(samples).mean())) if samples.size else 0.0
