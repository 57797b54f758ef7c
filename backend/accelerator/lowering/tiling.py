"""Tiles: which part of a layer one instruction computes.

A tile of a convolution is a range of output channels and a box of output coordinates. The inputs that it reads form a
box as well, with a halo where windows of neighbouring tiles overlap. Each input element is *committed* by the last
tile that reads it: that tile writes the element's present index and counts the element. Committed boxes of all tiles
cover the input exactly once, also elements that no window reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reuse_compiler.geometry import ConvGeometry

__all__ = [
    "AxisTile",
    "ConvTile",
    "conv_tiles",
    "most_inputs",
    "runs",
    "split_axis",
    "split_channels",
    "split_range",
]

Box = tuple[tuple[int, int], ...]  # (start, size) per axis


@dataclass(frozen=True)
class AxisTile:
    """One interval along one spatial axis."""

    out_start: int
    out_size: int
    in_start: int
    in_size: int
    pad: int  # zeros in front of the input interval; where transposed: what is cut off before the output interval
    commit: int  # the first elements of the input interval, which no later tile reads


@dataclass(frozen=True)
class ConvTile:
    """One tile: output channels, the input channels that they read, and an interval per spatial axis."""

    out_channel: int
    out_channels: int
    in_channel: int
    in_channels: int
    group: int
    axes: tuple[AxisTile, AxisTile, AxisTile]
    last_reader: bool  # no later channel range reads these input channels

    @property
    def out_box(self) -> tuple[tuple[int, int], ...]:
        """(start, size) per axis of the output: channels, then space."""
        return ((self.out_channel, self.out_channels), *((a.out_start, a.out_size) for a in self.axes))

    @property
    def in_box(self) -> tuple[tuple[int, int], ...]:
        """(start, size) per axis of the input: channels, then space."""
        return ((self.in_channel, self.in_channels), *((a.in_start, a.in_size) for a in self.axes))

    @property
    def commit(self) -> tuple[int, int, int]:
        """Extents of the committed box, zeros where a later channel range reads the inputs again."""
        first, second, third = self.axes
        return (first.commit, second.commit, third.commit) if self.last_reader else (0, 0, 0)


def split_range(size: int, step: int) -> list[tuple[int, int]]:
    """(start, size) of consecutive parts of at most `step`, as even as possible; none of nothing."""
    if size == 0:
        return []
    count = -(-size // step)
    even = -(-size // count)
    return [(start, min(even, size - start)) for start in range(0, size, even)]


def runs(sizes: Sequence[int], fits: Callable[[int, int, bool], bool]) -> list[Box] | None:
    """Boxes that cover an array in order, each a run of its elements; None where not even a single element fits.

    `fits(axis, count, alone)` says whether a box of `count` along `axis` can be held, of all along the axes behind it
    and of one along those before; `alone` where it is the only box. As much of the outermost axes as fits is taken.
    """
    if fits(0, sizes[0], True):
        return [tuple((0, size) for size in sizes)]
    for axis, size in enumerate(sizes):
        if not fits(axis, 1, False):
            continue
        parts = split_range(size, _largest(size, lambda count, at=axis: fits(at, count, False)))  # type: ignore[misc]
        before = itertools.product(*(range(extent) for extent in sizes[:axis]))
        behind = tuple((0, extent) for extent in sizes[axis + 1 :])
        return [(*((at, 1) for at in place), part, *behind) for place in before for part in parts]
    return None


def split_axis(geometry: ConvGeometry, axis: int, step: int, out_size: int | None = None) -> list[AxisTile]:
    """Intervals of at most `step` outputs along `axis`; `out_size` overrides the number of outputs (ceil pooling)."""
    size = geometry.in_shape[axis]
    parts = split_range(out_size or geometry.out_shape[axis], step)
    starts = [_first_input(geometry, axis, start) for start, _ in parts] + [size]
    starts[0] = 0
    tiles = []
    for (start, count), here, following in zip(parts, starts[:-1], starts[1:], strict=True):
        end = max(_behind_last_input(geometry, axis, start + count), following)
        pad = _pad(geometry, axis, start, count, here)
        tiles.append(AxisTile(start, count, here, end - here, pad, following - here))
    return tiles


def _first_input(geometry: ConvGeometry, axis: int, output: int) -> int:
    """The first input of a tile that begins with `output`: none of those before it meets an output from there on.

    A tile of a transposed convolution has an input in any case, and one that reaches its first output from before: what
    is cut off there is never negative.
    """
    stride, pad, size = geometry.strides[axis], geometry.pads_begin[axis], geometry.in_shape[axis]
    if geometry.transposed:
        first = -((geometry.reach(axis) - 1 - output - pad) // stride)
        return max(min(first, (output + pad) // stride, size - 1), 0)
    return min(max(output * stride - pad, 0), size)


def _behind_last_input(geometry: ConvGeometry, axis: int, output: int) -> int:
    """One behind the last input that outputs before `output` meet."""
    stride, pad = geometry.strides[axis], geometry.pads_begin[axis]
    if geometry.transposed:
        behind = (output - 1 + pad) // stride + 1
    else:
        behind = (output - 1) * stride + geometry.reach(axis) - pad
    return min(behind, geometry.in_shape[axis])


def _pad(geometry: ConvGeometry, axis: int, output: int, count: int, first_input: int) -> int:
    stride, pad = geometry.strides[axis], geometry.pads_begin[axis]
    if geometry.transposed:
        return output + pad - first_input * stride
    return min(max(pad - output * stride, 0), (count - 1) * stride + geometry.reach(axis))


def most_inputs(geometry: ConvGeometry, axis: int, outputs: int) -> int:
    """A bound of the inputs of a tile of so many `outputs` along `axis`, those at the ends that no output meets
    included."""
    stride, reach = geometry.strides[axis], geometry.reach(axis)
    if not geometry.transposed:
        return min((outputs - 1) * stride + reach - 1 + stride, geometry.in_shape[axis])
    cut = max(geometry.pads_begin[axis], geometry.pads_end[axis])
    unmet = cut // stride + 1 if cut >= reach else 0
    return min((outputs + reach - 2) // stride + 2 + unmet, geometry.in_shape[axis])


def split_channels(geometry: ConvGeometry, step: int) -> list[tuple[int, int, int, int, int, bool]]:
    """(out start, out count, in start, in count, groups, last reader) of channel ranges of at most `step` outputs.

    A range holds whole groups, or lies inside one.
    """
    per_group, inputs = geometry.outputs_per_group, geometry.inputs_per_group
    if step >= per_group:
        parts = split_range(geometry.group, step // per_group)
        return [(g * per_group, n * per_group, g * inputs, n * inputs, n, True) for g, n in parts]
    inside = [(start, min(step, per_group - start)) for start in range(0, per_group, step)]
    return [
        (g * per_group + start, count, g * inputs, inputs, 1, start + count == per_group)
        for g in range(geometry.group)
        for start, count in inside
    ]


def conv_tiles(
    geometry: ConvGeometry,
    lanes: int,
    max_channels: int,
    fits: Callable[[int, tuple[int, int, int]], bool],
    channels_outermost: bool,
    out_shape: tuple[int, ...] | None = None,
) -> list[ConvTile] | None:
    """The tiles of a layer in execution order, or None where not even the smallest fits.

    `fits(channels, box)` says whether a tile of that many output channels and that output box can be held;
    `max_channels` bounds the channels. Of all that fit, the tiling that scans the fewest inputs is taken, then the one
    with the fewest tiles.
    """
    shape = out_shape or geometry.out_shape
    best: tuple[int, int, list[list[AxisTile]], int] | None = None
    for channels in _channel_steps(geometry, lanes, max_channels):
        box = _largest_box(shape, lambda candidate, c=channels: fits(c, candidate))  # type: ignore[misc]
        if box is None:
            continue
        axes = [split_axis(geometry, axis, box[axis], shape[axis]) for axis in range(3)]
        parts = split_channels(geometry, channels)
        scanned = sum(part[3] for part in parts)
        count = len(parts)
        for tiles in axes:
            scanned *= sum(tile.in_size for tile in tiles)
            count *= len(tiles)
        if best is None or (scanned, count) < best[:2]:
            best = (scanned, count, axes, channels)
    if best is None:
        return None
    return list(_enumerate(best[2], split_channels(geometry, best[3]), channels_outermost))


def _channel_steps(geometry: ConvGeometry, lanes: int, max_channels: int) -> list[int]:
    """Numbers of output channels to try: all, then multiples of the lanes, or whole groups where groups are small."""
    unit = min(geometry.outputs_per_group, lanes)
    most = min(geometry.out_channels, max_channels)
    steps = [geometry.out_channels] if most == geometry.out_channels else []
    multiple = most // unit
    while multiple >= 1:
        steps.append(multiple * unit)
        multiple //= 2
    return list(dict.fromkeys(steps))


def _largest_box(shape: tuple[int, ...], fits: Callable[[tuple[int, int, int]], bool]) -> tuple[int, int, int] | None:
    """The largest output box that fits, cut along the outermost axis first; None where not even a single output does."""
    first, second, third = shape
    if fits((1, second, third)):
        return (_largest(first, lambda n: fits((n, second, third))), second, third)
    if fits((1, 1, third)):
        return (1, _largest(second, lambda n: fits((1, n, third))), third)
    if fits((1, 1, 1)):
        return (1, 1, _largest(third, lambda n: fits((1, 1, n))))
    return None


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest n in 1..limit that fits, given that 1 fits and that fitting is monotone."""
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _enumerate(
    axes: list[list[AxisTile]], parts: list[tuple[int, int, int, int, int, bool]], channels_outermost: bool
) -> Iterator[ConvTile]:
    first, second, third = axes
    boxes = list(itertools.product(first, second, third))
    pairs = (
        ((part, box) for part in parts for box in boxes)
        if channels_outermost
        else ((part, box) for box in boxes for part in parts)
    )
    for (out_channel, out_channels, in_channel, in_channels, group, last), box in pairs:
        yield ConvTile(out_channel, out_channels, in_channel, in_channels, group, box, last)
