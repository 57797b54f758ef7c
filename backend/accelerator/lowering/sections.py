"""The sections around the frame: load the resident constants once, and write the state that a sequence starts with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Fill, Instruction, Load, Space
from reuse_compiler.backend.accelerator.lowering.constants import Constant, ConstantImage
from reuse_compiler.backend.accelerator.lowering.emitter import Emitter, Region
from reuse_compiler.backend.accelerator.lowering.quantizing import quantizer_arrays
from reuse_compiler.backend.accelerator.lowering.recurrent_spec import RecurrentSpec
from reuse_compiler.backend.accelerator.lowering.specs import ConvSpec, FcSpec, LayerGraph, Spec
from reuse_compiler.backend.accelerator.lowering.storage import State, Storage
from reuse_compiler.backend.accelerator.lowering.work import Context
from reuse_compiler.quantizers import Quantizer

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
        if isinstance(layer.spec, RecurrentSpec):
            for site, product in layer.spec.products.items():
                owner.setdefault(context.image.add(product.weight), graph.row(layer, f".{site}"))
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
    """The places of what a layer keeps in the eDRAM beside its weights; on the reuse machine its deadbands and tables too."""
    constants = [image.add(array) for array in spec.residents]
    if isinstance(spec, RecurrentSpec):
        constants += [image.add(bias) for bias in spec.biases(reuse=reuse)]
    arrays = [array for quantizer in spec.quantizers if reuse for array in quantizer_arrays(quantizer)]
    return constants + [image.add_floats(array) for array in arrays]


def _layer_constants(context: Context, spec: Spec) -> list[Constant]:
    weights = [context.image.add(weight) for weight in spec.weights]
    return [*weights, *resident_constants(context.image, spec, reuse=context.reuse)]


def begin_sequence(context: Context, graph: LayerGraph) -> list[Instruction]:
    """Write the state that a sequence starts with: the zero index everywhere, and the bias as linear output."""
    emitter = Emitter()
    filled = set()
    for kept in _kept_states(context, graph) if context.reuse else ():
        state = kept.state
        if state.index not in filled:
            filled.add(state.index)
            size = kept.quantizer.index_dtype.itemsize
            space, address = state_place(state.index)
            region = Region(state.index, address, address + state.index.bytes)
            zeros = Fill(
                layer=kept.row,
                space=space,
                address=address,
                value=kept.quantizer.zero,
                element_bytes=size,
                repeat=state.index.bytes // size,
            )
            emitter.emit(zeros, [], [region])
        source = context.constant(context.image.add(kept.bias))
        space, address = state_place(state.linear)
        region = Region(state.linear, address, address + state.linear.bytes)
        counts = {"count": kept.bias.size, "repeat": kept.repeat, "copies": kept.copies}
        biases = Fill(layer=kept.row, space=space, address=address, source=source, element_bytes=4, **counts)
        emitter.emit(biases, [], [region])
    return _ended(emitter)


@dataclass(frozen=True)
class _Kept:
    """The state of a site; its linear output is `copies` times: each element of the bias, `repeat` times."""

    state: State
    quantizer: Quantizer
    bias: NDArray[Any]
    repeat: int
    copies: int
    row: int


def _kept_states(context: Context, graph: LayerGraph) -> Iterator[_Kept]:
    """The states that outlive a run: those of steps that run backwards begin anew in every run."""
    for layer in graph.layers:
        spec = layer.spec
        if isinstance(spec, RecurrentSpec):
            for site, product in spec.products.items() if not spec.reverse else ():
                if product.quantizer is not None:
                    state, row = context.storages.states[f"{layer.name}.{site}"], graph.row(layer, f".{site}")
                    yield _Kept(state, product.quantizer, product.bias, 1, product.rows, row)
        elif isinstance(spec, ConvSpec | FcSpec) and spec.quantizer is not None:
            state, row = context.storages.states[layer.name], graph.row(layer)
            if isinstance(spec, ConvSpec):
                repeat, copies = math.prod(spec.geometry.out_shape), spec.batch
            else:
                repeat, copies = 1, spec.rows
            yield _Kept(state, spec.quantizer, spec.bias, repeat, copies, row)


def _ended(emitter: Emitter) -> list[Instruction]:
    """The section, with a sync where there is something to wait for."""
    if emitter.instructions:
        emitter.sync()
    return emitter.instructions
