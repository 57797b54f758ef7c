"""Lower a convolution: tiles of dense or delta instructions, each followed by its activation.

Every image of a batch has the same tiles. A range of weights that streams is loaded once for all images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

from reuse_compiler.backend.accelerator.isa import ConfigureConv, DeltaConv, DenseConv, Function, Special
from reuse_compiler.backend.accelerator.lowering.emitter import Region
from reuse_compiler.backend.accelerator.lowering.quantizing import configure_quantizer, quantize_shared
from reuse_compiler.backend.accelerator.lowering.specs import ConvSpec, Layer
from reuse_compiler.backend.accelerator.lowering.storage import State, Storage
from reuse_compiler.backend.accelerator.lowering.tiling import ConvTile, conv_tiles, most_inputs
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    pipeline,
)
from reuse_compiler.operators import Activation

__all__ = ["lower_conv", "smallest_weight_tile"]

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Operand:
    """A storage that a tile reads or writes."""

    storage: Storage
    itemsize: int
    is_input: bool


@dataclass(frozen=True)
class _Tile:
    """A tile of one image of a batch. Operands are seen as [channels, 3 axes], or [images, channels, 3 axes] of a batch."""

    spec: ConvSpec
    image: int
    part: ConvTile

    @property
    def source(self) -> tuple[int, ...]:
        """The shape of the input."""
        return (*self._batch, self.spec.geometry.in_channels, *self.spec.geometry.in_shape)

    @property
    def target(self) -> tuple[int, ...]:
        """The shape of the output."""
        return (*self._batch, self.spec.geometry.out_channels, *self.spec.geometry.out_shape)

    @property
    def in_box(self) -> Box:
        """(start, size) per axis of the input."""
        return self._placed(self.part.in_box)

    @property
    def out_box(self) -> Box:
        """(start, size) per axis of the output."""
        return self._placed(self.part.out_box)

    @property
    def committed(self) -> Box:
        """(start, size) per axis of the part of the input that no later tile reads; empty where there is none."""
        extents = self.part.commit if all(self.part.commit) else (0, 0, 0)
        starts = (start for start, _ in self.part.in_box[1:])
        return self._placed((self.part.in_box[0], *zip(starts, extents, strict=True)))

    @property
    def _batch(self) -> tuple[int, ...]:
        return (self.spec.batch,) if self.spec.batch > 1 else ()

    def _placed(self, box: Box) -> Box:
        return ((self.image, 1), *box) if self.spec.batch > 1 else box


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
        quantize_shared(
            context, layer, state, (spec.batch, geometry.in_channels, math.prod(geometry.in_shape)), spec.quantizer
        )
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
            transposed=int(geometry.transposed),
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
        raise StagingTooSmallError(layer.name)
    placed = _in_order(spec, tiles, streamed)
    pipeline(context.emitter, [_tile(context, layer, state, placed, number) for number in range(len(placed))])


def _in_order(spec: ConvSpec, tiles: list[ConvTile], streamed: bool) -> list[_Tile]:
    """The tiles of all images: one image after the other, or, where weights stream, so inside each range of channels."""
    ranges = [list(part) for _, part in groupby(tiles, lambda tile: tile.out_channel)] if streamed else [tiles]
    return [_Tile(spec, image, tile) for part in ranges for image in range(spec.batch) for tile in part]


def _operands(context: Context, layer: Layer, spec: ConvSpec, state: State | None) -> list[_Operand]:
    output = _Operand(context.storages.by_tensor[layer.outputs[0].name], 4, is_input=False)
    data = _Operand(context.storages.by_tensor[layer.inputs[0].name], 4, is_input=True)
    if state is None:
        return [data, output]
    assert spec.quantizer is not None
    size = spec.quantizer.index_dtype.itemsize
    index = _Operand(state.index, size, is_input=True)
    linear = _Operand(state.linear, 4, is_input=False)
    first = data if state.list is None else _Operand(state.list, size, is_input=True)
    return [first, index, linear] if output.storage is linear.storage else [first, index, linear, output]


def _fits(context: Context, spec: ConvSpec, operands: list[_Operand], channels: int, box: tuple[int, int, int]) -> bool:
    """Whether the accumulators hold the outputs of a tile, and the staging region what lies in DRAM."""
    geometry = spec.geometry
    if channels * math.prod(box) > context.tiling.accumulators:
        return False
    reach = [most_inputs(geometry, axis, count) for axis, count in enumerate(box)]
    groups = max(channels // geometry.outputs_per_group, 1)
    staged = sum(
        box_bytes((groups * geometry.inputs_per_group, *reach) if o.is_input else (channels, *box), o.itemsize)
        for o in operands
        if o.storage.buffer_address is None
    )
    whole = spec.batch == 1 and channels == geometry.out_channels and tuple(box) == geometry.out_shape
    return staged <= context.placement.staging_bytes // (1 if whole else 2) - (64 if staged else 0)


def _most_channels(context: Context, spec: ConvSpec, streamed: bool) -> int:
    if not streamed:
        return spec.geometry.out_channels
    return min(spec.geometry.out_channels, context.residency.staging_half // (math.prod(spec.weight.shape[1:]) * 4))


def _tile(context: Context, layer: Layer, state: State | None, tiles: list[_Tile], number: int) -> Work:
    work, tile = Work(), tiles[number]
    context.half(number, len(tiles))
    spec, part = tile.spec, tile.part
    weights, weight_region = _weights(context, work, tiles, number)
    data = context.storages.by_tensor[layer.inputs[0].name]
    output = context.storages.by_tensor[layer.outputs[0].name]
    position = {
        "layer": context.layer,
        "weights": weights,
        "in_channels": part.in_channels,
        "out_channels": part.out_channels,
        "group": part.group,
        **{f"in{a}": axis.in_size for a, axis in enumerate(part.axes)},
        **{f"out{a}": axis.out_size for a, axis in enumerate(part.axes)},
        **{f"pad{a}": axis.pad for a, axis in enumerate(part.axes)},
    }
    if state is None:
        x = context.block(work, data, tile.source, tile.in_box, 4, read=True)
        z = context.block(work, output, tile.target, tile.out_box, 4, read=False)
        bias = context.constant(context.image.add(spec.bias))
        start = 4 * part.out_channel
        dense = DenseConv(**position, bias=bias + start, **_strided("x", x), **_strided("z", z))
        work.computes.append(Planned(dense, [x.region, *weight_region], [z.region]))
        _activate(context, work, z, z, tile)
        context.write_back(work, output, z, tile.target, tile.out_box, 4)
        return work
    _delta(context, work, state, tile, position, weight_region, data)
    return _finish(context, work, state, output, tile)


def _delta(
    context: Context,
    work: Work,
    state: State,
    tile: _Tile,
    position: dict[str, int],
    weight_region: list[Region],
    data: Storage,
) -> None:
    """The delta instruction of a tile, with the loads and stores of its indices."""
    assert tile.spec.quantizer is not None
    size = tile.spec.quantizer.index_dtype.itemsize
    index = context.block(work, state.index, tile.source, tile.in_box, size, read=True)
    reads, writes = [index.region, *weight_region], []
    if state.list is None:
        x = context.block(work, data, tile.source, tile.in_box, 4, read=True)
        position |= _strided("x", x)
        reads.append(x.region)
    else:
        past = context.block(work, state.list, tile.source, tile.in_box, size, read=True)
        position |= {"listed": 1, **_strided("list", past)}
        reads.append(past.region)
    z = context.block(work, state.linear, tile.target, tile.out_box, 4, read=True)
    reads.append(z.region)
    writes.append(z.region)
    commits = [extent for _, extent in tile.committed[-3:]]
    if state.list is None and any(commits):
        writes.append(context.committed(index, state.index, tile.source, tile.committed, size))
        context.write_back(work, state.index, index, tile.source, tile.committed, size)
    delta = DeltaConv(
        **position,
        channel=tile.part.in_channel,
        **{f"commit{a}": extent for a, extent in enumerate(commits)},
        **_strided("index", index),
        **_strided("z", z),
    )
    work.computes.append(Planned(delta, reads, writes))
    work.linear = z


def _finish(context: Context, work: Work, state: State, output: Storage, tile: _Tile) -> Work:
    """Store the linear outputs, and apply the activation from them to the output."""
    assert work.linear is not None
    if output is not state.linear:
        y = context.block(work, output, tile.target, tile.out_box, 4, read=False)
        _activate(context, work, work.linear, y, tile)
        context.write_back(work, output, y, tile.target, tile.out_box, 4)
    context.write_back(work, state.linear, work.linear, tile.target, tile.out_box, 4)
    return work


def _weights(context: Context, work: Work, tiles: list[_Tile], number: int) -> tuple[int, list[Region]]:
    """eDRAM address of the tile's weights, and their bytes where they stream: a range is loaded with its first tile."""
    spec, part = tiles[number].spec, tiles[number].part
    constant = context.image.add(spec.weight)
    each = math.prod(spec.weight.shape[1:]) * 4
    start, size = part.out_channel * each, part.out_channels * each
    if not context.is_streamed(constant):
        return context.constant(constant) + start, []
    ranges = list(dict.fromkeys(other.part.out_channel for other in tiles))
    half = ranges.index(part.out_channel)
    if number and tiles[number - 1].part.out_channel == part.out_channel:
        return context.streamed(half, size)
    return context.stream(work, constant, half, start, size)


def _activate(context: Context, work: Work, z: Block, y: Block, tile: _Tile) -> None:
    activation = tile.spec.activation
    if activation == Activation():
        return
    (_, channels), *space = tile.part.out_box
    z_strides, y_strides = z.strides[-4:-1], y.strides[-4:-1]
    ramp = Function(
        layer=context.layer,
        function=Special.RAMP,
        alpha=activation.slope,
        beta=activation.maximum,
        x=z.address,
        x_stride0=z_strides[0],
        x_stride1=z_strides[1],
        x_stride2=z_strides[2],
        y=y.address,
        y_stride0=y_strides[0],
        y_stride1=y_strides[1],
        y_stride2=y_strides[2],
        size0=channels,
        size1=space[0][1],
        size2=space[1][1],
        size3=space[2][1],
    )
    work.computes.append(Planned(ramp, [z.region], [y.region]))


def _strided(name: str, block: Block) -> dict[str, int]:
    """Address and stride fields of an operand."""
    channel, first, second = block.strides[-4:-1]
    return {name: block.address, f"{name}_stride_c": channel, f"{name}_stride0": first, f"{name}_stride1": second}
