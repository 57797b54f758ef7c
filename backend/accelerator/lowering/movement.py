"""Lower layers that only move elements.

Between places in the buffer the special function unit copies. Where one side lies in DRAM and runs of elements stay
together, the data master puts them where they belong. Everything else from or to DRAM passes through the staging
region, in tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from reuse_compiler.backend.accelerator.isa import Copy, Gather, Load, Space, Store
from reuse_compiler.backend.accelerator.lowering.emitter import Box, Region
from reuse_compiler.backend.accelerator.lowering.layouts import (
    TRANSFER_AXES,
    Layout,
    contiguous_run,
    layout_of,
    region_of,
    span_of,
    transfers,
    unrolled,
)
from reuse_compiler.backend.accelerator.lowering.move_spec import MoveSpec
from reuse_compiler.backend.accelerator.lowering.runs import in_dram
from reuse_compiler.backend.accelerator.lowering.specs import Layer
from reuse_compiler.backend.accelerator.lowering.storage import ALIGNMENT, Storage
from reuse_compiler.backend.accelerator.lowering.tiling import split_range
from reuse_compiler.backend.accelerator.lowering.work import (
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    pipeline,
)
from reuse_compiler.backend.accelerator.movement import (
    CONSTANTS,
    COPIED_AXES,
    Axis,
    BoxMove,
    TableMove,
    merged,
)

__all__ = ["lower_move"]

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class _Block:
    """A strided block that an instruction reads or writes: byte address, strides in elements, and what it touches."""

    address: int
    strides: Sizes
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class _Mover:
    """The layer at work: where its elements come from (None: from constants) and where they go."""

    context: Context
    layer: Layer
    spec: MoveSpec
    output: Storage

    @property
    def item(self) -> int:
        return self.spec.element_bytes

    def source(self, number: int) -> Storage | None:
        """The storage of a source."""
        if number == CONSTANTS:
            return None
        return self.context.storages.by_tensor[self.layer.inputs[number].name]

    def staged(self, storage: Storage | None, sizes: Sizes, strides: Sizes, *, gaps: bool) -> Layout | None:
        """How a block passes through the staging region; None where it does not have to."""
        if storage is None or not in_dram(storage):
            return None
        return layout_of(sizes, strides, self.item, gaps=gaps)


def lower_move(context: Context, layer: Layer, spec: MoveSpec) -> None:
    """Boxes first, then tables one after the other: a table may leave what is there as it is."""
    mover = _Mover(context, layer, spec, context.storages.by_tensor[layer.outputs[0].name])
    _move_boxes(mover, [move for move in spec.moves if isinstance(move, BoxMove)])
    for move in spec.moves:
        if isinstance(move, TableMove):
            _move_table(mover, move)


# ------------------------------------------------------------------------------------------------------------- boxes


def _move_boxes(mover: _Mover, moves: Sequence[BoxMove]) -> None:
    tiles = [(move, tile) for move in moves for tile in _box_tiles(mover, move, alone=len(moves) == 1)]
    works = []
    for number, (move, tile) in enumerate(tiles):
        mover.context.half(number, len(tiles))
        works.append(_box_work(mover, move, tile))
    pipeline(mover.context.emitter, works)


def _box_tiles(mover: _Mover, move: BoxMove, *, alone: bool) -> list[Box]:
    """Parts of a box, of which one half of the staging region holds what passes through it."""
    sizes = tuple(axis.size for axis in move.axes)

    def staged(sizes: Sizes) -> int:
        return sum(box_bytes((layout.elements,), mover.item) for layout in _layouts(mover, move, sizes) if layout)

    def transferred(sizes: Sizes) -> int:
        return sum(layout.transfers for layout in _layouts(mover, move, sizes) if layout)

    return _tiles(mover, sizes, staged, transferred, alone=alone)


def _layouts(mover: _Mover, move: BoxMove, sizes: Sizes) -> tuple[Layout | None, Layout | None]:
    """How the source and the target of a tile pass through the staging region; None where they do not.

    Where runs of elements stay together the data master moves them from or to their place in the buffer; from DRAM to
    DRAM they pass through once.
    """
    source = mover.source(move.source)
    x_strides = tuple(abs(axis.source) for axis in move.axes)
    y_strides = tuple(axis.target for axis in move.axes)
    x_layout = mover.staged(source, sizes, x_strides, gaps=True)
    y_layout = mover.staged(mover.output, sizes, y_strides, gaps=False)
    if source is None or not _keeps_runs(move, mover.item):
        return x_layout, y_layout
    if x_layout is not None:
        return None, y_layout
    return (None, None) if y_layout is not None else (x_layout, y_layout)


def _keeps_runs(move: BoxMove, itemsize: int) -> bool:
    """Whether the data master had better move the elements of a box to their places itself: in runs, forwards, none
    twice, and by one transfer unless the runs are long."""
    if not move.axes:
        return True
    if any(axis.source <= 0 for axis in move.axes) or not move.axes[-1].source == move.axes[-1].target == 1:
        return False
    run, repeats = contiguous_run(*_strided(move))
    return len(repeats) <= TRANSFER_AXES or run * itemsize >= ALIGNMENT


def _strided(move: BoxMove) -> tuple[Sizes, Sizes, Sizes]:
    """Extents, and strides on both sides, all forwards."""
    sizes, sources, targets = zip(*((axis.size, abs(axis.source), axis.target) for axis in move.axes), strict=True)
    return sizes, sources, targets


def _box_work(mover: _Mover, move: BoxMove, tile: Box) -> Work:
    """Load, copy and store one tile of a box."""
    context, item, work = mover.context, mover.item, Work()
    sizes = tuple(size for _, size in tile)
    source = mover.source(move.source)
    x_strides = tuple(abs(axis.source) for axis in move.axes)
    y_strides = tuple(axis.target for axis in move.axes)
    low = move.first + sum(start * axis.source for (start, _), axis in zip(tile, move.axes, strict=True))
    low += sum(min((size - 1) * axis.source, 0) for size, axis in zip(sizes, move.axes, strict=True))
    place = move.target + sum(start * axis.target for (start, _), axis in zip(tile, move.axes, strict=True))
    x_layout, y_layout = _layouts(mover, move, sizes)
    if source is not None and in_dram(source) and x_layout is None:
        y = _target(mover, y_layout, place, sizes, y_strides)
        far = region_of(source, Space.DRAM, low, sizes, x_strides, item)
        run, repeats = contiguous_run(sizes, x_strides, y.strides)
        work.loads += transfers(Load(layer=context.layer), run, repeats, far, y.regions[0], item)
    elif in_dram(mover.output) and y_layout is None:
        x = _source(mover, work, source, None, low, sizes, x_strides)
        far = region_of(mover.output, Space.DRAM, place, sizes, y_strides, item)
        run, repeats = contiguous_run(sizes, y_strides, x_strides)
        work.stores += transfers(Store(layer=context.layer), run, repeats, far, x.regions[0], item)
        return work
    else:
        x = _source(mover, work, source, x_layout, low, sizes, x_strides)
        y = _target(mover, y_layout, place, sizes, y_strides)
        back = tuple(axis.source < 0 for axis in move.axes)
        work.computes += _copies(mover, x, y, sizes, back, constant=source is None)
    if y_layout is not None:
        work.stores += _stores(mover, y_layout, y, place, sizes, y_strides)
    return work


def _source(
    mover: _Mover, work: Work, storage: Storage | None, layout: Layout | None, low: int, sizes: Sizes, strides: Sizes
) -> _Block:
    """The block that begins at element `low` of a source, brought to the staging region where it has a layout there."""
    context, item = mover.context, mover.item
    if storage is None:
        address = context.constant(context.image.add(mover.spec.constants)) + low * item
        return _Block(address, strides, ())
    if layout is None:
        reach = ((low, span_of(sizes, strides)),)
        block = context.block(work, storage, (storage.bytes // item,), reach, item, read=True)
        return _Block(block.address, strides, (block.region,))
    near = context.scratch((layout.elements,), item)
    far = region_of(storage, Space.DRAM, low, sizes, strides, item)
    load = Load(layer=context.layer)
    work.loads += transfers(load, layout.run, layout.repeats, far, near.region, item)
    return _Block(near.address, layout.strides, (near.region,))


def _target(mover: _Mover, layout: Layout | None, place: int, sizes: Sizes, strides: Sizes) -> _Block:
    """The block that begins at element `place` of the output, or that stands for it in the staging region."""
    if layout is None:
        region = region_of(mover.output, Space.BUFFER, place, sizes, strides, mover.item)
        return _Block(region.start, strides, (region,))
    near = mover.context.scratch((layout.elements,), mover.item)
    return _Block(near.address, layout.strides, (near.region,))


def _stores(
    mover: _Mover, layout: Layout, block: _Block, place: int, sizes: Sizes, strides: Sizes
) -> Iterator[Planned]:
    """Stores of a staged block to its place in the output."""
    far = region_of(mover.output, Space.DRAM, place, sizes, strides, mover.item)
    store = Store(layer=mover.context.layer)
    return transfers(store, layout.run, layout.repeats, far, block.regions[0], mover.item)


def _copies(
    mover: _Mover, x: _Block, y: _Block, sizes: Sizes, back: tuple[bool, ...], *, constant: bool
) -> Iterator[Planned]:
    """Copies from block to block, each along as many axes as an instruction has."""
    fields, places = _copy_pattern(sizes, x.strides, y.strides, back)
    for here, there in places:
        copy = Copy(
            layer=mover.context.layer,
            element_bytes=mover.item,
            constant=int(constant),
            x=x.address + here * mover.item,
            y=y.address + there * mover.item,
            **fields,
        )
        yield Planned(copy, x.regions, y.regions)


@lru_cache(maxsize=4096)
def _copy_pattern(
    sizes: Sizes, x_strides: Sizes, y_strides: Sizes, back: tuple[bool, ...]
) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """The fields that all copies of a block share, and where each begins on both sides, in elements."""
    signs = (-1 if backwards else 1 for backwards in back)
    axes = merged([Axis(n, sign * x, y) for n, sign, x, y in zip(sizes, signs, x_strides, y_strides, strict=True)])
    kept, places = unrolled([axis.size for axis in axes], COPIED_AXES)
    inner = [Axis(1, 0, 0)] * (COPIED_AXES - len(kept)) + [axes[axis] for axis in kept]
    fields = {
        **{f"size{number}": axis.size for number, axis in enumerate(inner)},
        **{f"x_stride{number}": abs(axis.source) for number, axis in enumerate(inner)},
        **{f"y_stride{number}": axis.target for number, axis in enumerate(inner)},
        "backwards": sum(1 << number for number, axis in enumerate(inner) if axis.source < 0),
    }
    begins = [
        (
            sum(_from_low(axes[axis], at) for axis, at in place.items()),
            sum(axes[a].target * n for a, n in place.items()),
        )
        for place in places
    ]
    return fields, begins


def _from_low(axis: Axis, at: int) -> int:
    """How far the source of place `at` along an axis is from the lowest."""
    return abs(axis.source) * (at if axis.source >= 0 else axis.size - 1 - at)


def _tiles(
    mover: _Mover, sizes: Sizes, staged: Callable[[Sizes], int], transferred: Callable[[Sizes], int], *, alone: bool
) -> list[Box]:
    """Parts of a block whose staged bytes fit: in the whole staging region where it is the only part, else in a half.
    Until they do the axis is halved that spares the most; of equals the one that leaves the fewest transfers, of these
    the longest."""
    room = mover.context.placement.staging_bytes

    def fits(part: Sizes, share: int) -> bool:
        needed = staged(part)
        return not needed or needed <= room // share - 64

    if fits(sizes, 1 if alone else 2):
        return [tuple((0, size) for size in sizes)]
    part = sizes
    while not fits(part, 2):
        halves = [(*part[:axis], -(-size // 2), *part[axis + 1 :]) for axis, size in enumerate(part) if size > 1]
        if not halves:
            raise StagingTooSmallError(mover.layer.name)
        part = min(halves, key=lambda half: (staged(half), transferred(half), max(half)))
    return list(product(*(split_range(size, step) for size, step in zip(sizes, part, strict=True))))


# ------------------------------------------------------------------------------------------------------------ tables


def _move_table(mover: _Mover, move: TableMove) -> None:
    """One table, in tiles of its outer axis, its entries and its inner axis; each has all rows of the source."""
    sizes = (move.outer, len(move.table), move.inner)
    y_strides = (sizes[1] * sizes[2], sizes[2], 1)
    source = mover.source(move.source)

    def layouts(part: Sizes) -> tuple[Layout | None, Layout | None]:
        rows = (part[0], move.rows, part[2])
        return mover.staged(source, rows, move.strides, gaps=True), mover.staged(
            mover.output, part, y_strides, gaps=False
        )

    def staged(part: Sizes) -> int:
        return sum(box_bytes((layout.elements,), mover.item) for layout in layouts(part) if layout)

    works = []

    def transferred(part: Sizes) -> int:
        return sum(layout.transfers for layout in layouts(part) if layout)

    tiles = _tiles(mover, sizes, staged, transferred, alone=True)
    for number, tile in enumerate(tiles):
        mover.context.half(number, len(tiles))
        part, work = tuple(size for _, size in tile), Work()
        x_layout, y_layout = layouts(part)
        low = move.first + tile[0][0] * move.strides[0] + tile[2][0] * move.strides[2]
        place = sum(start * stride for (start, _), stride in zip(tile, y_strides, strict=True))
        x = _source(mover, work, source, x_layout, low, (part[0], move.rows, part[2]), move.strides)
        y = _target(mover, y_layout, place, part, y_strides)
        if y_layout is not None and move.is_partial:
            far = region_of(mover.output, Space.DRAM, place, part, y_strides, mover.item)
            load = Load(layer=mover.context.layer)
            work.loads += transfers(load, y_layout.run, y_layout.repeats, far, y.regions[0], mover.item)
        work.computes.append(_gather(mover, move, x, y, part, tile[1][0], constant=source is None))
        if y_layout is not None:
            work.stores += _stores(mover, y_layout, y, place, part, y_strides)
        works.append(work)
    pipeline(mover.context.emitter, works)


def _gather(
    mover: _Mover, move: TableMove, x: _Block, y: _Block, part: Sizes, entry: int, *, constant: bool
) -> Planned:
    """One gather from block to block, from `entry` of the table on."""
    gather = Gather(
        layer=mover.context.layer,
        element_bytes=mover.item,
        constant=int(constant),
        table=mover.context.constant(mover.context.image.add(move.table)) + 4 * entry,
        x=x.address,
        y=y.address,
        outer=part[0],
        rows=move.rows,
        entries=part[1],
        inner=part[2],
        **{f"x_stride{axis}": stride for axis, stride in enumerate(x.strides)},
        **{f"y_stride{axis}": stride for axis, stride in enumerate(y.strides)},
    )
    return Planned(gather, x.regions, y.regions)
