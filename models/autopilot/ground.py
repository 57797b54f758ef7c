"""The ground: the road with its marks and wear, the shoulders, the grass, each seen by every pixel below the horizon.

Edges and dashes are integrated over a pixel's footprint and the textures read at its sharpness, so nothing shimmers.
Everything is fixed in the world; between two frames the car alone has moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.models.autopilot.camera import COLUMNS, EXPOSURE, FOCAL, HEIGHT, Mount
from reuse_compiler.models.autopilot.noise import smooth
from reuse_compiler.models.autopilot.palette import Palette, haziness
from reuse_compiler.models.autopilot.picture import Float, blend, clip
from reuse_compiler.models.autopilot.road import Moment
from reuse_compiler.models.autopilot.texture import noise_tile

__all__ = ["rows_below_horizon", "view"]

EDGE_MARK = (3.32, 3.47)
CENTRE_MARK = 0.07
DASH, DASH_PERIOD = 4.0, 12.0
ROAD_EDGE = 3.9
SHOULDER = 1.1
FINE_TEXEL, COARSE_TEXEL = 0.05, 0.75
WRAP = 192.0  # metres: a multiple of the dash's period and of both tiles' lengths

_FINENESS = 32  # depths tabulated for one row of the image
_FARTHEST = 380.0

Line = NDArray[np.float64]


@dataclass(frozen=True)
class _Depths:
    """What depends on the distance alone, over a fine grid of rows below the horizon; float32 or int32 [depths]."""

    z: Float
    x: Float
    s: Float
    slope: Float
    cosine: Float
    across: Float
    along: Float
    haze: Float
    edge: Float
    tone: Float
    fine: tuple[NDArray[np.int32], NDArray[np.int32]]
    coarse: tuple[NDArray[np.int32], NDArray[np.int32]]


def rows_below_horizon(seat: Mount, rows: int) -> Float:
    """How far every pixel's centre lies below the horizon, in rows: float32 [rows, COLUMNS], negative above it."""
    row = np.arange(rows, dtype=np.float32)[:, None] - np.float32(seat.horizon)
    column = np.arange(COLUMNS, dtype=np.float32)[None, :] - np.float32(seat.centre)
    return row - np.float32(seat.roll) * column


def view(below: Float, seat: Mount, moment: Moment, seed: int, colours: Palette) -> Float:
    """Radiance [rows, COLUMNS, 3] of the ground where `below` is positive; elsewhere it repeats the farthest ground.

    Parameters
    ----------
    below : float32 array, shape [rows, COLUMNS]
        Rows below the horizon, from `rows_below_horizon`.
    seat : Mount
        The camera's seat.
    moment : Moment
        Pose, path and speed of the car.
    seed : int
        Of the drive: the ground's own irregularities.
    colours : Palette
        Of the drive.
    """
    depths = _depths(moment, seed, float(below.max()) + 1)
    index = np.clip(below * np.float32(_FINENESS), 0, len(depths.z) - 1).astype(np.int32)
    across, slope = depths.across[index], depths.slope[index]
    column = np.arange(COLUMNS, dtype=np.float32) - np.float32(seat.centre)
    beside = column * across - depths.x[index]
    u = beside * depths.cosine[index]
    s = depths.s[index] + beside * slope
    along = depths.along[index]
    oblique = (column / np.float32(FOCAL) - slope) * along
    width = np.sqrt(across * across + oblique * oblique)

    grain = _sample(s, u, FINE_TEXEL, depths.fine, index)
    patches = _sample(s, u, COARSE_TEXEL, depths.coarse, index)
    edge = depths.edge[index]
    road = _band(u, width, -edge, edge)
    shoulder = _band(u, width, -edge - np.float32(SHOULDER), edge + np.float32(SHOULDER))
    marks = _marks(u, s, width, along)
    marks *= clip(0.85 + 0.10 * patches + 0.10 * grain, 0, 1)

    worn = 1 + 0.10 * grain + 0.07 * patches + depths.tone[index] - 0.10 * _tracks(u)
    picture = (1 + 0.36 * grain + 0.28 * patches)[..., None] * colours.grass
    blend(picture, shoulder, (1 + 0.22 * grain + 0.12 * patches)[..., None] * colours.gravel)
    blend(picture, road, worn[..., None] * colours.asphalt)
    blend(picture, marks, colours.paint)
    picture *= colours.sun
    np.maximum(picture, 0.002, out=picture)
    blend(picture, depths.haze[index], colours.haze)
    return picture


def _depths(moment: Moment, seed: int, rows: float) -> _Depths:
    below = (np.arange(int(rows * _FINENESS)) + 0.5) / _FINENESS
    z = np.minimum(FOCAL * HEIGHT / below, _FARTHEST)
    path = moment.path
    heading = np.interp(z, path.z, path.heading)
    s = np.interp(z, path.z, path.s) - np.floor(moment.pose.s / WRAP) * WRAP
    across = z / FOCAL
    along = z**2 / (FOCAL * HEIGHT) + moment.speed * EXPOSURE
    tile = noise_tile()
    line = path.s
    wobble = smooth(seed, [[41], [42], [43], [44]], line, [[2.5], [0.9], [23.0], [4.0]])
    edge = ROAD_EDGE + 0.12 * wobble[0] + 0.10 * wobble[1]
    tone = 0.10 * wobble[2] + 0.06 * wobble[3]
    return _Depths(
        z=z.astype(np.float32),
        x=np.interp(z, path.z, path.x).astype(np.float32),
        s=s.astype(np.float32),
        slope=np.sin(heading).astype(np.float32),
        cosine=np.cos(heading).astype(np.float32),
        across=across.astype(np.float32),
        along=along.astype(np.float32),
        haze=haziness(z).astype(np.float32),
        edge=np.interp(z, path.z, edge).astype(np.float32),
        tone=np.interp(z, path.z, tone).astype(np.float32),
        fine=(tile.level(along / FINE_TEXEL), tile.level(across / FINE_TEXEL)),
        coarse=(tile.level(along / COARSE_TEXEL), tile.level(across / COARSE_TEXEL)),
    )


def _sample(
    s: Float, u: Float, texel: float, levels: tuple[NDArray[np.int32], NDArray[np.int32]], index: NDArray[np.int32]
) -> Float:
    scale = np.float32(1 / texel)
    return noise_tile().sample(s * scale, u * scale, levels[0][index], levels[1][index])


def _marks(u: Float, s: Float, width: Float, along: Float) -> Float:
    """Share of every pixel that is paint: solid edge lines, dashed centre line."""
    side = _band(np.abs(u), width, np.float32(EDGE_MARK[0]), np.float32(EDGE_MARK[1]))
    centre = _band(u, width, np.float32(-CENTRE_MARK), np.float32(CENTRE_MARK))
    painted = _dashed(s + along * np.float32(0.5))
    painted -= _dashed(s - along * np.float32(0.5))
    painted /= along
    centre *= painted
    side += centre
    return side


def _dashed(s: Float) -> Float:
    """Metres of paint of the dashed line up to `s`."""
    periods = np.floor(s / np.float32(DASH_PERIOD))
    rest = s - periods * np.float32(DASH_PERIOD)
    painted: Float = periods * np.float32(DASH) + np.minimum(rest, np.float32(DASH))
    return painted


def _tracks(u: Float) -> Float:
    """Where tyres darken and polish the lanes: 1 in the middle of a track."""
    lane = np.abs(u) - np.float32(1.75)
    return np.asarray(np.exp(-np.square((np.abs(lane) - np.float32(0.75)) / np.float32(0.28))), np.float32)


def _band(u: Float, width: Float, low: Float | np.float32, high: Float | np.float32) -> Float:
    """Share of a footprint of `width` about `u` that lies in low..high."""
    half = width / np.float32(2)
    share = np.minimum(u + half, high)
    share -= np.maximum(u - half, low)
    share /= width
    return clip(share, 0, 1)
