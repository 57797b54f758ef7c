"""Lower a fully connected layer: tiles over rows, outputs, and (where weights stream from DRAM) inputs."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa import DeltaFc, DenseFc, Function, Special
from reuse_compiler.backend.accelerator.lowering.emitter import Box, Region
from reuse_compiler.backend.accelerator.lowering.quantizing import configure_quantizer, quantize_shared
from reuse_compiler.backend.accelerator.lowering.specs import FcSpec, Layer
from reuse_compiler.backend.accelerator.lowering.storage import State
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
from reuse_compiler.operators import Activation

__all__ = [
    "Tile",
    "Weights",
    "delta_fc",
    "dense_fc",
    "lower_fc",
    "smallest_weight_tile",
    "tile_weights",
    "weight_parts",
]


@dataclass(frozen=True)
class Tile:
    """Rows, inputs and outputs of one instruction, each (start, size)."""

    rows: tuple[int, int]
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    first: bool  # of the input parts of these outputs
    last: bool
    last_reader: bool  # no later range of outputs reads these inputs


@dataclass(frozen=True)
class Weights:
    """Where the weights of a tile are: eDRAM byte address, elements between inputs, and their bytes where a load of the
    section brings them."""

    address: int
    stride: int
    regions: list[Region]


@dataclass(frozen=True)
class _Staged:
    """Bytes of an element of each staged block: of those that hold inputs of a tile, and of those that hold outputs."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def output_bytes(self, rows: int, outputs: int) -> int:
        """Of the output blocks of a tile."""
        return sum(box_bytes((rows, outputs), size) for size in self.outputs)


@dataclass(frozen=True)
class _Cut:
    """The tiles. Where not even one row of inputs fits a half of the staging region, its parts take turns in two halves,
    and the linear outputs stay before them: `kept` bytes for each of two ranges of outputs."""

    tiles: list[Tile]
    kept: int | None = None


@dataclass(frozen=True)
class _Outputs:
    """Where a tile's linear outputs are, and where its outputs go."""

    z: Block
    y: Block


def smallest_weight_tile(spec: FcSpec, lanes: int) -> int:
    """Bytes of the weights of one input, for the fewest outputs that a tile may have."""
    return min(spec.outputs, lanes) * 4


def lower_fc(context: Context, layer: Layer, spec: FcSpec) -> None:
    """Emit the instructions of `layer`. Raises StagingTooSmallError where no tile fits the staging region."""
    state = context.storages.states[layer.name] if context.reuse and spec.quantizer else None
    if state is not None:
        assert spec.quantizer is not None
        configure_quantizer(context, spec.quantizer)
        quantize_shared(context, layer, state, (spec.rows, spec.inputs, 1), spec.quantizer)
    pipeline(context.emitter, _works(context, layer, spec, state, _cut(context, layer, spec, state)))


def _cut(context: Context, layer: Layer, spec: FcSpec, state: State | None) -> _Cut:
    outputs, inputs = weight_parts(context, spec, (0, spec.outputs))
    staged = _staged(context, layer, spec, state)
    rows = _rows(context, spec, staged, len(inputs), outputs[0][1])
    if rows:
        return _Cut(_tiles(spec, rows, inputs, outputs))
    kept = staged.output_bytes(1, outputs[0][1])
    room = (context.placement.staging_bytes - 2 * kept) // 2 - 64 * (1 + len(staged.inputs))
    most = room // max(sum(staged.inputs), 1)
    if most < 1:
        raise StagingTooSmallError(layer.name)
    return _Cut(_tiles(spec, 1, split_range(spec.inputs, min(most, inputs[0][1])), outputs), kept)


def _tiles(spec: FcSpec, rows: int, inputs: list[tuple[int, int]], outputs: list[tuple[int, int]]) -> list[Tile]:
    return [
        Tile(row, part, out, part == inputs[0], part == inputs[-1], out == outputs[-1])
        for row in split_range(spec.rows, rows)
        for out in outputs
        for part in inputs
    ]


def weight_parts(
    context: Context, spec: FcSpec, outputs: tuple[int, int]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Ranges of outputs within `outputs`, and of inputs, in which accumulators and eDRAM hold the weights."""
    tiling, half = context.tiling, context.residency.staging_half
    streamed = context.passes_through(context.image.add(spec.weight))
    most = min(tiling.accumulators, half // 4) if streamed else tiling.accumulators
    parts = [(outputs[0] + start, size) for start, size in split_lanes(outputs[1], most, tiling.lanes)]
    inputs = split_range(spec.inputs, half // (parts[0][1] * 4)) if streamed else [(0, spec.inputs)]
    return parts, inputs


def split_lanes(size: int, most: int, lanes: int) -> list[tuple[int, int]]:
    """Parts of at most `most`, multiples of the lanes but for the last."""
    step = size if size <= most else max(most // lanes, 1) * lanes
    return [(start, min(step, size - start)) for start in range(0, size, step)]


def _staged(context: Context, layer: Layer, spec: FcSpec, state: State | None) -> _Staged:
    by_tensor = context.storages.by_tensor
    data, output = by_tensor[layer.inputs[0].name], by_tensor[layer.outputs[0].name]
    inputs, outputs = [(data, 4)], [(output, 4)]
    if state is not None:
        assert spec.quantizer is not None
        size = spec.quantizer.index_dtype.itemsize
        inputs = [(state.index, size), (data, 4) if state.list is None else (state.list, size)]
        outputs = [(state.linear, 4), *([] if output is state.linear else outputs)]
    return _Staged(*(tuple(s for storage, s in side if storage.buffer_address is None) for side in (inputs, outputs)))


def _rows(context: Context, spec: FcSpec, staged: _Staged, parts: int, outputs: int) -> int:
    """The most rows of a tile that accumulators and staging region hold, all its input parts in one half; 0: not one."""
    rows = min(spec.rows, max(context.tiling.accumulators // outputs, 1))
    while rows and (staged.inputs or staged.outputs):
        room = context.placement.staging_bytes // 2 - 64 * (1 + 2 * parts)
        needed = sum(box_bytes((rows, spec.inputs), size) for size in staged.inputs)
        if needed + staged.output_bytes(rows, outputs) <= room:
            break
        rows //= 2
    return rows


def _works(context: Context, layer: Layer, spec: FcSpec, state: State | None, cut: _Cut) -> list[Work]:
    works: list[Work] = []
    outputs: _Outputs | None = None
    ranges = 0
    for number, tile in enumerate(cut.tiles):
        work = Work()
        if tile.first:
            if cut.kept is None:
                context.half(ranges, 2)
            else:
                context.half(0, 1, reserved=ranges % 2 * cut.kept)
            outputs = _outputs(context, layer, spec, work, tile)
            ranges += 1
        if cut.kept is not None:
            context.half(number, 2, reserved=2 * cut.kept)
        assert outputs is not None
        (_dense if state is None else _delta)(context, layer, spec, work, tile, number, outputs)
        works.append(work)
    return works


def _outputs(context: Context, layer: Layer, spec: FcSpec, work: Work, tile: Tile) -> _Outputs:
    """The blocks that all input parts of a range of outputs share."""
    output = context.storages.by_tensor[layer.outputs[0].name]
    target, box = (spec.rows, spec.outputs), (tile.rows, tile.outputs)
    if not context.reuse or spec.quantizer is None:
        z = context.block(work, output, target, box, 4, read=False)
        return _Outputs(z, z)
    linear = context.storages.states[layer.name].linear
    z = context.block(work, linear, target, box, 4, read=True)
    return _Outputs(z, z if linear is output else context.block(work, output, target, box, 4, read=False))


def _dense(
    context: Context, layer: Layer, spec: FcSpec, work: Work, tile: Tile, number: int, outputs: _Outputs
) -> None:
    """A dense tile. Input parts behind the first accumulate onto `outputs`."""
    by_tensor = context.storages.by_tensor
    data, output = by_tensor[layer.inputs[0].name], by_tensor[layer.outputs[0].name]
    target, box = (spec.rows, spec.outputs), (tile.rows, tile.outputs)
    x = context.block(work, data, (spec.rows, spec.inputs), (tile.rows, tile.inputs), 4, read=True)
    z = outputs.z
    weights = tile_weights(context, spec, work, tile, number)
    bias = context.constant(context.image.add(spec.bias))
    work.computes.append(dense_fc(context, tile, x, z, weights, bias, accumulate=not tile.first))
    if tile.last:
        _activate(context, work, spec.activation, z, z, box)
        context.write_back(work, output, z, target, box, 4)


def _delta(
    context: Context, layer: Layer, spec: FcSpec, work: Work, tile: Tile, number: int, outputs: _Outputs
) -> None:
    """A delta tile; all input parts correct the same linear outputs."""
    assert spec.quantizer is not None
    state, size = context.storages.states[layer.name], spec.quantizer.index_dtype.itemsize
    by_tensor = context.storages.by_tensor
    data, output = by_tensor[layer.inputs[0].name], by_tensor[layer.outputs[0].name]
    source, part = (spec.rows, spec.inputs), (tile.rows, tile.inputs)
    target, box = (spec.rows, spec.outputs), (tile.rows, tile.outputs)
    z = outputs.z
    index = context.block(work, state.index, source, part, size, read=True)
    weights = tile_weights(context, spec, work, tile, number)
    listed = state.list is not None
    if state.list is None:
        block = context.block(work, data, source, part, 4, read=True)
    else:
        block = context.block(work, state.list, source, part, size, read=True)
    if tile.last_reader and not listed:
        context.write_back(work, state.index, index, source, part, size)
    work.computes.append(delta_fc(context, tile, block, index, z, weights, listed=listed))
    if tile.last:
        context.write_back(work, state.linear, z, target, box, 4)
    if tile.last and output is not state.linear:
        _activate(context, work, spec.activation, z, outputs.y, box)
        context.write_back(work, output, outputs.y, target, box, 4)


def dense_fc(
    context: Context, tile: Tile, x: Block, z: Block, weights: Weights, bias: int, *, accumulate: bool
) -> Planned:
    """A dense tile of blocks [rows, inputs] and [rows, outputs]; `bias` is the eDRAM address of the bias of output 0."""
    dense = DenseFc(
        layer=context.layer,
        x=x.address,
        x_stride=x.strides[0],
        z=z.address,
        z_stride=z.strides[0],
        weights=weights.address,
        weights_stride=weights.stride,
        bias=bias + 4 * tile.outputs[0],
        rows=tile.rows[1],
        inputs=tile.inputs[1],
        outputs=tile.outputs[1],
        accumulate=1 if accumulate else 0,
    )
    reads = [x.region, *weights.regions, z.region] if accumulate else [x.region, *weights.regions]
    return Planned(dense, reads, [z.region])


def delta_fc(
    context: Context, tile: Tile, operand: Block, index: Block, z: Block, weights: Weights, *, listed: bool
) -> Planned:
    """A delta tile of blocks [rows, inputs] and [rows, outputs]; `operand` are the inputs, or their past indices where
    `listed`."""
    place = {"list": operand.address, "list_stride": operand.strides[0], "listed": 1}
    delta = DeltaFc(
        layer=context.layer,
        **(place if listed else {"x": operand.address, "x_stride": operand.strides[0]}),
        index=index.address,
        index_stride=index.strides[0],
        z=z.address,
        z_stride=z.strides[0],
        weights=weights.address,
        weights_stride=weights.stride,
        channel=tile.inputs[0],
        rows=tile.rows[1],
        inputs=tile.inputs[1],
        outputs=tile.outputs[1],
        commit=1 if tile.last_reader else 0,
    )
    writes = [z.region, index.region] if tile.last_reader and not listed else [z.region]
    return Planned(delta, [operand.region, index.region, z.region, *weights.regions], writes)


def tile_weights(context: Context, spec: FcSpec, work: Work, tile: Tile, number: int) -> Weights:
    """The weights of a tile; where they pass through the eDRAM, half `number` of them, a load joins `work`."""
    constant = context.image.add(spec.weight)
    first = (tile.inputs[0] * spec.outputs + tile.outputs[0]) * 4
    if context.passes_through(constant):
        whole = tile.outputs[1] == spec.outputs
        run, runs = (tile.outputs[1] * 4, tile.inputs[1]) if not whole else (tile.inputs[1] * spec.outputs * 4, 1)
        address, region = context.stream(work, constant, number, first, run, runs, 0 if whole else spec.outputs * 4)
        return Weights(address, tile.outputs[1], region)
    held = context.held.get(constant)
    if held is not None:
        return Weights(held.start + first, spec.outputs, [held])
    return Weights(context.constant(constant) + first, spec.outputs, [])


def _activate(context: Context, work: Work, activation: Activation, z: Block, y: Block, box: Box) -> None:
    if activation == Activation():
        return
    ramp = Function(
        layer=context.layer,
        function=Special.RAMP,
        alpha=activation.slope,
        beta=activation.maximum,
        x=z.address,
        x_stride2=z.strides[0],
        y=y.address,
        y_stride2=y.strides[0],
        size0=1,
        size1=1,
        size2=box[0][1],
        size3=box[1][1],
    )
    work.computes.append(Planned(ramp, [z.region], [y.region]))
