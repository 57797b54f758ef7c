"""What lies behind the road: sky with clouds, hills, and a line of woods, all so far that only the car's direction moves them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.autopilot.camera import COLUMNS, FOCAL, Mount
from reuse_compiler.models.autopilot.noise import smooth
from reuse_compiler.models.autopilot.palette import Palette
from reuse_compiler.models.autopilot.picture import Float, blend, clip
from reuse_compiler.models.autopilot.texture import noise_tile

__all__ = ["view"]

_SKY_ROWS = 30.0


def view(below: Float, seat: Mount, yaw: float, time: float, seed: int, colours: Palette) -> Float:
    """Radiance [rows, COLUMNS, 3] of everything beyond the ground.

    Parameters
    ----------
    below : float32 array, shape [rows, COLUMNS]
        Rows below the horizon; negative in the sky.
    seat : Mount
        The camera's seat.
    yaw : float
        The car's direction in the world, radians.
    time : float
        Seconds; clouds drift.
    seed : int
        Of the drive.
    colours : Palette
        Of the drive.
    """
    above = -below
    angle = yaw + np.arctan((np.arange(COLUMNS) - seat.centre) / FOCAL)
    height = clip(above / np.float32(_SKY_ROWS), 0, 1)[..., None]
    picture: Float = colours.haze + np.sqrt(height) * (colours.sky - colours.haze)
    blend(picture, _clouds(above, angle + 0.004 * time), colours.cloud)
    waves = smooth(seed, [[51], [52], [53], [54], [55]], angle, [[0.16], [0.04], [0.07], [0.013], [0.02]])
    hills = 3.2 + 3.0 * waves[0] + 0.8 * waves[1]
    blend(picture, _below(above, hills), colours.hills * colours.sun)
    woods = 1.6 + 1.5 * waves[2] + 0.9 * waves[3]
    shade = 1 + 0.35 * waves[4]
    wood = (0.55 * colours.leaves + 0.45 * colours.hills) * colours.sun
    blend(picture, _below(above, woods), shade[:, None].astype(np.float32) * wood)
    return picture


def _clouds(above: Float, angle: NDArray[np.float64]) -> Float:
    """Share of cloud in every pixel of the sky."""
    tile = noise_tile()
    across = (angle * 110).astype(np.float32)[None, :] + np.zeros_like(above)
    level = np.full(above.shape, 2, np.int32)
    veil = tile.sample(above * np.float32(1.6) + 40, across, level, level)
    veil += tile.sample(above * np.float32(0.7) + 90, across * np.float32(0.4), level, level)
    return clip(veil * np.float32(0.35) - np.float32(0.1), 0, 0.75)


def _below(above: Float, crest: NDArray[np.float64]) -> Float:
    return clip(crest.astype(np.float32) - above + np.float32(0.5), 0, 1)
