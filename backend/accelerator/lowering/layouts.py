"""Strided blocks: how the part of a tensor that a move needs lies in the staging region, and its way from and to DRAM."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reuse_compiler.backend.accelerator.isa import Load, Space, Store
from reuse_compiler.backend.accelerator.lowering.emitter import Box, Region
from reuse_compiler.backend.accelerator.lowering.storage import ALIGNMENT, Storage
from reuse_compiler.backend.accelerator.lowering.work import Planned, resident_block

__all__ = [
    "TRANSFER_AXES",
    "Layout",
    "Repeat",
    "contiguous_run",
    "layout_of",
    "region_of",
    "span_of",
    "transfers",
    "unrolled",
]

Strides = tuple[int, ...]

TRANSFER_AXES = 2
"""Axes along which one load or store repeats its run."""


@dataclass(frozen=True)
class Repeat:
    """`count` runs, `far` elements apart in DRAM and `near` in the buffer."""

    count: int
    far: int
    near: int


@dataclass(frozen=True)
class Layout:
    """How a strided block of DRAM lies in the buffer: `strides` there by axis, its extent in elements, and the contiguous
    runs of `run` elements that it is transferred in."""

    strides: Strides
    elements: int
    run: int
    repeats: tuple[Repeat, ...]

    @property
    def transfers(self) -> int:
        """How many loads or stores it takes."""
        counts = sorted(repeat.count for repeat in self.repeats)
        return math.prod(counts[: max(len(counts) - TRANSFER_AXES, 0)])


def span_of(sizes: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first of a strided block to its last."""
    return sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) + 1


@lru_cache(maxsize=4096)
def layout_of(sizes: Strides, strides: Strides, itemsize: int, *, gaps: bool) -> Layout:
    """A dense layout of a strided block with its axes in the order of DRAM; axes that repeat elements stay repetitions.

    With `gaps` what lies between elements comes along where they are no more than a buffer line apart. A block whose
    axes overlap keeps its strides.
    """
    axes = [axis for axis, size in enumerate(sizes) if size > 1 and strides[axis]]
    axes.sort(key=lambda axis: strides[axis])  # innermost first
    reach, near, repeats = 1, [0] * len(sizes), []
    run = width = 1
    for position, axis in enumerate(axes):
        size, stride = sizes[axis], strides[axis]
        if stride < reach:
            span = span_of(sizes, strides)
            return Layout(strides, span, span, ())
        reach += (size - 1) * stride
        if position == 0 and (stride == 1 or (gaps and stride * itemsize <= ALIGNMENT)):
            near[axis] = stride
            run = width = reach
        else:
            near[axis] = width
            repeats.append(Repeat(size, stride, width))
            width *= size
    return Layout(tuple(near), width, *_joined(run, repeats))


@lru_cache(maxsize=4096)
def contiguous_run(sizes: Strides, far: Strides, near: Strides) -> tuple[int, tuple[Repeat, ...]]:
    """The runs that two layouts of one block share; axes innermost last."""
    axes = [Repeat(*axis) for axis in zip(sizes, far, near, strict=True) if axis[0] > 1]
    return _joined(1, axes[::-1])


def _joined(run: int, repeats: Sequence[Repeat]) -> tuple[int, tuple[Repeat, ...]]:
    """The same runs, innermost repetition first, with those joined that continue each other."""
    result: list[Repeat] = []
    for repeat in repeats:
        last = result[-1] if result else None
        if last is None and repeat.far == repeat.near == run:
            run *= repeat.count
        elif last and (repeat.far, repeat.near) == (last.far * last.count, last.near * last.count):
            result[-1] = Repeat(last.count * repeat.count, last.far, last.near)
        else:
            result.append(repeat)
    return run, tuple(reversed(result))


def unrolled(counts: Sequence[int], most: int) -> tuple[list[int], Iterator[dict[int, int]]]:
    """Which axes one instruction of `most` axes goes along, and the places along the others, the shortest ones."""
    by_size = sorted(range(len(counts)), key=lambda axis: counts[axis], reverse=True)
    kept, others = sorted(by_size[:most]), sorted(by_size[most:])
    places = itertools.product(*(range(counts[axis]) for axis in others))
    return kept, (dict(zip(others, place, strict=True)) for place in places)


def transfers(
    template: Load | Store, run: int, repeats: tuple[Repeat, ...], far: Region, near: Region, itemsize: int
) -> Iterator[Planned]:
    """Loads or stores of the runs that begin where the regions do: `far` in DRAM, `near` in the I/O buffer."""
    strides, places = _transfer_pattern(run, repeats, itemsize)
    for far_offset, near_offset in places:
        values = {
            "layer": template.layer,
            "dram_address": far.start + far_offset,
            "address": near.start + near_offset,
            **strides,
        }
        if isinstance(template, Load):
            yield Planned(Load(space=Space.BUFFER, **values), [far], [near])
        else:
            yield Planned(Store(**values), [near], [far])


@lru_cache(maxsize=4096)
def _transfer_pattern(
    run: int, repeats: tuple[Repeat, ...], itemsize: int
) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """The fields that all transfers of a block share, and where each begins on both sides, in bytes."""
    kept, places = unrolled([repeat.count for repeat in repeats], TRANSFER_AXES)
    outer, inner = [Repeat(1, 0, 0)] * (TRANSFER_AXES - len(kept)) + [repeats[axis] for axis in kept]
    fields = {
        "dram_stride0": outer.far * itemsize,
        "dram_stride1": inner.far * itemsize,
        "stride0": outer.near * itemsize,
        "stride1": inner.near * itemsize,
        "run_bytes": run * itemsize,
        "count0": outer.count,
        "count1": inner.count,
    }
    begins = [
        (
            itemsize * sum(repeats[axis].far * at for axis, at in place.items()),
            itemsize * sum(repeats[axis].near * at for axis, at in place.items()),
        )
        for place in places
    ]
    return fields, begins


def region_of(storage: Storage, space: Space, first: int, sizes: Strides, strides: Strides, itemsize: int) -> Region:
    """The bytes of a strided block of a storage in DRAM or in the buffer: as a box where it is one of some shape."""
    base = storage.dram_address if space is Space.DRAM else storage.buffer_address
    assert base is not None
    total = storage.bytes // itemsize
    shape, box = _as_box(total, first, sizes, strides) or ((total,), ((first, span_of(sizes, strides)),))
    return resident_block(storage, base, shape, box, itemsize, space).region


def _as_box(total: int, first: int, sizes: Strides, strides: Strides) -> tuple[Strides, Box] | None:
    """A shape of `total` elements in which the block is a box, and that box; None where there is none."""
    found = _shape_of(total, sizes, strides)
    if found is None:
        return None
    shape, steps, counts = found
    box = tuple((first // step % extent, count) for step, extent, count in zip(steps, shape, counts, strict=True))
    fits = all(start + count <= extent for (start, count), extent in zip(box, shape, strict=True))
    return (shape, box) if fits else None


@lru_cache(maxsize=4096)
def _shape_of(total: int, sizes: Strides, strides: Strides) -> tuple[Strides, Strides, Strides] | None:
    """The shape whose axes a block's are or lie in, outermost first, its strides, and the block's elements along each;
    None where strides do not divide one another."""
    axes = sorted(((stride, size) for size, stride in zip(sizes, strides, strict=True) if size > 1), reverse=True)
    if not axes or axes[-1][0] == 0:
        return None
    if axes[-1][0] > 1:
        axes.append((1, 1))
    extents = [total, *(stride for stride, _ in axes[:-1])]
    if any(extent % stride for extent, (stride, _) in zip(extents, axes, strict=True)):
        return None
    steps = tuple(stride for stride, _ in axes)
    shape = tuple(extent // step for extent, step in zip(extents, steps, strict=True))
    return shape, steps, tuple(size for _, size in axes)
