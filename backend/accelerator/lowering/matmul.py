"""Lower products of matrices that are computed at run time: tiles of matrices, then of rows, outputs and inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from reuse_compiler.backend.accelerator.isa import DenseMatmul
from reuse_compiler.backend.accelerator.lowering.emitter import Box, Region
from reuse_compiler.backend.accelerator.lowering.runs import in_dram
from reuse_compiler.backend.accelerator.lowering.specs import Layer, MatmulSpec
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.tiling import split_range
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    dense_strides,
    pipeline,
)

__all__ = ["lower_matmul"]

Part = tuple[int, int]  # (start, size)

_DEEP = 64  # inputs of a tile for each of its rows or outputs, above which its inputs are cut instead


@dataclass(frozen=True)
class _Steps:
    """The most of each axis that a tile has."""

    matrices0: int
    matrices1: int
    rows: int
    outputs: int
    inputs: int


@dataclass(frozen=True)
class _Operand:
    """One of x, W and z as an array of four axes: which parts of a tile lie along each."""

    storage: Storage | None  # None: a constant in the eDRAM
    matrices: tuple[int, int]
    rows: int
    columns: int
    transposed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        matrix = (self.columns, self.rows) if self.transposed else (self.rows, self.columns)
        return (*self.matrices, *matrix)

    def box(self, matrices: tuple[Part, Part], rows: Part, columns: Part) -> Box:
        """Where a tile lies in it; along an axis where matrices repeat there is but one."""
        many = [(0, 1) if size == 1 else part for size, part in zip(self.matrices, matrices, strict=True)]
        return (*many, columns, rows) if self.transposed else (*many, rows, columns)

    def bytes(self, steps: _Steps, rows: int, columns: int) -> int:
        """Bytes of the staging region that a tile of it takes."""
        if self.storage is None or not in_dram(self.storage):
            return 0
        box = self.box(((0, steps.matrices0), (0, steps.matrices1)), (0, rows), (0, columns))
        return box_bytes((extent for _, extent in box), 4)

    def strides(self, strides: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Elements between matrices, rows and columns in a block with `strides`; zero where matrices repeat."""
        first, second = (0 if size == 1 else stride for size, stride in zip(self.matrices, strides[:2], strict=True))
        return (first, second, strides[3], strides[2]) if self.transposed else (first, second, strides[2], strides[3])


def lower_matmul(context: Context, layer: Layer, spec: MatmulSpec) -> None:
    """Emit the instructions of `layer`. Raises StagingTooSmallError where no tile fits the staging region."""
    by_tensor = context.storages.by_tensor
    weight = None if spec.weight is not None else by_tensor[layer.inputs[1].name]
    x = _Operand(by_tensor[layer.inputs[0].name], spec.x_matrices, spec.rows, spec.inputs, spec.x_transposed)
    w = _Operand(weight, spec.w_matrices, spec.inputs, spec.outputs, spec.w_transposed)
    z = _Operand(by_tensor[layer.outputs[0].name], spec.matrices, spec.rows, spec.outputs, spec.z_transposed)
    steps = _steps(context, spec, x, w, z)
    if steps is None:
        raise StagingTooSmallError(layer.name)
    pipeline(context.emitter, _works(context, spec, steps, x, w, z))


def _steps(context: Context, spec: MatmulSpec, x: _Operand, w: _Operand, z: _Operand) -> _Steps | None:
    """The first of the tiles below that the staging region holds, or None."""
    everything = _Steps(*spec.matrices, spec.rows, spec.outputs, spec.inputs)
    for steps in _tiles(everything, context.tiling.accumulators, context.tiling.lanes):
        staged = x.bytes(steps, steps.rows, steps.inputs) + w.bytes(steps, steps.inputs, steps.outputs)
        staged += z.bytes(steps, steps.rows, steps.outputs)
        room = context.placement.staging_bytes // (1 if steps == everything else 2)
        if staged <= room - (64 if staged else 0):
            return steps
    return None


def _tiles(steps: _Steps, accumulators: int, lanes: int) -> Iterator[_Steps]:
    """Tiles to try, ever smaller: fewer matrices, then parts of one, cut along rows and outputs before inputs."""
    while steps.rows * steps.outputs > accumulators:
        wide = steps.outputs > max(steps.rows, lanes)
        steps = replace(steps, outputs=_half(steps.outputs)) if wide else replace(steps, rows=_half(steps.rows))
    yield steps
    while steps.matrices0 > 1:
        yield (steps := replace(steps, matrices0=_half(steps.matrices0)))
    while steps.matrices1 > 1:
        yield (steps := replace(steps, matrices1=_half(steps.matrices1)))
    while max(steps.rows, steps.outputs, steps.inputs) > 1:
        if steps.inputs > max(steps.rows, steps.outputs) * _DEEP or max(steps.rows, steps.outputs) == 1:
            steps = replace(steps, inputs=_half(steps.inputs))
        elif steps.rows >= steps.outputs:
            steps = replace(steps, rows=_half(steps.rows))
        else:
            steps = replace(steps, outputs=_half(steps.outputs))
        yield steps


def _half(size: int) -> int:
    return -(-size // 2)


def _works(context: Context, spec: MatmulSpec, steps: _Steps, x: _Operand, w: _Operand, z: _Operand) -> list[Work]:
    """One work for each tile; the tiles of the same outputs follow each other and accumulate."""
    outer = list(
        itertools.product(
            split_range(spec.matrices[0], steps.matrices0),
            split_range(spec.matrices[1], steps.matrices1),
            split_range(spec.rows, steps.rows),
            split_range(spec.outputs, steps.outputs),
        )
    )
    parts = split_range(spec.inputs, steps.inputs)
    reserved = z.bytes(steps, steps.rows, steps.outputs) if len(parts) > 1 else 0
    assert x.storage is not None
    assert z.storage is not None
    works: list[Work] = []
    for first, second, rows, outputs in outer:
        many, target = (first, second), z.box((first, second), rows, outputs)
        kept: Block | None = None
        if reserved:
            context.half(0, 1)
            kept = context.block(Work(), z.storage, z.shape, target, 4, read=False)
        for part in parts:
            work = Work()
            context.half(len(works), len(outer) * len(parts), reserved)
            a = context.block(work, x.storage, x.shape, x.box(many, rows, part), 4, read=True)
            b, b_strides, regions = _weight(context, spec, work, w, w.box(many, part, outputs))
            c = kept or context.block(work, z.storage, z.shape, target, 4, read=False)
            fields = {
                **{f"x_stride{axis}": stride for axis, stride in enumerate(x.strides(a.strides))},
                **{f"w_stride{axis}": stride for axis, stride in enumerate(w.strides(b_strides))},
                **{f"z_stride{axis}": stride for axis, stride in enumerate(z.strides(c.strides))},
            }
            accumulate = part != parts[0]
            dense = DenseMatmul(
                layer=context.layer,
                x=a.address,
                w=b,
                z=c.address,
                matrices0=first[1],
                matrices1=second[1],
                rows=rows[1],
                inputs=part[1],
                outputs=outputs[1],
                constant=1 if w.storage is None else 0,
                accumulate=1 if accumulate else 0,
                **fields,
            )
            reads = [a.region, *regions, *([c.region] if accumulate else [])]
            work.computes.append(Planned(dense, reads, [c.region]))
            if part == parts[-1]:
                context.write_back(work, z.storage, c, z.shape, target, 4)
            works.append(work)
    return works


def _weight(
    context: Context, spec: MatmulSpec, work: Work, w: _Operand, box: Box
) -> tuple[int, tuple[int, ...], list[Region]]:
    """Byte address and strides of a tile of W, and the bytes of the buffer that hold it."""
    if w.storage is not None:
        block = context.block(work, w.storage, w.shape, box, 4, read=True)
        return block.address, block.strides, [block.region]
    assert spec.weight is not None
    strides = dense_strides(w.shape)
    first = sum(start * stride for (start, _), stride in zip(box, strides, strict=True))
    return context.constant(context.image.add(spec.weight)) + 4 * first, strides, []
