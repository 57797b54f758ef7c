"""Lower quantizers: their configuration, and the one quantize instruction of a tensor that several layers read."""

from __future__ import annotations

from reuse_compiler.backend.accelerator.isa import ConfigureQuantizer, Quantize
from reuse_compiler.backend.accelerator.lowering.graph import Layer
from reuse_compiler.backend.accelerator.lowering.storage import State
from reuse_compiler.backend.accelerator.lowering.tiling import split_range
from reuse_compiler.backend.accelerator.lowering.work import (
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    box_bytes,
    pipeline,
)
from reuse_compiler.quantizers import LinearQuantizer

__all__ = ["configure_quantizer", "deadband_array", "quantize_shared"]


def deadband_array(quantizer: LinearQuantizer) -> tuple[float, ...]:
    """The per-channel deadbands that a quantizer keeps in the eDRAM; empty where one serves all channels."""
    return quantizer.deadband if isinstance(quantizer.deadband, tuple) else ()


def configure_quantizer(context: Context, quantizer: LinearQuantizer) -> None:
    """Load the quantizer of the layer."""
    channels = deadband_array(quantizer)
    address = context.constant(context.image.add_floats(channels)) if channels else 0
    context.emitter.control(
        ConfigureQuantizer(
            layer=context.layer,
            step=quantizer.step,
            zero=quantizer.zero,
            clusters=quantizer.clusters,
            deadband=quantizer.deadband if isinstance(quantizer.deadband, float) else 0.0,
            deadband_channels=len(channels),
            deadband_address=address,
        )
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
    axis = 0 if extents[0] > 1 else 1
    unit = extents[1] * extents[2] if axis == 0 else extents[2]
    staged = [itemsize for storage, itemsize in ((data, 4), (state.index, size), (state.list, size))
              if storage.buffer_address is None]  # fmt: skip
    step = _largest_step(extents[axis], unit, staged, context.placement.staging_bytes)
    if step == 0:
        raise StagingTooSmallError(layer.name)
    parts = split_range(extents[axis], step)
    works = []
    for number, (start, count) in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        box = tuple((start, count) if other == axis else (0, extent) for other, extent in enumerate(extents))
        x = context.block(work, data, extents, box, 4, read=True)
        index = context.block(work, state.index, extents, box, size, read=True)
        past = context.block(work, state.list, extents, box, size, read=False)
        quantize = Quantize(
            layer=context.layer,
            x=x.address,
            index=index.address,
            list=past.address,
            channel=start if axis == 1 else 0,
            outer=box[0][1],
            channels=box[1][1],
            inner=box[2][1],
        )
        work.computes.append(Planned(quantize, [x.region, index.region], [index.region, past.region]))
        context.write_back(work, state.index, index, extents, box, size)
        context.write_back(work, state.list, past, extents, box, size)
        works.append(work)
    pipeline(context.emitter, works)


def _largest_step(extent: int, unit: int, itemsizes: list[int], staging: int) -> int:
    """How many of `extent` rows of `unit` elements a part may have; 0 where not even one fits."""
    step = extent
    while step and itemsizes:
        room = staging if step == extent else staging // 2
        if sum(box_bytes((step, unit), itemsize) for itemsize in itemsizes) <= room - 64:
            break
        step //= 2
    return step
