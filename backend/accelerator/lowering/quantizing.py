"""Lower quantizers: their configuration, and the one quantize instruction of a tensor that several layers read."""

from __future__ import annotations

from reuse_compiler.backend.accelerator.isa import ConfigureQuantizer, Quantize
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
from reuse_compiler.quantizers import LinearQuantizer

__all__ = ["configure_quantizer", "deadband_array", "quantize_shared", "quantizer_configuration"]


def deadband_array(quantizer: LinearQuantizer) -> tuple[float, ...]:
    """The per-channel deadbands that a quantizer keeps in the eDRAM; empty where one serves all channels."""
    return quantizer.deadband if isinstance(quantizer.deadband, tuple) else ()


def configure_quantizer(context: Context, quantizer: LinearQuantizer) -> None:
    """Load the quantizer of the layer."""
    context.emitter.control(quantizer_configuration(context, quantizer))


def quantizer_configuration(context: Context, quantizer: LinearQuantizer) -> ConfigureQuantizer:
    """The instruction that loads a quantizer."""
    channels = deadband_array(quantizer)
    return ConfigureQuantizer(
        layer=context.layer,
        step=quantizer.step,
        zero=quantizer.zero,
        clusters=quantizer.clusters,
        deadband=quantizer.deadband if isinstance(quantizer.deadband, float) else 0.0,
        deadband_channels=len(channels),
        deadband_address=context.constant(context.image.add_floats(channels)) if channels else 0,
    )


def quantize_shared(
    context: Context, layer: Layer, state: State, extents: tuple[int, int, int], quantizer: LinearQuantizer
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
