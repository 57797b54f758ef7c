"""Lower what the special function unit executes, and copies: functions, element-wise, pooling, concatenation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from reuse_compiler.backend.accelerator.isa import Elementwise, Function, Pool, Special
from reuse_compiler.backend.accelerator.lowering.emitter import Box
from reuse_compiler.backend.accelerator.lowering.graph import (
    ConcatSpec,
    ElementwiseSpec,
    FunctionSpec,
    Layer,
    PoolSpec,
)
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.tiling import ConvTile, conv_tiles, runs
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

__all__ = ["lower_concat", "lower_elementwise", "lower_function", "lower_pool"]


def lower_function(context: Context, layer: Layer, spec: FunctionSpec) -> None:
    """One function over all elements, in parts where an operand lies in DRAM."""
    data, output = _operands(context, layer)
    size = math.prod(layer.outputs[0].shape)
    staged = sum(storage.buffer_address is None for storage in (data, output))
    works = []
    parts = _runs(context, layer, (size,), lambda axis, count: staged * box_bytes((count,), 4))
    for number, part in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        x = context.block(work, data, (size,), part, 4, read=True)
        y = context.block(work, output, (size,), part, 4, read=False)
        work.computes.append(_copy(context, spec, x, y, (1, 1, 1, part[0][1]), (0, 0, 0), (0, 0, 0)))
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
        box = _run(sizes, axis, count)
        spans = [_span(side, box)[1] for storage, side in zip(operands, strides, strict=False) if _in_dram(storage)]
        spans += [math.prod(extent for _, extent in box)] if _in_dram(output) else []
        return sum(box_bytes((span,), 4) for span in spans)

    works = []
    parts = _runs(context, layer, sizes, staged)
    for number, box in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        blocks = [
            context.block(work, storage, (storage.bytes // 4,), (_span(side, box),), 4, read=True)
            for storage, side in zip(operands, strides, strict=False)
        ]
        target = (_span(dense_strides(sizes), box),)
        y = context.block(work, output, (total,), target, 4, read=False)
        instruction = _elementwise(context, spec, blocks, y, box)
        work.computes.append(Planned(instruction, [block.region for block in blocks], [y.region]))
        context.write_back(work, output, y, (total,), target, 4)
        works.append(work)
    pipeline(context.emitter, works)


def _span(strides: tuple[int, ...], box: Box) -> tuple[int, int]:
    """First element that a run of the output reads of an operand, and how many from there on."""
    first = sum(start * stride for (start, _), stride in zip(box, strides, strict=True))
    return first, sum((extent - 1) * stride for (_, extent), stride in zip(box, strides, strict=True)) + 1


def _elementwise(context: Context, spec: ElementwiseSpec, blocks: list[Block], y: Block, box: Box) -> Elementwise:
    sizes = tuple(extent for _, extent in box)
    pad = (1,) * (4 - len(sizes))
    zeros = (0,) * (4 - len(spec.a_strides))
    extents, a, b = (*pad, *sizes), (*zeros, *spec.a_strides), (*zeros, *spec.b_strides)
    if spec.constant is None:
        second = blocks[1].address
    else:
        second = context.constant(context.image.add(spec.constant)) + 4 * _span(spec.b_strides or (0,), box)[0]
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


def lower_pool(context: Context, layer: Layer, spec: PoolSpec) -> None:
    """Pooling in tiles of channels and boxes, as a depthwise convolution would be."""
    data, output = _operands(context, layer)
    geometry = spec.geometry
    source, target = (geometry.in_channels, *geometry.in_shape), (geometry.out_channels, *spec.out_shape)

    def fits(channels: int, box: tuple[int, int, int]) -> bool:
        reach = [
            min((count - 1) * stride + (kernel - 1) * dilation + stride, size)
            for count, stride, kernel, dilation, size in zip(
                box, geometry.strides, geometry.kernel, geometry.dilations, geometry.in_shape, strict=True
            )
        ]
        staged = box_bytes((channels, *reach), 4) if data.buffer_address is None else 0
        staged += box_bytes((channels, *box), 4) if output.buffer_address is None else 0
        whole = channels == geometry.out_channels and box == spec.out_shape
        return staged <= context.placement.staging_bytes // (1 if whole else 2) - (64 if staged else 0)

    tiles = conv_tiles(geometry, 1, geometry.out_channels, fits, channels_outermost=False, out_shape=spec.out_shape)
    if tiles is None:
        raise StagingTooSmallError(layer.name)
    works = []
    for number, tile in enumerate(tiles):
        work = Work()
        context.half(number, len(tiles))
        x = context.block(work, data, source, tile.in_box, 4, read=True)
        y = context.block(work, output, target, tile.out_box, 4, read=False)
        work.computes.append(Planned(_pool(context, spec, tile, x, y), [x.region], [y.region]))
        context.write_back(work, output, y, target, tile.out_box, 4)
        works.append(work)
    pipeline(context.emitter, works)


def _pool(context: Context, spec: PoolSpec, tile: ConvTile, x: Block, y: Block) -> Pool:
    geometry = spec.geometry
    fields: dict[str, int] = {}
    for axis, part in enumerate(tile.axes):
        fields |= {
            f"in{axis}": part.in_size,
            f"out{axis}": part.out_size,
            f"pad{axis}": part.pad,
            f"kernel{axis}": geometry.kernel[axis],
            f"stride{axis}": geometry.strides[axis],
            f"dilation{axis}": geometry.dilations[axis],
        }
    return Pool(
        layer=context.layer,
        pooling=spec.pooling,
        channels=tile.out_channels,
        x=x.address,
        x_stride_c=x.strides[0],
        x_stride0=x.strides[1],
        x_stride1=x.strides[2],
        y=y.address,
        y_stride_c=y.strides[0],
        y_stride0=y.strides[1],
        y_stride1=y.strides[2],
        **fields,
    )


def lower_concat(context: Context, layer: Layer, spec: ConcatSpec) -> None:
    """Copy each operand to its place in the output: by the data master from or to DRAM, else by the function unit."""
    output = context.storages.by_tensor[layer.outputs[0].name]
    target = (spec.outer, sum(spec.widths))
    begin = 0
    for tensor, width in zip(layer.inputs, spec.widths, strict=True):
        data = context.storages.by_tensor[tensor.name]
        source = (spec.outer, width)
        staged = partial(_bytes, source if _in_dram(data) and _in_dram(output) else None)
        works = []
        parts = _runs(context, layer, source, staged)
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
        _copy(context, identity, x, y, (1, 1, rows[1], columns), (0, 0, x.strides[0]), (0, 0, y.strides[0]))
    )


def _copy(
    context: Context,
    spec: FunctionSpec,
    x: Block,
    y: Block,
    sizes: tuple[int, int, int, int],
    x_strides: tuple[int, int, int],
    y_strides: tuple[int, int, int],
) -> Planned:
    fields = {
        **{f"x_stride{axis}": stride for axis, stride in enumerate(x_strides)},
        **{f"y_stride{axis}": stride for axis, stride in enumerate(y_strides)},
        **{f"size{axis}": size for axis, size in enumerate(sizes)},
    }
    function = Function(
        layer=context.layer,
        function=spec.function,
        alpha=spec.alpha,
        beta=spec.beta,
        x=x.address,
        y=y.address,
        **fields,
    )
    return Planned(function, [x.region], [y.region])


def _operands(context: Context, layer: Layer) -> tuple[Storage, Storage]:
    by_tensor = context.storages.by_tensor
    return by_tensor[layer.inputs[0].name], by_tensor[layer.outputs[0].name]


def _in_dram(storage: Storage) -> bool:
    return storage.buffer_address is None


def _run(sizes: tuple[int, ...], axis: int, count: int) -> Box:
    """The box of `count` along `axis`, of all along the axes behind it and of one along those before."""
    return (*[(0, 1)] * axis, (0, count), *((0, size) for size in sizes[axis + 1 :]))


def _bytes(sizes: tuple[int, ...] | None, axis: int, count: int) -> int:
    """Staged bytes of a run of an array; none where it is not staged."""
    return 0 if sizes is None else box_bytes((extent for _, extent in _run(sizes, axis, count)), 4)


def _runs(context: Context, layer: Layer, sizes: tuple[int, ...], staged: Callable[[int, int], int]) -> list[Box]:
    """Runs of an array whose staged bytes, by axis and count along it, one half holds, or all where it is one run."""

    def fits(axis: int, count: int, alone: bool) -> bool:
        needed = staged(axis, count)
        return needed <= context.placement.staging_bytes // (1 if alone else 2) - (64 if needed else 0)

    parts = runs(sizes, fits)
    if parts is None:
        raise StagingTooSmallError(layer.name)
    return parts
