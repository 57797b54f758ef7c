"""Lower layers that only move elements."""

from __future__ import annotations

from functools import partial

from reuse_compiler.backend.accelerator.isa import Special
from reuse_compiler.backend.accelerator.lowering.emitter import Box
from reuse_compiler.backend.accelerator.lowering.runs import (
    function_block,
    in_dram,
    run_boxes,
    run_bytes,
)
from reuse_compiler.backend.accelerator.lowering.specs import ConcatSpec, FunctionSpec, Layer
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.work import (
    Context,
    Work,
    pipeline,
)

__all__ = ["lower_concat"]


def lower_concat(context: Context, layer: Layer, spec: ConcatSpec) -> None:
    """Copy each operand to its place in the output: by the data master from or to DRAM, else by the function unit."""
    output = context.storages.by_tensor[layer.outputs[0].name]
    target = (spec.outer, sum(spec.widths))
    begin = 0
    for tensor, width in zip(layer.inputs, spec.widths, strict=True):
        data = context.storages.by_tensor[tensor.name]
        source = (spec.outer, width)
        staged = partial(run_bytes, source if in_dram(data) and in_dram(output) else None)
        works = []
        parts = run_boxes(context, layer, source, staged)
        for number, part in enumerate(parts):
            work = Work()
            context.half(number, len(parts))
            _join(context, work, data, output, source, target, part, begin)
            works.append(work)
        pipeline(context.emitter, works)
        begin += width


def _join(
    context: Context,
    work: Work,
    data: Storage,
    output: Storage,
    source: tuple[int, int],
    target: tuple[int, int],
    part: Box,
    begin: int,
) -> None:
    """Copy `part` of one operand into the output, `begin` columns further."""
    rows, (column, columns) = part
    box = (rows, (begin + column, columns))
    if data.buffer_address is None and output.buffer_address is not None:
        place = context.block(work, output, target, box, 4, read=False)
        work.loads.append(context.load(data, place, source, part, 4))
        return
    x = context.block(work, data, source, part, 4, read=True)
    if output.buffer_address is None:
        context.write_back(work, output, x, target, box, 4)
        return
    y = context.block(work, output, target, box, 4, read=False)
    identity = FunctionSpec(Special.IDENTITY)
    work.computes.append(
        function_block(context, identity, x, y, (1, 1, rows[1], columns), (0, 0, x.strides[0]), (0, 0, y.strides[0]))
    )
