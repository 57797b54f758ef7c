"""Lower element-wise layers of one operand and of two."""

from __future__ import annotations

import math

from reuse_compiler.backend.accelerator.isa import Elementwise
from reuse_compiler.backend.accelerator.lowering.emitter import Box
from reuse_compiler.backend.accelerator.lowering.runs import (
    function_block,
    in_dram,
    operands_of,
    run_box,
    run_boxes,
    span,
)
from reuse_compiler.backend.accelerator.lowering.specs import ElementwiseSpec, FunctionSpec, Layer
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    Work,
    box_bytes,
    dense_strides,
    pipeline,
)

__all__ = ["lower_elementwise", "lower_function"]


def lower_function(context: Context, layer: Layer, spec: FunctionSpec) -> None:
    """One function over all elements, in parts where an operand lies in DRAM."""
    data, output = operands_of(context, layer)
    size = math.prod(layer.outputs[0].shape)
    staged = sum(storage.buffer_address is None for storage in (data, output))
    works = []
    parts = run_boxes(context, layer, (size,), lambda axis, count: staged * box_bytes((count,), 4))
    for number, part in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        x = context.block(work, data, (size,), part, 4, read=True)
        y = context.block(work, output, (size,), part, 4, read=False)
        work.computes.append(function_block(context, spec, x, y, (1, 1, 1, part[0][1]), (0, 0, 0), (0, 0, 0)))
        context.write_back(work, output, y, (size,), part, 4)
        works.append(work)
    pipeline(context.emitter, works)


def lower_elementwise(context: Context, layer: Layer, spec: ElementwiseSpec) -> None:
    """One function of two operands, in runs of the output where one lies in DRAM."""
    by_tensor = context.storages.by_tensor
    output = by_tensor[layer.outputs[0].name]
    operands = [by_tensor[tensor.name] for tensor in layer.inputs]
    sizes, total = spec.sizes or (1,), math.prod(spec.sizes)
    strides = [side or (0,) for side in (spec.a_strides, spec.b_strides)]

    def staged(axis: int, count: int) -> int:
        box = run_box(sizes, axis, count)
        spans = [span(side, box)[1] for storage, side in zip(operands, strides, strict=False) if in_dram(storage)]
        spans += [math.prod(extent for _, extent in box)] if in_dram(output) else []
        return sum(box_bytes((span,), 4) for span in spans)

    works = []
    parts = run_boxes(context, layer, sizes, staged)
    for number, box in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        blocks = [
            context.block(work, storage, (storage.bytes // 4,), (span(side, box),), 4, read=True)
            for storage, side in zip(operands, strides, strict=False)
        ]
        target = (span(dense_strides(sizes), box),)
        y = context.block(work, output, (total,), target, 4, read=False)
        instruction = _elementwise(context, spec, blocks, y, box)
        work.computes.append(Planned(instruction, [block.region for block in blocks], [y.region]))
        context.write_back(work, output, y, (total,), target, 4)
        works.append(work)
    pipeline(context.emitter, works)


def _elementwise(context: Context, spec: ElementwiseSpec, blocks: list[Block], y: Block, box: Box) -> Elementwise:
    sizes = tuple(extent for _, extent in box)
    pad = (1,) * (4 - len(sizes))
    zeros = (0,) * (4 - len(spec.a_strides))
    extents, a, b = (*pad, *sizes), (*zeros, *spec.a_strides), (*zeros, *spec.b_strides)
    if spec.constant is None:
        second = blocks[1].address
    else:
        second = context.constant(context.image.add(spec.constant)) + 4 * span(spec.b_strides or (0,), box)[0]
    fields = {
        **{f"size{axis}": extent for axis, extent in enumerate(extents)},
        **{f"a_stride{axis}": stride for axis, stride in enumerate(a)},
        **{f"b_stride{axis}": stride for axis, stride in enumerate(b)},
        **{f"y_stride{axis}": stride for axis, stride in enumerate(dense_strides(extents))},
    }
    return Elementwise(
        layer=context.layer,
        function=spec.function,
        constant=0 if spec.constant is None else 1,
        swapped=1 if spec.swapped else 0,
        a=blocks[0].address,
        b=second,
        y=y.address,
        **fields,
    )
