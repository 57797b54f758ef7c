"""From a reuse model to a program: one code with reuse, one without, over the same constants.

Both codes come from the same steps; the baseline only leaves out quantizers and state and has the smaller buffer. Of
the sizes tried for the staging region, the one whose code moves the fewest DRAM bytes a frame is taken, where a
transfer counts as so many bytes more: a larger region keeps less, and moves it in fewer pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import onnx_ir as ir

from reuse_compiler.backend.accelerator.isa import Halt, Host, Instruction, Loop, Over, Space
from reuse_compiler.backend.accelerator.lowering import conv, fc
from reuse_compiler.backend.accelerator.lowering.constants import Constant, ConstantImage, Residency, choose_residency
from reuse_compiler.backend.accelerator.lowering.elementwise import lower_elementwise, lower_function
from reuse_compiler.backend.accelerator.lowering.emitter import Emitter, MoveCounter, Region, Sink
from reuse_compiler.backend.accelerator.lowering.graph import read_graph
from reuse_compiler.backend.accelerator.lowering.movement import lower_concat
from reuse_compiler.backend.accelerator.lowering.pooling import lower_pool
from reuse_compiler.backend.accelerator.lowering.sections import (
    begin_sequence,
    load_constants,
    resident_constants,
    state_place,
)
from reuse_compiler.backend.accelerator.lowering.specs import (
    AliasSpec,
    ConcatSpec,
    ConvSpec,
    ElementwiseSpec,
    FcSpec,
    FunctionSpec,
    HostSpec,
    Layer,
    LayerGraph,
    PoolSpec,
    SiteSpec,
    Spec,
    Tensor,
)
from reuse_compiler.backend.accelerator.lowering.storage import Storage, Storages, aligned, gather, place
from reuse_compiler.backend.accelerator.lowering.work import STAGING, WEIGHTS, Context, StagingTooSmallError
from reuse_compiler.backend.accelerator.program import (
    Binding,
    Code,
    HostModel,
    LayerInfo,
    Program,
    SiteInfo,
    Tiling,
)
from reuse_compiler.errors import HardwareError

__all__ = ["lower"]

Backend = Literal["reuse", "dense", "host"]

_STAGING_EIGHTHS = (0, 1, 2, 3, 4, 6)
_TRANSFER_BYTES = 2560  # what DRAM moves in the 50 cycles of its latency


def lower(model: ir.Model, tiling: Tiling, model_sha256: str) -> Program:
    """Lower a reuse model (or a model without reuse) for hardware of the sizes in `tiling`.

    Raises ModelError where a shape is not known, and HardwareError where a memory or the accumulators are too small for
    the smallest tile.
    """
    if tiling.accumulators < tiling.lanes:
        raise HardwareError(
            f"hardware {tiling.hardware}: {tiling.accumulators:,} accumulators for {tiling.lanes:,} lanes: give every lane"
            " one"
        )
    graph = read_graph(model)
    image = _constants(graph)
    reuse = _best_code(graph, tiling, image, reuse=True)
    baseline = _best_code(graph, tiling, image, reuse=False)
    return Program(
        reuse=reuse,
        baseline=baseline,
        constants=image.image(),
        layers=tuple(_layer_infos(graph)),
        tiling=tiling,
        model_sha256=model_sha256,
    )


def _layer_infos(graph: LayerGraph) -> Iterator[LayerInfo]:
    """One row a node: the parts of a node add up."""
    parts: dict[str, list[Layer]] = {}
    for layer in graph.layers:
        parts.setdefault(layer.row or layer.name, []).append(layer)
    for name, layers in parts.items():
        macs = sum(layer.spec.macs for layer in layers)
        kinds = [_backend(layer) for layer in layers]
        order: tuple[Backend, ...] = ("reuse", "host", "dense")
        backend = next(kind for kind in order if kind in kinds)
        info = LayerInfo(name, layers[0].op, backend, macs, 0)
        for layer in layers:
            if isinstance(layer.spec, SiteSpec) and layer.spec.quantizer is not None:
                quantizer, inputs = layer.spec.quantizer, math.prod(layer.inputs[0].shape)
                info = replace(
                    info,
                    inputs=info.inputs + inputs,
                    clusters=quantizer.clusters,
                    step=quantizer.step,
                    deadband=quantizer.deadband,
                )
        yield info


def _backend(layer: Layer) -> Backend:
    if isinstance(layer.spec, HostSpec):
        return "host"
    return "reuse" if isinstance(layer.spec, SiteSpec) and layer.spec.quantizer is not None else "dense"


def _constants(graph: LayerGraph) -> ConstantImage:
    """The constants of all layers, in the order of the layers."""
    image = ConstantImage()
    for layer in graph.layers:
        if isinstance(layer.spec, SiteSpec):
            image.add(layer.spec.weight)
        resident_constants(image, layer.spec, reuse=True)
    for array in graph.constants.values():
        image.add_bytes(array)
    return image


def _residency(graph: LayerGraph, tiling: Tiling, image: ConstantImage, reuse: bool) -> Residency:
    small: list[Constant] = []
    weights: dict[Constant, int] = {}
    for layer in graph.layers:
        spec = layer.spec
        if isinstance(spec, ConvSpec | FcSpec):
            tile = (
                conv.smallest_weight_tile(spec, tiling.lanes)
                if isinstance(spec, ConvSpec)
                else fc.smallest_weight_tile(spec, tiling.lanes)
            )
            constant = image.add(spec.weight)
            weights[constant] = max(tile, weights.get(constant, 0))
        small += resident_constants(image, spec, reuse=reuse)
    return choose_residency(small, weights, tiling.edram_bytes)


def _best_code(graph: LayerGraph, tiling: Tiling, image: ConstantImage, *, reuse: bool) -> Code:
    """The code that moves the least over the staging sizes tried."""
    residency = _residency(graph, tiling, image, reuse)
    buffer_bytes = tiling.buffer_bytes_reuse if reuse else tiling.buffer_bytes_base
    sizes = [aligned(buffer_bytes * eighth // 8) for eighth in _STAGING_EIGHTHS]
    bounds = {size: place(gather(graph, reuse), buffer_bytes, size).traffic for size in sizes}

    def context(size: int, emitter: Sink) -> Context:
        storages = gather(graph, reuse)
        return Context(tiling, reuse, emitter, storages, place(storages, buffer_bytes, size), image, residency)

    best: tuple[int, int] | None = None
    failure = ""
    for size in sorted(sizes, key=lambda s: (bounds[s], s)):
        if best is not None and bounds[size] >= best[0]:
            break
        counter = MoveCounter(_TRANSFER_BYTES)
        try:
            _lower_frame(context(size, counter), graph)
        except StagingTooSmallError as error:
            failure = str(error)
            continue
        if best is None or counter.traffic < best[0]:
            best = (counter.traffic, size)
    if best is None:
        raise HardwareError(
            f"layer {failure}: its smallest tile does not fit the I/O buffer of {buffer_bytes:,} bytes: use hardware"
            " with a larger buffer"
        )
    emitter = Emitter()
    return _code(context(best[1], emitter), emitter, graph)


def _lower_frame(context: Context, graph: LayerGraph) -> int:
    """Emit the frame section but for its sync; the size of DRAM in bytes."""
    dram_bytes = _assign_dram(graph, context.storages, context.image.size)
    for layer in graph.layers:
        context.layer = graph.row(layer)
        context.emitter.coalesce(STAGING)
        context.emitter.coalesce(WEIGHTS)
        LOWERERS[type(layer.spec)](context, layer, layer.spec)
    for tensor in graph.outputs:
        storage = context.storages.by_tensor[tensor.name]
        if not storage.is_input:
            context.store_whole(storage)
    return dram_bytes


def _code(context: Context, emitter: Emitter, graph: LayerGraph) -> Code:
    """The code whose frame section goes to `emitter`, which is the context's."""
    storages = context.storages
    dram_bytes = _lower_frame(context, graph)
    emitter.sync()
    frame = emitter.instructions
    setup = load_constants(context, graph)
    start = begin_sequence(context, graph)
    instructions: list[Instruction] = [
        *setup,
        Loop(over=Over.SEQUENCES, length=len(start) + 1 + len(frame)),
        *start,
        Loop(over=Over.FRAMES, length=len(frame)),
        *frame,
        Halt(),
    ]
    return Code(
        instructions=tuple(instructions),
        dram_bytes=dram_bytes,
        buffer_bytes=context.placement.buffer_bytes,
        inputs=tuple(_binding(storages, tensor) for tensor in graph.inputs),
        outputs=tuple(_outputs(context, graph)),
        hosts=_hosts(graph, storages),
        sites=_sites(graph, storages) if context.reuse else (),
    )


def _assign_dram(graph: LayerGraph, storages: Storages, start: int) -> int:
    """Give a DRAM address to whatever is there at some time; the size of DRAM in bytes."""
    top = aligned(start)
    outside = [storages.by_tensor[tensor.name] for tensor in (*graph.inputs, *graph.outputs)]
    for storage in dict.fromkeys([*outside, *storages.everything]):
        visits = storage.is_input or storage.is_output or storage.from_host or storage.to_host
        if visits or storage.buffer_address is None:
            storage.dram_address = top
            top += aligned(max(storage.bytes, 1))
    return top


def _lower_host(context: Context, layer: Layer, spec: HostSpec) -> None:
    """Bring the operands to DRAM and call the host."""
    operands = [context.storages.by_tensor[tensor.name] for tensor in layer.inputs]
    results = [context.storages.by_tensor[tensor.name] for tensor in layer.outputs]
    for storage in operands:
        if not storage.is_input:
            context.store_whole(storage)
    number = context.host_calls
    context.host_calls += 1
    call = Host(
        layer=context.layer,
        model=number,
        macs=spec.macs,
        operations=spec.operations,
        read_bytes=sum(storage.bytes for storage in operands),
        write_bytes=sum(storage.bytes for storage in results),
    )
    context.emitter.emit(call, [_dram(storage) for storage in operands], [_dram(storage) for storage in results])


def _dram(storage: Storage) -> Region:
    assert storage.dram_address is not None
    return Region((storage, Space.DRAM), storage.dram_address, storage.dram_address + storage.bytes)


def _nothing(context: Context, layer: Layer, spec: AliasSpec) -> None:
    """A change of shape moves nothing."""


LOWERERS: Mapping[type[Spec], Callable[[Context, Layer, Any], None]] = {
    ConvSpec: conv.lower_conv,
    FcSpec: fc.lower_fc,
    FunctionSpec: lower_function,
    ElementwiseSpec: lower_elementwise,
    PoolSpec: lower_pool,
    ConcatSpec: lower_concat,
    HostSpec: _lower_host,
    AliasSpec: _nothing,
}
"""What emits the instructions of a layer, by what the layer computes."""


def _binding(storages: Storages, tensor: Tensor) -> Binding:
    address = storages.by_tensor[tensor.name].dram_address
    assert address is not None
    return Binding(tensor.name, address, tensor.shape, tensor.dtype)


def _outputs(context: Context, graph: LayerGraph) -> Iterator[Binding]:
    """Where the model's outputs lie, in its order; one that is a constant lies among the constants."""
    tensors = {tensor.name: tensor for tensor in graph.outputs}
    for name in graph.output_names:
        if name in tensors:
            yield _binding(context.storages, tensors[name])
        else:
            array = graph.constants[name]
            yield Binding(name, context.image.add_bytes(array).address, array.shape, array.dtype.name)


def _hosts(graph: LayerGraph, storages: Storages) -> tuple[HostModel, ...]:
    return tuple(
        HostModel(
            name=layer.name,
            model=layer.spec.model,
            inputs=tuple(_binding(storages, tensor) for tensor in layer.inputs),
            outputs=tuple(_binding(storages, tensor) for tensor in layer.outputs),
        )
        for layer in graph.layers
        if isinstance(layer.spec, HostSpec)
    )


def _sites(graph: LayerGraph, storages: Storages) -> tuple[SiteInfo, ...]:
    """Where the kept state of every reuse layer lies."""
    sites = []
    for layer in graph.layers:
        spec = layer.spec
        if not isinstance(spec, SiteSpec) or spec.quantizer is None:
            continue
        state = storages.states[layer.name]
        index_memory, index_address = state_place(state.index)
        linear_memory, linear_address = state_place(state.linear)
        sites.append(
            SiteInfo(
                node=layer.name,
                layer=graph.row(layer),
                index_memory=index_memory.name.lower(),
                index_address=index_address,
                index_bytes=state.index.bytes,
                linear_memory=linear_memory.name.lower(),
                linear_address=linear_address,
                linear_bytes=state.linear.bytes,
                shape=layer.inputs[0].shape,
                linear_shape=layer.outputs[0].shape,
                index_dtype=spec.quantizer.index_dtype.name,
            )
        )
    return tuple(sites)
