"""Lower what the special function unit executes, and copies: functions, element-wise, pooling, concatenation."""

from __future__ import annotations

import math

from reuse_compiler.backend.accelerator.isa import Elementwise, Function, Pool, Special
from reuse_compiler.backend.accelerator.lowering.emitter import Box, Region
from reuse_compiler.backend.accelerator.lowering.graph import (
    ConcatSpec,
    ElementwiseSpec,
    FunctionSpec,
    Layer,
    PoolSpec,
)
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.tiling import ConvTile, conv_tiles, split_range
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
    works = []
    parts = split_range(size, _part(context, layer, size, 4 * sum(s.buffer_address is None for s in (data, output))))
    for number, part in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        x = context.block(work, data, (size,), (part,), 4, read=True)
        y = context.block(work, output, (size,), (part,), 4, read=False)
        work.computes.append(_copy(context, spec, x, y, (1, 1, 1, part[1]), (0, 0, 0), (0, 0, 0)))
        context.write_back(work, output, y, (size,), (part,), 4)
        works.append(work)
    pipeline(context.emitter, works)


def lower_elementwise(context: Context, layer: Layer, spec: ElementwiseSpec) -> None:
    """One function of two operands, in parts along the outermost axis where an operand lies in DRAM."""
    by_tensor = context.storages.by_tensor
    output = by_tensor[layer.outputs[0].name]
    operands = [by_tensor[tensor.name] for tensor in layer.inputs]
    strides = [spec.a_strides, spec.b_strides][: len(operands)]
    sizes = spec.sizes or (1,)
    steps = [side or (0,) for side in strides]
    per_row = sum(
        4 * (side[0] or storage.bytes // 4) for storage, side in zip(operands, steps, strict=True)
        if storage.buffer_address is None
    )  # fmt: skip
    row = math.prod(sizes[1:])
    per_row += 4 * row if output.buffer_address is None else 0
    parts = split_range(sizes[0], _part(context, layer, sizes[0], per_row, fixed=192))
    works = []
    for number, (start, count) in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        blocks = [
            _rows(context, work, storage, side[0], start, count) for storage, side in zip(operands, steps, strict=True)
        ]
        total = math.prod(sizes)
        box = ((start * row, count * row),)
        y = context.block(work, output, (total,), box, 4, read=False)
        instruction, reads = _elementwise(context, spec, blocks, y, (count, *sizes[1:]), start)
        work.computes.append(Planned(instruction, reads, [y.region]))
        context.write_back(work, output, y, (total,), box, 4)
        works.append(work)
    pipeline(context.emitter, works)


def _rows(context: Context, work: Work, storage: Storage, stride: int, start: int, count: int) -> Block:
    """The part of an operand that rows start..start+count-1 read: all of it where it is repeated along them."""
    size = storage.bytes // 4
    part = (start * stride, count * stride) if stride else (0, size)
    return context.block(work, storage, (size,), (part,), 4, read=True)


def _elementwise(
    context: Context, spec: ElementwiseSpec, blocks: list[Block], y: Block, sizes: tuple[int, ...], start: int
) -> tuple[Elementwise, list[Region]]:
    pad = (1,) * (4 - len(sizes))
    zeros = (0,) * (4 - len(spec.a_strides))
    extents, a, b = (*pad, *sizes), (*zeros, *spec.a_strides), (*zeros, *spec.b_strides)
    reads = [block.region for block in blocks]
    if spec.constant is None:
        second = blocks[1].address
    else:
        base = context.constant(context.image.add(spec.constant))
        second = base + 4 * start * (spec.b_strides[0] if spec.b_strides else 0)
    fields = {
        **{f"size{axis}": extent for axis, extent in enumerate(extents)},
        **{f"a_stride{axis}": stride for axis, stride in enumerate(a)},
        **{f"b_stride{axis}": stride for axis, stride in enumerate(b)},
        **{f"y_stride{axis}": stride for axis, stride in enumerate(dense_strides(extents))},
    }
    instruction = Elementwise(
        layer=context.layer,
        function=spec.function,
        constant=0 if spec.constant is None else 1,
        swapped=1 if spec.swapped else 0,
        a=blocks[0].address,
        b=second,
        y=y.address,
        **fields,
    )
    return instruction, reads


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
        staged = data.buffer_address is None and output.buffer_address is None
        rows, columns = (spec.outer, width) if spec.outer > 1 else (width, 1)
        parts = split_range(rows, _part(context, layer, rows, 4 * columns if staged else 0))
        works = []
        for number, (start, count) in enumerate(parts):
            work = Work()
            context.half(number, len(parts))
            if spec.outer > 1:
                _join(context, work, data, output, (rows, width), target, ((start, count), (0, width)), begin)
            else:
                _join(context, work, data, output, (1, width), target, ((0, 1), (start, count)), begin)
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


def _part(context: Context, layer: Layer, size: int, row_bytes: int, fixed: int = 128) -> int:
    """How many of `size` rows of `row_bytes` staged bytes a part may have."""
    if row_bytes == 0:
        return size
    if size * row_bytes + fixed <= context.placement.staging_bytes:
        return size
    rows = (context.placement.staging_bytes // 2 - fixed) // row_bytes
    if rows < 1:
        raise StagingTooSmallError(layer.name)
    return int(rows)
