"""Lower a convolution: tiles of dense or delta instructions, each followed by its activation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa import ConfigureConv, DeltaConv, DenseConv, Function, Special
from reuse_compiler.backend.accelerator.lowering.emitter import Region
from reuse_compiler.backend.accelerator.lowering.quantizing import configure_quantizer, quantize_shared
from reuse_compiler.backend.accelerator.lowering.specs import ConvSpec, Layer
from reuse_compiler.backend.accelerator.lowering.storage import State, Storage
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
from reuse_compiler.errors import HardwareError
from reuse_compiler.operators import Activation

__all__ = ["lower_conv", "smallest_weight_tile"]

Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Operand:
    """A storage that a tile reads or writes, seen as [channels, axis 0, 1, 2]."""

    storage: Storage
    shape: tuple[int, ...]
    itemsize: int
    is_input: bool


def smallest_weight_tile(spec: ConvSpec, lanes: int) -> int:
    """Bytes of the smallest range of output channels that a tile may have."""
    return min(lanes, spec.geometry.outputs_per_group) * math.prod(spec.weight.shape[1:]) * 4


def lower_conv(context: Context, layer: Layer, spec: ConvSpec) -> None:
    """Emit the instructions of `layer`. Raises StagingTooSmallError where no tile fits the staging region."""
    geometry = spec.geometry
    state = context.storages.states[layer.name] if context.reuse and spec.quantizer else None
    if state is not None:
        assert spec.quantizer is not None
        configure_quantizer(context, spec.quantizer)
        quantize_shared(context, layer, state, (1, geometry.in_channels, math.prod(geometry.in_shape)), spec.quantizer)
    context.emitter.control(
        ConfigureConv(
            layer=context.layer,
            kernel0=geometry.kernel[0],
            kernel1=geometry.kernel[1],
            kernel2=geometry.kernel[2],
            stride0=geometry.strides[0],
            stride1=geometry.strides[1],
            stride2=geometry.strides[2],
            dilation0=geometry.dilations[0],
            dilation1=geometry.dilations[1],
            dilation2=geometry.dilations[2],
        )
    )
    weights = context.image.add(spec.weight)
    streamed = context.is_streamed(weights)
    tiles = conv_tiles(
        geometry,
        context.tiling.lanes,
        _most_channels(context, spec, streamed),
        lambda channels, box: _fits(context, spec, _operands(context, layer, spec, state), channels, box),
        channels_outermost=streamed,
    )
    if tiles is None:
        smallest = min(context.tiling.lanes, geometry.outputs_per_group) * geometry.out_shape[2]
        if smallest > context.tiling.accumulators:
            raise HardwareError(
                f"layer {layer.name}: its smallest tile has {smallest:,} outputs, hardware {context.tiling.hardware} has"
                f" {context.tiling.accumulators:,} accumulators: use hardware with more"
            )
        raise StagingTooSmallError(layer.name)
    pipeline(context.emitter, [_tile(context, layer, spec, state, tile, i, tiles) for i, tile in enumerate(tiles)])


def _operands(context: Context, layer: Layer, spec: ConvSpec, state: State | None) -> list[_Operand]:
    geometry = spec.geometry
    source = (geometry.in_channels, *geometry.in_shape)
    target = (geometry.out_channels, *geometry.out_shape)
    output = _Operand(context.storages.by_tensor[layer.outputs[0].name], target, 4, is_input=False)
    data = _Operand(context.storages.by_tensor[layer.inputs[0].name], source, 4, is_input=True)
    if state is None:
        return [data, output]
    assert spec.quantizer is not None
    size = spec.quantizer.index_dtype.itemsize
    index = _Operand(state.index, source, size, is_input=True)
    linear = _Operand(state.linear, target, 4, is_input=False)
    first = data if state.list is None else _Operand(state.list, source, size, is_input=True)
    return [first, index, linear] if output.storage is linear.storage else [first, index, linear, output]


def _fits(context: Context, spec: ConvSpec, operands: list[_Operand], channels: int, box: tuple[int, int, int]) -> bool:
    """Whether the accumulators hold the outputs of a tile, and the staging region what lies in DRAM."""
    geometry = spec.geometry
    if channels * math.prod(box) > context.tiling.accumulators:
        return False
    reach = [
        min((count - 1) * stride + (kernel - 1) * dilation + stride, size)
        for count, stride, kernel, dilation, size in zip(
            box, geometry.strides, geometry.kernel, geometry.dilations, geometry.in_shape, strict=True
        )
    ]
    groups = max(channels // geometry.outputs_per_group, 1)
    staged = sum(
        box_bytes((groups * geometry.inputs_per_group, *reach) if o.is_input else (channels, *box), o.itemsize)
        for o in operands
        if o.storage.buffer_address is None
    )
    whole = channels == geometry.out_channels and tuple(box) == geometry.out_shape
    return staged <= context.placement.staging_bytes // (1 if whole else 2) - (64 if staged else 0)


def _most_channels(context: Context, spec: ConvSpec, streamed: bool) -> int:
    if not streamed:
        return spec.geometry.out_channels
    return min(spec.geometry.out_channels, context.residency.staging_half // (math.prod(spec.weight.shape[1:]) * 4))


def _tile(
    context: Context,
    layer: Layer,
    spec: ConvSpec,
    state: State | None,
    tile: ConvTile,
    number: int,
    tiles: list[ConvTile],
) -> Work:
    work = Work()
    context.half(number, len(tiles))
    geometry = spec.geometry
    source = (geometry.in_channels, *geometry.in_shape)
    target = (geometry.out_channels, *geometry.out_shape)
    weights, weight_region = _weights(context, spec, work, tile, number, tiles)
    data = context.storages.by_tensor[layer.inputs[0].name]
    output = context.storages.by_tensor[layer.outputs[0].name]
    position = {
        "layer": context.layer,
        "weights": weights,
        "in_channels": tile.in_channels,
        "out_channels": tile.out_channels,
        "group": tile.group,
        **{f"in{a}": axis.in_size for a, axis in enumerate(tile.axes)},
        **{f"out{a}": axis.out_size for a, axis in enumerate(tile.axes)},
        **{f"pad{a}": axis.pad for a, axis in enumerate(tile.axes)},
    }
    if state is None:
        x = context.block(work, data, source, tile.in_box, 4, read=True)
        z = context.block(work, output, target, tile.out_box, 4, read=False)
        bias = context.constant(context.image.add(spec.bias))
        start = 4 * tile.out_channel
        dense = DenseConv(**position, bias=bias + start, **_strided("x", x), **_strided("z", z))
        work.computes.append(Planned(dense, [x.region, *weight_region], [z.region]))
        _activate(context, work, spec.activation, z, z, tile)
        context.write_back(work, output, z, target, tile.out_box, 4)
        return work
    _delta(context, work, spec, state, tile, position, weight_region, data)
    return _finish(context, work, spec, state, output, tile)


def _delta(
    context: Context,
    work: Work,
    spec: ConvSpec,
    state: State,
    tile: ConvTile,
    position: dict[str, int],
    weight_region: list[Region],
    data: Storage,
) -> None:
    """The delta instruction of a tile, with the loads and stores of its indices."""
    assert spec.quantizer is not None
    geometry, size = spec.geometry, spec.quantizer.index_dtype.itemsize
    source = (geometry.in_channels, *geometry.in_shape)
    target = (geometry.out_channels, *geometry.out_shape)
    commits = tuple(tile.commit) if all(tile.commit) else (0, 0, 0)
    index = context.block(work, state.index, source, tile.in_box, size, read=True)
    reads, writes = [index.region, *weight_region], []
    if state.list is None:
        x = context.block(work, data, source, tile.in_box, 4, read=True)
        position |= _strided("x", x)
        reads.append(x.region)
    else:
        past = context.block(work, state.list, source, tile.in_box, size, read=True)
        position |= {"listed": 1, **_strided("list", past)}
        reads.append(past.region)
    z = context.block(work, state.linear, target, tile.out_box, 4, read=True)
    reads.append(z.region)
    writes.append(z.region)
    committed = tuple((start, extent) for (start, _), extent in zip(tile.in_box[1:], commits, strict=True))
    front = (tile.in_box[0], *committed)
    if state.list is None and any(commits):
        at = context.committed(index, state.index, source, front, size)
        writes.append(at)
        context.write_back(work, state.index, index, source, front, size)
    delta = DeltaConv(
        **position,
        channel=tile.in_channel,
        **{f"commit{a}": extent for a, extent in enumerate(commits)},
        **_strided("index", index),
        **_strided("z", z),
    )
    work.computes.append(Planned(delta, reads, writes))
    work.linear = z


def _finish(context: Context, work: Work, spec: ConvSpec, state: State, output: Storage, tile: ConvTile) -> Work:
    """Store the linear outputs, and apply the activation from them to the output."""
    target = (spec.geometry.out_channels, *spec.geometry.out_shape)
    assert work.linear is not None
    if output is not state.linear:
        y = context.block(work, output, target, tile.out_box, 4, read=False)
        _activate(context, work, spec.activation, work.linear, y, tile)
        context.write_back(work, output, y, target, tile.out_box, 4)
    context.write_back(work, state.linear, work.linear, target, tile.out_box, 4)
    return work


def _weights(
    context: Context, spec: ConvSpec, work: Work, tile: ConvTile, number: int, tiles: list[ConvTile]
) -> tuple[int, list[Region]]:
    """eDRAM address of the tile's weights, and their bytes where they stream: a range is loaded with its first tile."""
    constant = context.image.add(spec.weight)
    each = math.prod(spec.weight.shape[1:]) * 4
    start, size = tile.out_channel * each, tile.out_channels * each
    if not context.is_streamed(constant):
        return context.constant(constant) + start, []
    ranges = list(dict.fromkeys(other.out_channel for other in tiles))
    half = ranges.index(tile.out_channel)
    if number and tiles[number - 1].out_channel == tile.out_channel:
        return context.streamed(half, size)
    return context.stream(work, constant, half, start, size)


def _activate(context: Context, work: Work, activation: Activation, z: Block, y: Block, tile: ConvTile) -> None:
    if activation == Activation():
        return
    extents = [extent for _, extent in tile.out_box]
    ramp = Function(
        layer=context.layer,
        function=Special.RAMP,
        alpha=activation.slope,
        beta=activation.maximum,
        x=z.address,
        **{f"x_stride{axis}": z.strides[axis] for axis in range(3)},
        y=y.address,
        **{f"y_stride{axis}": y.strides[axis] for axis in range(3)},
        **{f"size{axis}": extent for axis, extent in enumerate(extents)},
    )
    work.computes.append(Planned(ramp, [z.region], [y.region]))


def _strided(name: str, block: Block) -> dict[str, int]:
    """Address and stride fields of an operand."""
    return {
        name: block.address,
        f"{name}_stride_c": block.strides[0],
        f"{name}_stride0": block.strides[1],
        f"{name}_stride1": block.strides[2],
    }
