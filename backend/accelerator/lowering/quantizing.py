"""Lower quantizers: their configuration, and the one quantize instruction of a tensor that several layers read."""

from __future__ import annotations

from reuse_compiler.backend.accelerator.isa import ConfigureQuantizer, ConfigureTable, Quantize
from reuse_compiler.backend.accelerator.lowering.specs import Layer
from reuse_compiler.backend.accelerator.lowering.storage import State
from reuse_compiler.backend.accelerator.lowering.tiling import runs
from reuse_compiler.backend.accelerator.lowering.work import (
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    pipeline,
)
from reuse_compiler.quantizers import Quantizer, TableQuantizer

__all__ = ["configure_quantizer", "quantize_shared", "quantizer_arrays", "quantizer_configuration"]


def quantizer_arrays(quantizer: Quantizer) -> list[tuple[float, ...]]:
    """What a quantizer keeps in the eDRAM: per-channel deadbands, and the centroids and boundaries of a table."""
    arrays = [quantizer.deadband] if isinstance(quantizer.deadband, tuple) else []
    return [*arrays, _table(quantizer)] if isinstance(quantizer, TableQuantizer) else arrays


def _table(quantizer: TableQuantizer) -> tuple[float, ...]:
    return quantizer.centroids + quantizer.boundaries


def configure_quantizer(context: Context, quantizer: Quantizer) -> None:
    """Load the quantizer of the layer."""
    context.emitter.control(quantizer_configuration(context, quantizer))


def quantizer_configuration(context: Context, quantizer: Quantizer) -> ConfigureQuantizer | ConfigureTable:
    """The instruction that loads a quantizer."""
    channels = quantizer.deadband if isinstance(quantizer.deadband, tuple) else ()
    single = 0.0 if isinstance(quantizer.deadband, tuple) else quantizer.deadband
    address = context.constant(context.image.add_floats(channels)) if channels else 0
    if isinstance(quantizer, TableQuantizer):
        return ConfigureTable(
            layer=context.layer,
            table_address=context.constant(context.image.add_floats(_table(quantizer))),
            zero=quantizer.zero,
            clusters=quantizer.clusters,
            deadband=single,
            deadband_channels=len(channels),
            deadband_address=address,
        )
    return ConfigureQuantizer(
        layer=context.layer,
        step=quantizer.step,
        zero=quantizer.zero,
        clusters=quantizer.clusters,
        deadband=single,
        deadband_channels=len(channels),
        deadband_address=address,
    )


def quantize_shared(
    context: Context, layer: Layer, state: State, extents: tuple[int, int, int], quantizer: Quantizer
) -> None:
    """Before the first of the layers that read one tensor: quantize it once, seen as [outer, channels, inner]."""
    if state.list is None or state.list in context.quantized:
        return
    context.quantized.add(state.list)
    data = context.storages.by_tensor[layer.inputs[0].name]
    size = quantizer.index_dtype.itemsize
    itemsizes = [(data, 4), (state.index, size), (state.list, size)]
    staged = [itemsize for storage, itemsize in itemsizes if storage.buffer_address is None]

    def fits(axis: int, count: int, alone: bool) -> bool:
        needed = sum(box_bytes((count, *extents[axis + 1 :]), itemsize) for itemsize in staged)
        return needed <= context.placement.staging_bytes // (1 if alone else 2) - (64 if needed else 0)

    parts = runs(extents, fits)
    if parts is None:
        raise StagingTooSmallError(layer.name)
    works = []
    for number, box in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        x = context.block(work, data, extents, box, 4, read=True)
        index = context.block(work, state.index, extents, box, size, read=True)
        past = context.block(work, state.list, extents, box, size, read=False)
        quantize = Quantize(
            layer=context.layer,
            x=x.address,
            index=index.address,
            list=past.address,
            channel=box[1][0],
            outer=box[0][1],
            channels=box[1][1],
            inner=box[2][1],
        )
        work.computes.append(Planned(quantize, [x.region, index.region], [index.region, past.region]))
        context.write_back(work, state.index, index, extents, box, size)
        context.write_back(work, state.list, past, extents, box, size)
        works.append(work)
    pipeline(context.emitter, works)
