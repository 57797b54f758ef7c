"""Draws the things of `things` into the picture, from their own projection, with smooth edges at any size."""

from __future__ import annotations

import math

import numpy as np

from reuse_compiler.models.autopilot.camera import COLUMNS, FOCAL, HEIGHT, ROWS, Mount
from reuse_compiler.models.autopilot.palette import Palette, haziness
from reuse_compiler.models.autopilot.picture import Float, blend, clip
from reuse_compiler.models.autopilot.texture import noise_tile
from reuse_compiler.models.autopilot.things import Thing

__all__ = ["paint"]

CAR_LENGTH = 4.2
CLOSEST = 1.5  # metres; what is nearer lies outside the picture
SMALL = 6.0  # pixels; a car below that shows its face alone, a crown no leaves
_BLACK = np.full(3, 0.012, np.float32)
_TYRE = np.full(3, 0.02, np.float32)
_TRUNK = np.array([0.05, 0.035, 0.025], np.float32)
_REFLECTOR = np.array([0.30, 0.05, 0.03], np.float32)
_REAR_LIGHT = np.array([0.45, 0.02, 0.02], np.float32)
_HEAD_LIGHT = np.array([1.2, 1.2, 1.1], np.float32)


def paint(picture: Float, thing: Thing, seat: Mount, colours: Palette) -> None:
    """Draw one thing into `picture`, float32 [66, 200, 3], in place; farther things must have been drawn before."""
    match thing.kind:
        case "tree":
            _tree(picture, thing, seat, colours)
        case "post":
            _post(picture, thing, seat, colours)
        case _:
            _car(picture, thing, seat, colours)


def _foot(x: float, z: float, seat: Mount) -> tuple[float, float, float]:
    """Column and row of a point on the ground, and pixels a metre there."""
    scale = FOCAL / z
    column = seat.centre + x * scale
    return column, seat.horizon + HEIGHT * scale + seat.roll * (column - seat.centre), scale


def _lit(colour: Float, z: float, colours: Palette) -> Float:
    """A colour in the sun, seen through the haze of `z` metres."""
    lit = colour * colours.sun
    lit += np.float32(haziness(z)) * (colours.haze - lit)
    return lit


def _tree(picture: Float, tree: Thing, seat: Mount, colours: Palette) -> None:
    column, row, scale = _foot(tree.x, tree.z, seat)
    trunk = _lit(_TRUNK, tree.z, colours)
    _rectangle(picture, row - 0.35 * tree.height * scale, row, column, 0.28 * scale, trunk, tree.opacity)
    radius_v, radius_h = 0.42 * tree.height * scale, 0.5 * tree.width * scale
    centre = row - 0.60 * tree.height * scale
    top, bottom = _span(centre - 1.25 * radius_v, centre + 1.25 * radius_v, ROWS)
    left, right = _span(column - 1.25 * radius_h, column + 1.25 * radius_h, COLUMNS)
    if top >= bottom or left >= right:
        return
    v = (np.arange(top, bottom, dtype=np.float32) - np.float32(centre))[:, None] / np.float32(max(radius_v, 0.5))
    h = (np.arange(left, right, dtype=np.float32) - np.float32(column))[None, :] / np.float32(max(radius_h, 0.5))
    foliage = _foliage(v, h, tree.shape, radius_v) if radius_v > SMALL / 2 else np.float32(0)
    cover = (1 - np.sqrt(v * v + h * h) + np.float32(0.16) * foliage) * np.float32(
        min(radius_v, radius_h)
    ) + np.float32(0.5)
    shade = 1 - np.float32(0.35) * v + np.float32(0.22) * foliage
    blend(
        picture[top:bottom, left:right],
        clip(cover, 0, tree.opacity),
        shade[..., None] * _lit(tree.colour, tree.z, colours),
    )


def _foliage(v: Float, h: Float, shape: float, radius: float) -> Float:
    """Clumps of leaves over a crown, in its own coordinates: noise of deviation 1, softer where the crown is small."""
    tile = noise_tile()
    rough = tile.level(np.array([70 / max(radius, 1.0)]))
    level = np.broadcast_to(rough, (v.size, h.size))
    origin = np.float32(tile.size * shape)
    zeros = np.zeros(level.shape, np.float32)
    return tile.sample(v * 60 + origin + zeros, h * 60 + np.float32(3) * origin + zeros, level, level)


def _post(picture: Float, post: Thing, seat: Mount, colours: Palette) -> None:
    column, row, scale = _foot(post.x, post.z, seat)
    top = row - post.height * scale
    _rectangle(picture, top, row, column, post.width * scale, _lit(post.colour, post.z, colours))
    if post.height * scale < SMALL:
        return
    band = top + 0.15 * post.height * scale
    reflector = _lit(_REFLECTOR, post.z, colours)
    _rectangle(picture, band, band + 0.18 * post.height * scale, column, post.width * scale, reflector)


def _car(picture: Float, car: Thing, seat: Mount, colours: Palette) -> None:
    """A car as slices from its far end to its face, each over its strip of shadow."""
    coat = _lit(car.colour, car.z, colours)
    seen = FOCAL / max(car.z, 1.0) * car.width
    slices = 0 if seen < SMALL else 4 if seen < 4 * SMALL else 14
    for number in range(slices, 0, -1):
        share = number / slices
        z = car.z + share * CAR_LENGTH
        if z < CLOSEST:
            return
        x = car.x + share * CAR_LENGTH * math.sin(car.heading)
        column, row, scale = _foot(x, z, seat)
        nearer = _foot(x, max(z - CAR_LENGTH / slices, CLOSEST), seat)[1]
        _rectangle(picture, row - 0.5, nearer, column, 1.1 * car.width * scale, _BLACK, 0.75)
        _rectangle(picture, row - 0.62 * car.height * scale, row - 0.2 * scale, column, car.width * scale, 0.7 * coat)
        if 0.2 < share < 0.9 or car.shape:
            cabin = 0.84 * car.width * scale
            _rectangle(picture, row - car.height * scale, row - 0.6 * car.height * scale, column, cabin, 0.8 * coat)
    if car.z > CLOSEST:
        _face(picture, car, seat, colours, coat)


def _face(picture: Float, car: Thing, seat: Mount, colours: Palette, coat: Float) -> None:
    """The end of a car that looks at the camera: windscreen, body, bumper, lights, tyres."""
    column, row, scale = _foot(car.x, car.z, seat)
    width, height = car.width * scale, car.height * scale
    _rectangle(picture, row - 0.10 * scale, row + 0.10 * scale, column, 1.1 * width, _BLACK, 0.75)
    _rectangle(picture, row - 0.30 * scale, row, column - 0.40 * width, 0.14 * width, _TYRE)
    _rectangle(picture, row - 0.30 * scale, row, column + 0.40 * width, 0.14 * width, _TYRE)
    _rectangle(picture, row - height, row - 0.58 * height, column, 0.80 * width, coat)
    glass = _lit(np.float32(0.25) * colours.sky + _BLACK, car.z, colours)
    _rectangle(picture, row - 0.93 * height, row - 0.62 * height, column, 0.72 * width, glass)
    _rectangle(picture, row - 0.60 * height, row - 0.16 * height, column, width, coat)
    _rectangle(picture, row - 0.30 * height, row - 0.16 * height, column, width, np.float32(0.45) * coat)
    lamp = _HEAD_LIGHT if car.kind == "oncoming" else _REAR_LIGHT
    for side in (-1, 1):
        place = column + side * 0.40 * width
        _rectangle(picture, row - 0.52 * height, row - 0.40 * height, place, 0.16 * width, lamp)
    if car.kind == "leader":
        _rectangle(picture, row - 0.40 * height, row - 0.32 * height, column, 0.28 * width, colours.paint)


def _rectangle(
    picture: Float, top: float, bottom: float, column: float, width: float, colour: Float, opacity: float = 1.0
) -> None:
    """Blend an upright rectangle in; rows top..bottom, `width` columns about `column`, pixel i covering i-0.5..i+0.5."""
    left, right = column - width / 2, column + width / 2
    first_row, last_row = _span(top, bottom, ROWS)
    first, last = _span(left, right, COLUMNS)
    if first_row >= last_row or first >= last:
        return
    rows = _overlap(first_row, last_row, top, bottom) * np.float32(opacity)
    columns = _overlap(first, last, left, right)
    blend(picture[first_row:last_row, first:last], rows[:, None] * columns, colour)


def _overlap(first: int, last: int, low: float, high: float) -> Float:
    """How much of every pixel first..last-1 lies in low..high, which reaches into all of them."""
    share = np.ones(last - first, np.float32)
    share[0] = min(first + 0.5, high) - max(first - 0.5, low)
    share[-1] = min(last - 0.5, high) - max(last - 1.5, low)
    return share


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    return max(math.floor(low + 0.5), 0), min(math.ceil(high + 0.5), size)
