"""Real recordings: any wav file as the samples that the features take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

from reuse_compiler.errors import StreamError
from reuse_compiler.models.speech.features import RATE

__all__ = ["of_wav"]


def of_wav(path: str | Path) -> NDArray[np.float32]:
    """The samples of a wav file, float32 [n] in [-1, 1], mono and at 16 kHz. Raises StreamError if it cannot be read."""
    try:
        rate, data = wavfile.read(path)
    except FileNotFoundError as error:
        raise StreamError(f"{path}: no such file: check the name") from error
    except (OSError, ValueError) as error:
        raise StreamError(f"{path}: not a readable wav file ({error}): convert it to 16-bit PCM") from error
    samples = _scaled(data)
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    divisor = int(np.gcd(rate, RATE))
    return np.asarray(np.clip(resample_poly(mono, RATE // divisor, rate // divisor), -1, 1), np.float32)


def _scaled(data: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of any wav type in [-1, 1]: bytes are unsigned about 128, 24 bits stand in the upper bits of 32."""
    if data.dtype == np.uint8:
        return (data.astype(np.float32) - 128) / np.float32(128)
    scale = -float(np.iinfo(data.dtype).min) if np.issubdtype(data.dtype, np.integer) else 1.0
    return data.astype(np.float32) / np.float32(scale)
