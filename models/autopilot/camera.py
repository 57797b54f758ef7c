"""The dash camera: where a point of the world falls on the image, how the mount shakes, and what the sensor makes of light.

66 x 200 pixels, which a real system gets by binning a larger sensor. Radiance is linear, 1.0 being white.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.autopilot.noise import smooth
from reuse_compiler.models.autopilot.picture import Float, clip

__all__ = ["COLUMNS", "FOCAL", "HEIGHT", "HORIZON", "ROWS", "Mount", "develop", "mount"]

ROWS, COLUMNS = 66, 200
FOCAL = 170.0  # pixels; 61 degrees across the image
HEIGHT = 1.35  # metres above the road
HORIZON = 26.0  # row of the horizon with the camera at rest
EXPOSURE = 1 / 120  # seconds

FULL_WELL = 6000.0  # electrons of a white pixel of the sensor
READ_NOISE = 4.0  # electrons
BINNED = 9  # sensor pixels averaged into one pixel of the image

_CURVE_POINTS = 16_384


@dataclass(frozen=True)
class Mount:
    """How the camera sits at one instant: row of the horizon, column of the car's own direction, roll in radians."""

    horizon: float
    centre: float
    roll: float


def mount(seed: int, time: float, shake: float = 1.0) -> Mount:
    """The camera's seat at `time` seconds: slow pitching of the car and quick, small vibration, in pixels times `shake`."""
    slow, quick, yaw, roll = smooth(seed, [21, 22, 23, 24], time, [0.35, 0.07, 0.11, 0.5])
    horizon = HORIZON + shake * (0.8 * slow + 0.25 * quick)
    return Mount(float(horizon), float((COLUMNS - 1) / 2 + shake * 0.25 * yaw), float(shake * 0.008 * roll))


def develop(radiance: Float, seed: int, number: int) -> NDArray[np.uint8]:
    """The 8-bit image [66, 200, 3] of linear radiance: lens shading, shot and read noise, clipping, sRGB curve, rounding.

    Shot noise is Poisson, here as a Gaussian of variance equal to the electrons; the noise of frame `number` is drawn
    from `seed` and that number alone.
    """
    electrons = radiance * _shading()
    np.maximum(electrons, 0, out=electrons)
    noise = np.random.Generator(np.random.SFC64([seed, number])).standard_normal(electrons.shape, np.float32)
    noise *= np.sqrt((electrons + np.float32(READ_NOISE**2)) / np.float32(BINNED))
    electrons += noise
    electrons *= np.float32((_CURVE_POINTS - 1) / FULL_WELL)
    image: NDArray[np.uint8] = _curve()[clip(electrons, 0, _CURVE_POINTS - 1).astype(np.intp)]
    return image


@cache
def _curve() -> NDArray[np.uint8]:
    """The sRGB transfer curve (IEC 61966-2-1) to 8 bits, tabulated over linear light."""
    linear = (np.arange(_CURVE_POINTS) + 0.5) / _CURVE_POINTS
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(curved * 255), np.uint8)


@cache
def _shading() -> Float:
    """Electrons per unit of radiance: the fourth power of the cosine off the lens's axis, [66, 200, 1]."""
    row = (np.arange(ROWS) - (ROWS - 1) / 2)[:, None, None]
    column = (np.arange(COLUMNS) - (COLUMNS - 1) / 2)[None, :, None]
    cosine = FOCAL / np.sqrt(FOCAL**2 + row**2 + column**2)
    return (FULL_WELL * cosine**4).astype(np.float32)
