"""The sections around the frame: load the resident constants once, and write the state that a sequence starts with."""

from __future__ import annotations

import math

from reuse_compiler.backend.accelerator.isa import Fill, Instruction, Load, Space
from reuse_compiler.backend.accelerator.lowering.constants import Constant, ConstantImage
from reuse_compiler.backend.accelerator.lowering.emitter import Emitter, Region
from reuse_compiler.backend.accelerator.lowering.quantizing import deadband_array
from reuse_compiler.backend.accelerator.lowering.specs import ConvSpec, FcSpec, LayerGraph, SiteSpec, Spec
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.work import Context

__all__ = ["begin_sequence", "load_constants", "resident_constants", "state_place"]


def state_place(storage: Storage) -> tuple[Space, int]:
    """The memory and byte address where a kept state lives."""
    if storage.buffer_address is not None:
        return Space.BUFFER, storage.buffer_address
    assert storage.dram_address is not None
    return Space.DRAM, storage.dram_address


def load_constants(context: Context, graph: LayerGraph) -> list[Instruction]:
    """Load the resident constants, each booked on the first layer that uses it."""
    emitter = Emitter()
    owner: dict[Constant, int] = {}
    for layer in graph.layers:
        for constant in _layer_constants(context, layer.spec):
            owner.setdefault(constant, graph.row(layer))
    for constant, address in context.residency.resident.items():
        load = Load(
            layer=owner.get(constant, 0),
            space=Space.EDRAM,
            dram_address=constant.address,
            address=address,
            run_bytes=constant.bytes,
            count0=1,
            count1=1,
        )
        emitter.emit(load, [], [Region(constant, address, address + constant.bytes)])
    return _ended(emitter)


def resident_constants(image: ConstantImage, spec: Spec, *, reuse: bool) -> list[Constant]:
    """The places of what a layer keeps in the eDRAM beside its weights; on the reuse machine its deadbands too."""
    constants = [image.add(array) for array in spec.residents]
    if reuse and isinstance(spec, SiteSpec) and spec.quantizer is not None and deadband_array(spec.quantizer):
        constants.append(image.add_floats(deadband_array(spec.quantizer)))
    return constants


def _layer_constants(context: Context, spec: Spec) -> list[Constant]:
    weights = [context.image.add(spec.weight)] if isinstance(spec, SiteSpec) else []
    return [*weights, *resident_constants(context.image, spec, reuse=context.reuse)]


def begin_sequence(context: Context, graph: LayerGraph) -> list[Instruction]:
    """Write the state that a sequence starts with: the zero index everywhere, and the bias as linear output."""
    emitter = Emitter()
    filled = set()
    for layer in graph.layers:
        spec, number = layer.spec, graph.row(layer)
        if not context.reuse or not isinstance(spec, ConvSpec | FcSpec) or spec.quantizer is None:
            continue
        state = context.storages.states[layer.name]
        if state.index not in filled:
            filled.add(state.index)
            size = spec.quantizer.index_dtype.itemsize
            space, address = state_place(state.index)
            region = Region(state.index, address, address + state.index.bytes)
            zeros = Fill(
                layer=number,
                space=space,
                address=address,
                value=spec.quantizer.zero,
                element_bytes=size,
                repeat=state.index.bytes // size,
            )
            emitter.emit(zeros, [], [region])
        source = context.constant(context.image.add(spec.bias))
        space, address = state_place(state.linear)
        region = Region(state.linear, address, address + state.linear.bytes)
        if isinstance(spec, ConvSpec):
            counts = {"count": spec.bias.size, "repeat": math.prod(spec.geometry.out_shape), "copies": spec.batch}
        else:
            counts = {"count": spec.bias.size, "repeat": 1, "copies": spec.rows}
        biases = Fill(layer=number, space=space, address=address, source=source, element_bytes=4, **counts)
        emitter.emit(biases, [], [region])
    return _ended(emitter)


def _ended(emitter: Emitter) -> list[Instruction]:
    """The section, with a sync where there is something to wait for."""
    if emitter.instructions:
        emitter.sync()
    return emitter.instructions
