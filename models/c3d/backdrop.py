"""The place where something happens: a textured wall and ground with shapes on them, endless sideways by repetition."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from reuse_compiler.models.c3d.brush import Canvas

__all__ = ["MARGIN", "SIZE", "backdrop", "view"]

SIZE = 112
MARGIN = 8  # rows above and below the picture
_ROWS, _COLUMNS = 128, 256

Scenery = NDArray[np.float32]


def backdrop(draw: Generator, ground: float) -> Scenery:
    """Radiance float32 [128, 256, 3] of a scene whose ground begins about row `ground` of the picture."""
    wall, floor = (_texture(draw) for _ in range(2))
    colours = draw.uniform(0.04, 0.75, (2, 1, 1, 3)) * 0.6 + 0.4 * draw.uniform(0.04, 0.75, (2, 1, 1, 1))
    tint = draw.uniform(-0.25, 0.25, (2, 1, 1, 3))
    scene: Scenery = (colours[0] * (1 + (draw.uniform(0.1, 0.3) + tint[0]) * wall[..., None])).astype(np.float32)
    for _ in range(int(draw.integers(2, 8))):
        _shape(scene, draw, wall)
    edge = int(ground + MARGIN - draw.uniform(2, 14))
    scene[edge:] = colours[1] * (1 + (draw.uniform(0.1, 0.3) + tint[1]) * floor[edge:, :, None])
    np.maximum(scene, np.float32(0.005), out=scene)
    return scene


def view(scene: Scenery, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Canvas:
    """Pictures float32 [frames, 112, 112, 3] of the scene, moved by `columns` and `rows` (float64 [frames], pixels)."""
    canvas = np.empty((len(columns), SIZE, SIZE, 3), np.float32)
    for frame, (column, row) in enumerate(zip(columns, np.clip(rows, 1 - MARGIN, MARGIN - 2), strict=True)):
        left, top = int(np.floor(column)), int(np.floor(row))
        across, down = np.float32(column - left), np.float32(row - top)
        taken = (left + np.arange(SIZE + 1)) % _COLUMNS
        part = scene[top + MARGIN : top + MARGIN + SIZE + 1].take(taken, axis=1)
        part = part[:, :-1] + across * (part[:, 1:] - part[:, :-1])
        np.add(part[:-1], down * (part[1:] - part[:-1]), out=canvas[frame])
    return canvas


def _texture(draw: Generator) -> NDArray[np.float32]:
    """Noise [128, 256] of deviation 1 that repeats sideways, its amplitude falling with frequency."""
    stretch, slope = draw.uniform(0.3, 3.0), draw.uniform(0.9, 1.6)
    frequency = np.hypot(np.fft.fftfreq(_ROWS)[:, None] * stretch, np.fft.rfftfreq(_COLUMNS)[None, :])
    frequency[0, 0] = np.inf
    white = draw.standard_normal((*frequency.shape, 2), np.float32)
    noise = np.fft.irfft2((white[..., 0] + 1j * white[..., 1]) * frequency**-slope, s=(_ROWS, _COLUMNS))
    noise /= noise.std()
    return np.clip(noise, -2.5, 2.5).astype(np.float32)


def _shape(scene: Scenery, draw: Generator, texture: NDArray[np.float32]) -> None:
    """A window, a picture, a bush: a rectangle or an ellipse somewhere on the wall."""
    width, height = draw.uniform(8, 50), draw.uniform(8, 60)
    row, column = draw.uniform(0, 80), draw.uniform(0, _COLUMNS)
    across = np.abs((np.arange(_COLUMNS) - column + _COLUMNS / 2) % _COLUMNS - _COLUMNS / 2) / (width / 2)
    down = np.abs(np.arange(_ROWS) - row)[:, None] / (height / 2)
    far = np.hypot(across, down) if draw.uniform() < 0.4 else np.maximum(across, down)
    cover = np.clip((1 - far) * min(width, height) / 2 + 0.5, 0, 1).astype(np.float32)[..., None]
    colour = draw.uniform(0.03, 0.8, 3).astype(np.float32) * (1 + np.float32(draw.uniform(0, 0.3)) * texture[..., None])
    scene += cover * (colour - scene)
