"""What a hand-held camera makes of a scene: shake, exposure that drifts, noise of the sensor, sRGB, 8 bits."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.autopilot.noise import smooth
from reuse_compiler.models.c3d.brush import Canvas

__all__ = ["develop", "exposure", "shake"]

FULL_WELL = 6000.0  # electrons of a white pixel
READ_NOISE = 4.0  # electrons
BINNED = 9  # pixels of the sensor averaged into one of the picture
_CURVE_POINTS = 4096


def shake(seed: int, time: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    """How far the picture is moved, columns and rows, float64 [frames, 2] in pixels times `strength`."""
    slow = smooth(seed, [[31], [32]], time, 0.8)
    quick = smooth(seed, [[33], [34]], time, 0.12)
    moved: NDArray[np.float64] = strength * (1.6 * slow + 0.5 * quick).T
    return moved


def exposure(seed: int, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gain of every frame, float64 [frames], within some percent of 1."""
    gain: NDArray[np.float64] = np.exp(0.12 * smooth(seed, 35, time, 1.5))
    return gain


def develop(radiance: Canvas, seed: int, first: int) -> NDArray[np.uint8]:
    """The 8-bit pictures of linear radiance float32 [frames, rows, columns, 3]: shot and read noise, sRGB curve, rounding.

    Shot noise is Poisson, here as a Gaussian of variance equal to the electrons. The noise of a frame is drawn from `seed`
    and its number alone; `first` is the number of the first. `radiance` is used up.
    """
    radiance *= np.float32(FULL_WELL)
    np.maximum(radiance, 0, out=radiance)
    for number, electrons in enumerate(radiance, first):
        noise = np.random.Generator(np.random.SFC64([seed, number])).standard_normal(electrons.shape, np.float32)
        noise *= np.sqrt((electrons + np.float32(READ_NOISE**2)) / np.float32(BINNED))
        electrons += noise
    radiance *= np.float32((_CURVE_POINTS - 1) / FULL_WELL)
    np.maximum(radiance, 0, out=radiance)
    np.minimum(radiance, _CURVE_POINTS - 1, out=radiance)
    pictures: NDArray[np.uint8] = _curve()[radiance.astype(np.uint16)]
    return pictures


@cache
def _curve() -> NDArray[np.uint8]:
    """The sRGB transfer curve (IEC 61966-2-1) to 8 bits, tabulated over linear light."""
    linear = (np.arange(_CURVE_POINTS) + 0.5) / _CURVE_POINTS
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(curved * 255), np.uint8)
