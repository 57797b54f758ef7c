"""A tile of natural-looking noise that can be read at any sharpness along either axis.

Perspective squeezes the ground far more along the line of sight than across it, so the tile is kept at every pair of
resolutions (a ripmap, the anisotropic form of the mipmap of Williams, SIGGRAPH 1983): a pixel reads the level whose texels
are as large as its own footprint, and distant ground does not shimmer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ripmap", "noise_tile"]

Float = NDArray[np.float32]
Levels = NDArray[np.int32]


@dataclass(frozen=True)
class Ripmap:
    """All levels of a periodic tile [size, size] in one float32 array; `base` [levels, levels] says where each starts."""

    size: int
    texels: Float
    base: Levels

    def level(self, footprint: NDArray[np.float64]) -> Levels:
        """The level for a footprint given in texels of the sharpest level."""
        exact = np.rint(np.log2(np.maximum(footprint, 1.0)))
        level: Levels = np.minimum(exact, len(self.base) - 1).astype(np.int32)
        return level

    def sample(self, v: Float, h: Float, v_level: Levels, h_level: Levels) -> Float:
        """Bilinear samples at (v, h), in texels of the sharpest level, from the given levels; all of one shape."""
        start = self.base[v_level, h_level]
        v0, v1, v_part = self._neighbours(v, v_level)
        h0, h1, h_part = self._neighbours(h, h_level)
        width = np.right_shift(np.int32(self.size), h_level)
        row0, row1 = start + v0 * width, start + v1 * width
        texels = self.texels
        upper: Float = texels[row0 + h0]
        upper += h_part * (texels[row0 + h1] - upper)
        lower = texels[row1 + h0]
        lower += h_part * (texels[row1 + h1] - lower)
        upper += v_part * (lower - upper)
        return upper

    def _neighbours(self, place: Float, level: Levels) -> tuple[Levels, Levels, Float]:
        scaled = np.ldexp(place, -level) - np.float32(0.5)
        floor = np.floor(scaled)
        first = floor.astype(np.int32)
        mask = np.right_shift(np.int32(self.size), level) - np.int32(1)
        return first & mask, (first + np.int32(1)) & mask, scaled - floor


@cache
def noise_tile(size: int = 256, slope: float = 0.7) -> Ripmap:
    """A tile of fractal noise with mean 0 and deviation 1, amplitude falling with frequency to the power `slope`."""
    white = np.random.default_rng(20180601).standard_normal((size, size))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    tile = np.fft.irfft2(np.fft.rfft2(white) * frequency**-slope, s=(size, size))
    tile /= tile.std()
    levels = size.bit_length()
    base = np.zeros((levels, levels), np.int32)
    parts: list[NDArray[np.float64]] = []
    filled = 0
    for v in range(levels):
        for h in range(levels):
            part = tile.reshape(size >> v, 1 << v, size >> h, 1 << h).mean(axis=(1, 3))
            base[v, h] = filled
            filled += part.size
            parts.append(part.ravel())
    return Ripmap(size, np.concatenate(parts).astype(np.float32), base)
