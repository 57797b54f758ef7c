"""Lower pooling layers."""

from __future__ import annotations

from reuse_compiler.backend.accelerator.isa import Pool
from reuse_compiler.backend.accelerator.lowering.runs import (
    operands_of,
)
from reuse_compiler.backend.accelerator.lowering.specs import Layer, PoolSpec
from reuse_compiler.backend.accelerator.lowering.tiling import ConvTile, conv_tiles
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    pipeline,
)

__all__ = ["lower_pool"]


def lower_pool(context: Context, layer: Layer, spec: PoolSpec) -> None:
    """Pooling in tiles of channels and boxes, as a depthwise convolution would be."""
    data, output = operands_of(context, layer)
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
        reach = (part.out_size - 1) * geometry.strides[axis]
        reach += (geometry.kernel[axis] - 1) * geometry.dilations[axis] + 1
        beyond = geometry.in_shape[axis] - part.in_start - part.in_size
        fields |= {
            f"behind{axis}": max(min(reach - part.pad - part.in_size, beyond + geometry.pads_end[axis]), 0),
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
