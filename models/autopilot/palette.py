"""The colours of one drive: its season, its hour and its weather, drawn from the seed. Linear RGB, 1.0 being white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reuse_compiler.models.autopilot.noise import smooth, uniform

__all__ = ["Palette", "haziness", "light", "palette"]

Colour = NDArray[np.float32]


@dataclass(frozen=True)
class Palette:
    """float32 [3] each. `sun` is the brightness and hue of the light that falls on everything but the sky."""

    sun: Colour
    sky: Colour
    haze: Colour
    cloud: Colour
    asphalt: Colour
    gravel: Colour
    grass: Colour
    leaves: Colour
    hills: Colour
    paint: Colour


def palette(seed: int) -> Palette:
    """The palette of a seed."""
    draw = uniform(seed, 31, np.arange(12))
    brightness, warmth, dryness = 0.7 + 0.45 * draw[0], draw[1], draw[2]
    sky = _mix((0.16, 0.34, 0.78), (0.45, 0.55, 0.68), draw[3]) * (0.75 + 0.35 * draw[4])
    haze = _mix((0.62, 0.72, 0.85), (0.72, 0.72, 0.70), draw[5]) * (0.7 + 0.3 * draw[4])
    grass = _mix((0.07, 0.16, 0.035), (0.34, 0.26, 0.12), dryness)
    leaves = _mix((0.025, 0.07, 0.02), (0.10, 0.11, 0.03), draw[6])
    return Palette(
        sun=_mix((1.0, 1.0, 1.0), (1.08, 0.98, 0.82), warmth) * np.float32(brightness),
        sky=sky,
        haze=haze,
        cloud=_mix((0.85, 0.87, 0.9), (0.6, 0.62, 0.66), draw[7]),
        asphalt=_mix((0.075, 0.075, 0.08), (0.19, 0.185, 0.175), draw[8]),
        gravel=_mix((0.20, 0.17, 0.13), (0.30, 0.28, 0.25), draw[9]),
        grass=grass,
        leaves=leaves,
        hills=_mix(tuple(grass), tuple(haze), 0.45 + 0.3 * draw[10]),
        paint=_mix((0.62, 0.62, 0.60), (0.80, 0.80, 0.78), draw[11]),
    )


def haziness(distance: ArrayLike) -> NDArray[np.float64]:
    """Share of the haze's colour in what is seen at `distance` metres (Koschmieder's law)."""
    return np.asarray(1 - np.exp(-np.asarray(distance) / 700))


def light(seed: int, time: float) -> float:
    """The slow change of the light at `time` seconds, as a factor near 1: clouds before the sun, the camera's exposure."""
    slow, quick = smooth(seed, [32, 33], time, [6.0, 1.2])
    return float(1.0 + 0.18 * slow + 0.05 * quick)


def _mix(first: tuple[float, ...], second: tuple[float, ...], share: float) -> Colour:
    return np.asarray(np.add(np.multiply(first, 1 - share), np.multiply(second, share)), np.float32)
