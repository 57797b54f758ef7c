"""Work: the instructions of one tile, and how tiles follow each other.

An operand that lies in DRAM passes through one half of the staging region. The loads of the next tile are issued
before the stores of this one, so that the data master prefetches while the compute engine works.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from reuse_compiler.backend.accelerator.isa import Instruction, Load, Space, Store
from reuse_compiler.backend.accelerator.lowering.constants import Constant, ConstantImage, Residency
from reuse_compiler.backend.accelerator.lowering.emitter import Box, Region, Sink
from reuse_compiler.backend.accelerator.lowering.storage import Placement, Storage, Storages, aligned
from reuse_compiler.backend.accelerator.program import Tiling

__all__ = ["STAGING", "WEIGHTS", "Block", "Context", "Planned", "StagingTooSmallError", "Work", "box_bytes", "pipeline"]

Shape = tuple[int, ...]

STAGING = "staging"  # part of the I/O buffer, and of the eDRAM, that tiles pass through
WEIGHTS = "weights"


class StagingTooSmallError(Exception):
    """Not even the smallest tile of a layer fits the staging region: the lowering tries a larger one."""


@dataclass(frozen=True)
class Planned:
    """An instruction and the memory that it touches."""

    instruction: Instruction
    reads: Sequence[Region]
    writes: Sequence[Region]


@dataclass(frozen=True)
class Block:
    """A box of a tensor in the I/O buffer: byte address, strides in elements per axis, and the bytes it touches."""

    address: int
    strides: Shape
    region: Region


@dataclass
class Work:
    """One tile: what it loads, computes and stores."""

    loads: list[Planned] = field(default_factory=list)
    computes: list[Planned] = field(default_factory=list)
    stores: list[Planned] = field(default_factory=list)
    controls: list[Instruction] = field(default_factory=list)  # configuration that the computes need
    notes: list[object] = field(default_factory=list)  # what holds when the computes are done
    linear: Block | None = None  # where the tile's linear outputs are


@dataclass
class Context:
    """What lowering a layer needs to know, and where its instructions go."""

    tiling: Tiling
    reuse: bool
    emitter: Sink
    storages: Storages
    placement: Placement
    image: ConstantImage
    residency: Residency
    layer: int = 0
    loaded: dict[Storage, tuple[Shape, int]] = field(default_factory=dict)
    stored: set[Storage] = field(default_factory=set)
    quantized: set[Storage] = field(default_factory=set)
    held: dict[Constant, Region] = field(
        default_factory=dict
    )  # streamed weights that the layer keeps for all its steps
    parts: dict[str, int] = field(default_factory=dict)  # rows of reports of the layer, by the part of the name
    step_rows: tuple[int, ...] = ()  # row of reports of each step of the schedule
    host_calls: int = 0
    _top: int = 0
    _limit: int = 0

    def half(self, number: int, parts: int, reserved: int = 0) -> None:
        """Begin tile `number` of `parts`: its staged blocks go to one half, or to all where there is one tile, of what is
        behind the `reserved` bytes, where blocks of earlier tiles stay."""
        start = self.placement.staging_start + reserved
        size = self.placement.staging_bytes - reserved
        if parts > 1:
            size //= 2
            start += size * (number % 2)
        self._top, self._limit = aligned(start), start + size

    def block(self, work: Work, storage: Storage, shape: Shape, box: Box, itemsize: int, *, read: bool) -> Block:
        """The box of `storage`, seen as an array of `shape`, in the buffer; a load joins `work` where one is needed."""
        if storage.buffer_address is not None:
            if storage.is_input and read:
                self._load_input(work, storage, shape, box, itemsize)
            return resident_block(storage, storage.buffer_address, shape, box, itemsize)
        size = math.prod(extent for _, extent in box) * itemsize
        if self._top + size > self._limit:
            raise StagingTooSmallError(storage.name)
        extents = tuple(extent for _, extent in box)
        region = Region(STAGING, self._top, self._top + size)
        block = Block(self._top, dense_strides(extents), region)
        self._top += aligned(size)
        if read and size:
            work.loads += self._transfers(Load(space=Space.BUFFER), storage, block, shape, box, itemsize)
        return block

    def scratch(self, extents: Shape, itemsize: int = 4) -> Block:
        """A block of the staging region that nothing stands behind."""
        size = math.prod(extents) * itemsize
        if self._top + size > self._limit:
            raise StagingTooSmallError("scratch")
        block = Block(self._top, dense_strides(extents), Region(STAGING, self._top, self._top + size))
        self._top += aligned(size)
        return block

    def load(self, storage: Storage, block: Block, shape: Shape, box: Box, itemsize: int) -> Planned:
        """A load of `box` of a storage in DRAM into `block`."""
        return self._transfer(Load(space=Space.BUFFER), storage, block, shape, box, itemsize)

    def write_back(self, work: Work, storage: Storage, block: Block, shape: Shape, box: Box, itemsize: int) -> None:
        """A store of `block` joins `work` where the storage lies in DRAM. `box` may be the front part of the block."""
        if storage.buffer_address is None:
            work.stores += self._transfers(Store(), storage, block, shape, box, itemsize)

    def committed(self, block: Block, storage: Storage, shape: Shape, front: Box, itemsize: int) -> Region:
        """The bytes of the front part of a block."""
        if storage.buffer_address is None:
            return block.region
        return resident_block(storage, storage.buffer_address, shape, front, itemsize).region

    def store_whole(self, storage: Storage) -> None:
        """Copy a storage that lives in the buffer to its place in DRAM, once a frame; booked on the layer that made it."""
        if storage.buffer_address is None or storage in self.stored:
            return
        self.stored.add(storage)
        count = storage.bytes
        block = resident_block(storage, storage.buffer_address, (count,), ((0, count),), 1)
        planned = self._transfer(Store(), storage, block, (count,), ((0, count),), 1)
        instruction = replace(planned.instruction, layer=self.step_rows[storage.first])
        self.emitter.emit(instruction, planned.reads, planned.writes)

    def constant(self, constant: Constant) -> int:
        """eDRAM address of a resident constant."""
        return self.residency.resident[constant]

    def is_streamed(self, constant: Constant) -> bool:
        """Whether the constant passes through the eDRAM tile by tile."""
        return constant not in self.residency.resident

    def passes_through(self, constant: Constant) -> bool:
        """Whether every tile loads its part of the constant anew."""
        return self.is_streamed(constant) and constant not in self.held

    def stream(
        self, work: Work, constant: Constant, half: int, offset: int, run_bytes: int, runs: int = 1, stride: int = 0
    ) -> tuple[int, list[Region]]:
        """Load `runs` runs of a streamed constant, from byte `offset` on, densely into staging half `half`."""
        address, regions = self.streamed(half, run_bytes * runs)
        load = Load(
            layer=self.layer,
            space=Space.EDRAM,
            dram_address=constant.address + offset,
            dram_stride1=stride,
            address=address,
            stride1=run_bytes if runs > 1 else 0,
            run_bytes=run_bytes,
            count0=1,
            count1=runs,
        )
        work.loads.append(Planned(load, [], regions))
        return address, regions

    def streamed(self, half: int, size: int) -> tuple[int, list[Region]]:
        """eDRAM address and bytes of what was streamed into staging half `half`."""
        address = self.residency.staging_start + (half % 2) * self.residency.staging_half
        return address, [Region(WEIGHTS, address, address + size)]

    def _load_input(self, work: Work, storage: Storage, shape: Shape, box: Box, itemsize: int) -> None:
        """Load what is missing of a graph input that lives in the buffer: along the first spatial axis of one image, of
        a batch image by image."""
        known, done = self.loaded.get(storage, (shape, 0))
        axis = 1 if len(known) == 4 else 0
        same = known == shape and (
            len(known) > 4
            or all(
                other == axis or extent == size
                for other, ((_, extent), size) in enumerate(zip(box, shape, strict=True))
            )
        )
        shape = known
        end = sum(box[axis]) if same else shape[axis]
        self.loaded[storage] = (shape, max(done, end))
        if end <= done:
            return
        part = tuple((done, end - done) if other == axis else (0, size) for other, size in enumerate(shape))
        assert storage.buffer_address is not None
        target = resident_block(storage, storage.buffer_address, shape, part, itemsize)
        work.loads.append(self._transfer(Load(space=Space.BUFFER), storage, target, shape, part, itemsize))

    def _transfers(
        self, template: Load | Store, storage: Storage, block: Block, shape: Shape, box: Box, itemsize: int
    ) -> list[Planned]:
        """One transfer of `box`, or one for each coordinate of its shortest axes where two strides are too few."""
        assert storage.dram_address is not None
        dram = resident_block(storage, storage.dram_address, shape, box, itemsize, Space.DRAM)
        if len(_merged(box, dram.strides, block.strides)[1]) <= 2:
            return [self._transfer(template, storage, block, shape, box, itemsize)]
        axis = min((axis for axis in range(len(box) - 1) if box[axis][1] > 1), key=lambda axis: box[axis][1])
        start, extent = box[axis]
        planned = []
        for step in range(extent):
            part = (*box[:axis], (start + step, 1), *box[axis + 1 :])
            here = replace(block, address=block.address + step * block.strides[axis] * itemsize)
            planned += self._transfers(template, storage, here, shape, part, itemsize)
        return planned

    def _transfer(
        self, template: Load | Store, storage: Storage, block: Block, shape: Shape, box: Box, itemsize: int
    ) -> Planned:
        """A load or store of `box` between the storage's place in DRAM and `block`."""
        assert storage.dram_address is not None
        dram = resident_block(storage, storage.dram_address, shape, box, itemsize, Space.DRAM)
        run, (count0, count1), far, near = _runs(box, dram.strides, block.strides)
        values = {
            "layer": self.layer,
            "dram_address": dram.address,
            "dram_stride0": far[0] * itemsize,
            "dram_stride1": far[1] * itemsize,
            "address": block.address,
            "stride0": near[0] * itemsize,
            "stride1": near[1] * itemsize,
            "run_bytes": run * itemsize,
            "count0": count0,
            "count1": count1,
        }
        if isinstance(template, Load):
            return Planned(Load(space=template.space, **values), [dram.region], [block.region])
        return Planned(Store(**values), [block.region], [dram.region])


def resident_block(
    storage: Storage, base: int, shape: Shape, box: Box, itemsize: int, space: Space = Space.BUFFER
) -> Block:
    """A box of an array of `shape` that lies at byte address `base`."""
    strides = dense_strides(shape)
    first = sum(start * stride for (start, _), stride in zip(box, strides, strict=True))
    last = sum((start + extent - 1) * stride for (start, extent), stride in zip(box, strides, strict=True))
    alone = space is Space.DRAM or storage.keep
    area = (storage, space) if alone else "activations"
    region = Region(area, base + first * itemsize, base + (last + 1) * itemsize, (storage, shape), box)
    return Block(base + first * itemsize, strides, region)


@cache
def dense_strides(shape: Shape) -> Shape:
    """Strides in elements of a dense array."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def box_bytes(extents: Iterable[int], itemsize: int) -> int:
    """Bytes that a box takes in the staging region."""
    return aligned(math.prod(extents) * itemsize)


def _runs(box: Box, far: Shape, near: Shape) -> tuple[int, tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Elements of a contiguous run, two counts, and the strides of the runs on both sides."""
    run, merged = _merged(box, far, near)
    assert len(merged) <= 2, "a box needs at most two strides"
    merged = [(1, 0, 0)] * (2 - len(merged)) + merged
    (count0, far0, near0), (count1, far1, near1) = merged
    return run, (count0, count1), (far0, far1), (near0, near1)


def _merged(box: Box, far: Shape, near: Shape) -> tuple[int, list[tuple[int, int, int]]]:
    """Elements of a contiguous run, and count and strides of the axes that repeat it.

    Inner axes merge into a run as long as both sides are dense over them.
    """
    axes = [(extent, f, n) for (_, extent), f, n in zip(box, far, near, strict=True) if extent > 1]
    run = 1
    while axes and axes[-1][1] == run and axes[-1][2] == run:
        run *= axes.pop()[0]
    merged: list[tuple[int, int, int]] = []
    for extent, f, n in axes:
        if merged and merged[-1][1] == f * extent and merged[-1][2] == n * extent:
            merged[-1] = (merged[-1][0] * extent, f, n)
        else:
            merged.append((extent, f, n))
    return run, merged


def pipeline(emitter: Sink, works: Sequence[Work]) -> None:
    """Emit tiles one after the other, the loads of each before the stores of the one before it."""
    if works:
        _emit(emitter, works[0].loads)
    for i, work in enumerate(works):
        if i + 1 < len(works):
            _emit(emitter, works[i + 1].loads)
        for instruction in work.controls:
            emitter.control(instruction)
        _emit(emitter, work.computes)
        for note in work.notes:
            emitter.note(note)
        _emit(emitter, work.stores)


def _emit(emitter: Sink, planned: Iterable[Planned]) -> None:
    for item in planned:
        emitter.emit(item.instruction, item.reads, item.writes)
