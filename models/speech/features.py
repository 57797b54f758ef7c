"""Log-mel features: what the acoustic networks hear, 40 values every 10 ms, from samples up to that moment alone."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reuse_compiler.errors import StreamError

__all__ = ["CENTRE", "FILTERS", "HOP", "RATE", "frame_count", "log_mel", "raw_log_mel"]

FILTERS = 40
WINDOW = 0.025  # seconds
HOP = 0.010
CENTRE = WINDOW / 2  # of the first frame
RATE = 16_000
EMPHASIS = 0.97
FLOOR = 1e-7  # of a filter's energy; some 10 dB above what rounding to 16 bits leaves
LOWEST, HIGHEST = 20.0, 7_600.0  # Hz
_SIZE = 512  # of the transform

# of `raw_log_mel` over the utterances of seeds 0 to 1,499, one hour, training voices
_MEAN: NDArray[np.float32] = np.array(
    [
        [-7.93, -7.45, -6.73, -6.00, -5.62, -5.33, -5.06, -4.97, -5.04, -5.41],
        [-5.52, -5.65, -5.60, -5.53, -5.40, -5.27, -4.99, -4.78, -4.68, -4.57],
        [-4.44, -4.31, -4.13, -3.84, -3.60, -3.57, -3.64, -3.48, -3.20, -3.05],
        [-3.04, -3.18, -3.20, -3.13, -3.12, -3.21, -3.16, -2.98, -2.85, -2.87],
    ], np.float32
).ravel()  # fmt: skip
_DEVIATION: NDArray[np.float32] = np.array(
    [
        [2.57, 2.80, 2.90, 3.08, 3.15, 3.21, 3.28, 3.31, 3.32, 3.28],
        [3.19, 3.11, 3.04, 2.94, 2.86, 2.83, 2.85, 2.85, 2.76, 2.65],
        [2.64, 2.64, 2.61, 2.62, 2.64, 2.57, 2.43, 2.44, 2.56, 2.57],
        [2.50, 2.43, 2.44, 2.47, 2.43, 2.33, 2.31, 2.37, 2.36, 2.29],
    ], np.float32
).ravel()  # fmt: skip


def log_mel(samples: NDArray[np.floating], rate: int = RATE) -> NDArray[np.float32]:
    """Normalised log-mel energies.

    25 ms Hamming windows every 10 ms, without padding; pre-emphasis ``x[n] - 0.97 x[n - 1]``; power spectrum; 40
    triangular filters, equally wide in mel from 20 to 7,600 Hz; natural logarithm of at least 1e-7. Each filter is then
    normalised by a constant mean and a constant deviation, both measured once over training speech and written down in
    this module: nothing looks ahead, and a stream in pieces has the frames of the whole.

    Parameters
    ----------
    samples : array, shape [n]
        In [-1, 1].
    rate : int
        Hz; 16,000 is the only one.

    Returns
    -------
    float32 array, shape [frames, 40]
        As many as `frame_count` says; frame t is about second ``0.0125 + 0.01 t``.
    """
    return (raw_log_mel(samples, rate) - _MEAN) / _DEVIATION


def frame_count(samples: int) -> int:
    """Frames that `log_mel` makes of so many samples: ``1 + (samples - 400) // 160``, and none of fewer than 400."""
    window, hop = round(WINDOW * RATE), round(HOP * RATE)
    return max(0, 1 + (samples - window) // hop)


def raw_log_mel(samples: NDArray[np.floating], rate: int = RATE) -> NDArray[np.float32]:
    """`log_mel` before its normalisation."""
    if rate != RATE:
        raise StreamError(f"log_mel: {rate} Hz: give {RATE} Hz, as of_wav does")
    window, hop = round(WINDOW * RATE), round(HOP * RATE)
    if samples.ndim != 1 or samples.size < window:
        raise StreamError(f"log_mel: samples of shape {samples.shape}: give one channel of at least {window}")
    emphasised = samples.astype(np.float32)
    emphasised[1:] -= np.float32(EMPHASIS) * samples[:-1].astype(np.float32)
    emphasised[0] *= np.float32(1 - EMPHASIS)
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, window)[::hop]
    spectrum = np.fft.rfft(frames * np.hamming(window).astype(np.float32), _SIZE, axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return np.asarray(np.log(np.maximum(power.astype(np.float32) @ _filters(), np.float32(FLOOR))), np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Triangular filters [257, 40], in mel, ``1127 ln(1 + f / 700)``."""
    edges = np.linspace(_mel(LOWEST), _mel(HIGHEST), FILTERS + 2)
    places = _mel(np.linspace(0, RATE / 2, _SIZE // 2 + 1))[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def _mel(frequency: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(1127 * np.log1p(np.asarray(frequency) / 700))
