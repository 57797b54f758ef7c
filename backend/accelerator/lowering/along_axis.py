"""Lower what is computed along one axis: tiles cut the axes before and behind it, never the axis itself."""

from __future__ import annotations

from collections.abc import Callable

from reuse_compiler.backend.accelerator.isa import Element, Instruction, Resample, Scan
from reuse_compiler.backend.accelerator.lowering.axis_specs import ResampleSpec, ScanSpec
from reuse_compiler.backend.accelerator.lowering.runs import in_dram, operands_of
from reuse_compiler.backend.accelerator.lowering.specs import Layer
from reuse_compiler.backend.accelerator.lowering.tiling import split_range
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    pipeline,
)

__all__ = ["lower_resample", "lower_scan"]

Build = Callable[[Block, Block, int, int], Instruction]
"""The instruction of a tile: blocks of operand and output, extents of the axes before and behind."""


def lower_scan(context: Context, layer: Layer, spec: ScanSpec) -> None:
    """Emit the instructions of `layer`. Raises StagingTooSmallError where no tile fits the staging region."""
    element = Element.of(layer.inputs[0].dtype)

    def build(x: Block, y: Block, outer: int, inner: int) -> Scan:
        return Scan(
            layer=context.layer,
            reduction=spec.reduction,
            element=element,
            exclusive=int(spec.exclusive),
            reverse=int(spec.reverse),
            x=x.address,
            y=y.address,
            size0=outer,
            size1=spec.sizes[1],
            size2=inner,
            **_strides(x, y),
        )

    _lower(context, layer, spec.sizes, spec.sizes[1], element.bytes, build)


def lower_resample(context: Context, layer: Layer, spec: ResampleSpec) -> None:
    """Emit the instructions of `layer`. Raises StagingTooSmallError where no tile fits the staging region."""
    entries, taps = spec.table.shape

    def build(x: Block, y: Block, outer: int, inner: int) -> Resample:
        return Resample(
            layer=context.layer,
            table=context.constant(context.image.add(spec.table)),
            weights=context.constant(context.image.add(spec.shares)),
            x=x.address,
            y=y.address,
            outer=outer,
            rows=spec.sizes[1],
            entries=entries,
            taps=taps,
            inner=inner,
            **_strides(x, y),
        )

    _lower(context, layer, spec.sizes, entries, 4, build)


def _strides(x: Block, y: Block) -> dict[str, int]:
    fields = {f"x_stride{axis}": stride for axis, stride in enumerate(x.strides)}
    return fields | {f"y_stride{axis}": stride for axis, stride in enumerate(y.strides)}


def _lower(
    context: Context, layer: Layer, sizes: tuple[int, int, int], result: int, itemsize: int, build: Build
) -> None:
    """Emit the tiles of an operand of `sizes` whose axis has `result` elements in the output."""
    data, output = operands_of(context, layer)
    outer, size, inner = sizes
    target = (outer, result, inner)

    def fits(before: int, behind: int) -> bool:
        staged = box_bytes((before, size, behind), itemsize) if in_dram(data) else 0
        staged += box_bytes((before, result, behind), itemsize) if in_dram(output) else 0
        room = context.placement.staging_bytes // (1 if (before, behind) == (outer, inner) else 2)
        return staged <= room - (64 if staged else 0)

    before, behind = outer, inner
    while not fits(before, behind):
        if before == behind == 1:
            raise StagingTooSmallError(layer.name)
        before, behind = (-(-before // 2), behind) if before > 1 else (1, -(-behind // 2))
    tiles = [(first, last) for first in split_range(outer, before) for last in split_range(inner, behind)]
    works = []
    for number, (first, last) in enumerate(tiles):
        work = Work()
        context.half(number, len(tiles))
        x = context.block(work, data, sizes, (first, (0, size), last), itemsize, read=True)
        box = (first, (0, result), last)
        y = context.block(work, output, target, box, itemsize, read=False)
        work.computes.append(Planned(build(x, y, first[1], last[1]), [x.region], [y.region]))
        context.write_back(work, output, y, target, box, itemsize)
        works.append(work)
    pipeline(context.emitter, works)
