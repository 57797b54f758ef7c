"""Lower reductions."""

from __future__ import annotations

import itertools
from functools import partial

from reuse_compiler.backend.accelerator.isa import Reduce
from reuse_compiler.backend.accelerator.lowering.emitter import Box
from reuse_compiler.backend.accelerator.lowering.runs import in_dram, operands_of, run_box, run_boxes
from reuse_compiler.backend.accelerator.lowering.specs import NUMBERS, Layer, ReduceSpec
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    pipeline,
)

__all__ = ["lower_reduce"]


def lower_reduce(context: Context, layer: Layer, spec: ReduceSpec) -> None:
    """Fold runs of the operand; those that belong to the same outputs follow each other and accumulate."""
    data, output = operands_of(context, layer)

    def staged(axis: int, count: int) -> int:
        box = run_box(spec.sizes, axis, count)
        x = box_bytes((extent for _, extent in box), spec.element.bytes) if in_dram(data) else 0
        return x + (_output_bytes(spec, box) if in_dram(output) else 0)

    boxes = run_boxes(context, layer, spec.sizes, staged)
    order = partial(_kept, spec)
    groups = [list(group) for _, group in itertools.groupby(sorted(boxes, key=order), order)]
    accumulates = len(groups) < len(boxes)
    if accumulates and spec.reduction in NUMBERS:
        raise StagingTooSmallError(layer.name)
    reserved = _output_bytes(spec, boxes[0]) if accumulates and in_dram(output) else 0
    works, number = [], 0
    for group in groups:
        kept: Block | None = None
        for box in group:
            work, last = Work(), box is group[-1]
            if reserved and kept is None:
                context.half(0, 1)
                kept = context.block(work, output, spec.kept, _kept(spec, box), spec.result.bytes, read=False)
            context.half(number, len(boxes), reserved)
            x = context.block(work, data, spec.sizes, box, spec.element.bytes, read=True)
            y = kept or context.block(work, output, spec.kept, _kept(spec, box), spec.result.bytes, read=False)
            accumulate = box is not group[0]
            reads = [x.region, y.region] if accumulate else [x.region]
            work.computes.append(Planned(_reduce(context, spec, x, y, box, accumulate), reads, [y.region]))
            if last:
                context.write_back(work, output, y, spec.kept, _kept(spec, box), spec.result.bytes)
            works.append(work)
            number += 1
    pipeline(context.emitter, works)


def _kept(spec: ReduceSpec, box: Box) -> Box:
    """The box of outputs of a box of the operand."""
    return tuple(part for part, folded in zip(box, spec.folded, strict=True) if not folded)


def _output_bytes(spec: ReduceSpec, box: Box) -> int:
    return box_bytes((extent for _, extent in _kept(spec, box)), spec.result.bytes)


def _reduce(context: Context, spec: ReduceSpec, x: Block, y: Block, box: Box, accumulate: bool) -> Reduce:
    """The instruction of one run: its axes that stay, then those that are folded, each filled up to two."""
    axes = [(extent, stride) for (_, extent), stride in zip(box, x.strides, strict=True)]
    kept = [axis for axis, folded in zip(axes, spec.folded, strict=True) if not folded]
    gone = [axis for axis, folded in zip(axes, spec.folded, strict=True) if folded]
    one = [(1, 0)] * 2
    sizes, strides = zip(*[*one[len(kept) :], *kept, *one[len(gone) :], *gone], strict=True)
    targets = [*[0] * (2 - len(kept)), *y.strides]
    fields = {
        **{f"size{axis}": size for axis, size in enumerate(sizes)},
        **{f"x_stride{axis}": stride for axis, stride in enumerate(strides)},
        **{f"y_stride{axis}": stride for axis, stride in enumerate(targets)},
    }
    return Reduce(
        layer=context.layer,
        reduction=spec.reduction,
        element=spec.element,
        result=spec.result,
        scale=spec.scale,
        accumulate=1 if accumulate else 0,
        x=x.address,
        y=y.address,
        **fields,
    )
