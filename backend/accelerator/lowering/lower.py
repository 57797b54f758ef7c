"""From a reuse model to a program: one code with reuse, one without, over the same constants.

Both codes come from the same steps; the baseline only leaves out quantizers and state and has the smaller buffer. Of
the sizes tried for the staging region, the one whose code moves the fewest DRAM bytes a frame is taken, where a
transfer counts as so many bytes more: a larger region keeps less, and moves it in fewer pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import onnx_ir as ir

from reuse_compiler.backend.accelerator.isa import Halt, Host, Instruction, Loop, Over, Space
from reuse_compiler.backend.accelerator.lowering import conv, fc
from reuse_compiler.backend.accelerator.lowering.along_axis import lower_resample, lower_scan
from reuse_compiler.backend.accelerator.lowering.axis_specs import ResampleSpec, ScanSpec
from reuse_compiler.backend.accelerator.lowering.constants import Constant, ConstantImage, Residency, choose_residency
from reuse_compiler.backend.accelerator.lowering.elementwise import lower_elementwise, lower_function, lower_select
from reuse_compiler.backend.accelerator.lowering.emitter import Emitter, MoveCounter, Region, Sink
from reuse_compiler.backend.accelerator.lowering.graph import read_graph
from reuse_compiler.backend.accelerator.lowering.matmul import lower_matmul
from reuse_compiler.backend.accelerator.lowering.move_spec import MoveSpec
from reuse_compiler.backend.accelerator.lowering.movement import lower_move
from reuse_compiler.backend.accelerator.lowering.pooling import lower_pool
from reuse_compiler.backend.accelerator.lowering.recurrent import StepNote, lower_recurrent
from reuse_compiler.backend.accelerator.lowering.recurrent_spec import RecurrentSpec
from reuse_compiler.backend.accelerator.lowering.reduce import lower_reduce
from reuse_compiler.backend.accelerator.lowering.sections import (
    begin_sequence,
    load_constants,
    resident_constants,
    state_place,
)
from reuse_compiler.backend.accelerator.lowering.specs import (
    AliasSpec,
    Booking,
    ConvSpec,
    ElementwiseSpec,
    FcSpec,
    FunctionSpec,
    HostSpec,
    Layer,
    LayerGraph,
    MatmulSpec,
    PoolSpec,
    ReduceSpec,
    SelectSpec,
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
    StepIndices,
    Tiling,
)
from reuse_compiler.errors import HardwareError
from reuse_compiler.operators import is_reuse
from reuse_compiler.quantizers import LinearQuantizer, Quantizer
from reuse_compiler.slots import is_recurrent_reuse

__all__ = ["lower"]

Backend = Literal["reuse", "dense", "host"]

_STAGING_EIGHTHS = (0, 1, 2, 3, 4, 6)
_TRANSFER_BYTES = 2560  # what DRAM moves in the 50 cycles of its latency


def lower(model: ir.Model, tiling: Tiling, model_sha256: str) -> Program:
    """Lower a reuse model (or a model without reuse) for hardware of the sizes in `tiling`.

    A node without reuse whose smallest tile a memory cannot hold goes to the host. Raises HardwareError where a memory or
    the accumulators are too small for the smallest tile of a node with reuse.
    """
    if tiling.accumulators < tiling.lanes:
        raise HardwareError(
            f"hardware {tiling.hardware}: {tiling.accumulators:,} accumulators for {tiling.lanes:,} lanes: give every lane"
            " one"
        )
    reusing = {str(node.name) for node in model.graph if is_reuse(node) or is_recurrent_reuse(node)}
    to_host: set[str] = set()
    while True:
        try:
            return _lower(read_graph(model, to_host), tiling, model_sha256)
        except _LayerTooLargeError as error:
            if error.node in reusing or error.node in to_host:
                raise
            to_host.add(error.node)


class _LayerTooLargeError(HardwareError):
    """The smallest tile of a layer does not fit; `node` is what the layer is, or is a part of."""

    def __init__(self, layer: Layer, buffer_bytes: int) -> None:
        super().__init__(
            f"layer {layer.name}: its smallest tile does not fit the I/O buffer of {buffer_bytes:,} bytes: use hardware"
            " with a larger buffer"
        )
        self.node = layer.row or layer.name


def _lower(graph: LayerGraph, tiling: Tiling, model_sha256: str) -> Program:
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
    """A row for each name that layers book on: the parts of a node add up."""
    parts: dict[str, list[tuple[Layer, Booking]]] = {}
    for layer in graph.layers:
        for name, booking in layer.bookings.items():
            parts.setdefault(name, []).append((layer, booking))
    for name, booked in parts.items():
        kinds = [_backend(layer, booking) for layer, booking in booked]
        order: tuple[Backend, ...] = ("reuse", "host", "dense")
        backend = next(kind for kind in order if kind in kinds)
        info = LayerInfo(name, booked[0][0].op, backend, sum(booking.macs for _, booking in booked), 0)
        for _, booking in booked:
            if booking.quantizer is not None:
                info = replace(
                    info,
                    inputs=info.inputs + booking.inputs,
                    clusters=booking.quantizer.clusters,
                    step=booking.quantizer.step if isinstance(booking.quantizer, LinearQuantizer) else None,
                    deadband=booking.quantizer.deadband,
                )
        yield info


def _backend(layer: Layer, booking: Booking) -> Backend:
    if isinstance(layer.spec, HostSpec):
        return "host"
    return "dense" if booking.quantizer is None else "reuse"


def _constants(graph: LayerGraph) -> ConstantImage:
    """The constants of all layers, in the order of the layers."""
    image = ConstantImage()
    for layer in graph.layers:
        for weight in layer.spec.weights:
            image.add(weight)
        for reuse in (True, False):
            resident_constants(image, layer.spec, reuse=reuse)
    for array in graph.constants.values():
        image.add_bytes(array)
    return image


def _residency(graph: LayerGraph, tiling: Tiling, image: ConstantImage, reuse: bool) -> Residency:
    small: list[Constant] = []
    weights: dict[Constant, int] = {}
    repeated: list[list[Constant]] = []
    for layer in graph.layers:
        spec = layer.spec
        if isinstance(spec, ConvSpec):
            tiles = [conv.smallest_weight_tile(spec, tiling.lanes)]
        elif isinstance(spec, FcSpec):
            tiles = [fc.smallest_weight_tile(spec, tiling.lanes)]
        elif isinstance(spec, RecurrentSpec):
            tiles = [fc.smallest_weight_tile(product, tiling.lanes) for product in spec.products.values()]
        else:
            tiles = []
        constants = [image.add(weight) for weight in spec.weights]
        for constant, tile in zip(constants, tiles, strict=True):
            weights[constant] = max(tile, weights.get(constant, 0))
        if isinstance(spec, RecurrentSpec) and spec.steps > 1:
            repeated.append(constants)
        small += resident_constants(image, spec, reuse=reuse)
    return choose_residency(small, weights, tiling.edram_bytes, repeated)


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
    failure: _LayerTooLargeError | None = None
    for size in sorted(sizes, key=lambda s: (bounds[s], s)):
        if best is not None and bounds[size] >= best[0]:
            break
        counter = MoveCounter(_TRANSFER_BYTES)
        try:
            _lower_frame(context(size, counter), graph)
        except _LayerTooLargeError as error:
            failure = error
            continue
        if best is None or counter.traffic < best[0]:
            best = (counter.traffic, size)
    if best is None:
        assert failure is not None
        raise failure
    emitter = Emitter()
    return _code(context(best[1], emitter), emitter, graph)


def _lower_frame(context: Context, graph: LayerGraph) -> int:
    """Emit the frame section but for its sync; the size of DRAM in bytes."""
    dram_bytes = _assign_dram(graph, context.storages, context.image.size)
    context.step_rows = tuple(graph.row(layer) for layer in graph.layers)
    for layer in graph.layers:
        context.layer = graph.row(layer)
        context.parts = {booking.part: graph.row(layer, booking.part) for booking in layer.bookings.values()}
        context.emitter.coalesce(STAGING)
        context.emitter.coalesce(WEIGHTS)
        try:
            LOWERERS[type(layer.spec)](context, layer, layer.spec)
        except StagingTooSmallError as error:
            raise _LayerTooLargeError(layer, context.placement.buffer_bytes) from error
    for tensor in _placed(graph.outputs):
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
        inputs=tuple(_binding(storages, tensor) for tensor in _placed(graph.inputs)),
        outputs=tuple(_outputs(context, graph)),
        kept_inputs=_kept(graph.inputs),
        kept_outputs=_kept(graph.outputs),
        hosts=_hosts(graph, storages),
        sites=tuple(_sites(graph, storages, emitter)) if context.reuse else (),
    )


def _assign_dram(graph: LayerGraph, storages: Storages, start: int) -> int:
    """Give a DRAM address to whatever is there at some time; the size of DRAM in bytes."""
    top = aligned(start)
    outside = [storages.by_tensor[tensor.name] for tensor in _placed((*graph.inputs, *graph.outputs))]
    for storage in dict.fromkeys([*outside, *storages.everything]):
        visits = storage.is_input or storage.is_output or storage.from_host or storage.to_host
        if visits or storage.buffer_address is None:
            storage.dram_address = top
            top += aligned(max(storage.bytes, 1))
    return top


def _lower_host(context: Context, layer: Layer, spec: HostSpec) -> None:
    """Bring the operands to DRAM and call the host."""
    operands = [context.storages.by_tensor[tensor.name] for tensor in _placed(layer.inputs)]
    results = [context.storages.by_tensor[tensor.name] for tensor in _placed(layer.outputs)]
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
    RecurrentSpec: lower_recurrent,
    FunctionSpec: lower_function,
    ElementwiseSpec: lower_elementwise,
    SelectSpec: lower_select,
    PoolSpec: lower_pool,
    ReduceSpec: lower_reduce,
    MatmulSpec: lower_matmul,
    ScanSpec: lower_scan,
    ResampleSpec: lower_resample,
    MoveSpec: lower_move,
    HostSpec: _lower_host,
    AliasSpec: _nothing,
}
"""What emits the instructions of a layer, by what the layer computes."""


def _placed(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Those that have a place in the accelerator's memories."""
    return [tensor for tensor in tensors if not tensor.on_host]


def _kept(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    """The names of those that stay on the host."""
    return tuple(tensor.name for tensor in tensors if tensor.on_host)


def _binding(storages: Storages, tensor: Tensor) -> Binding:
    address = storages.by_tensor[tensor.name].dram_address
    assert address is not None
    return Binding(tensor.name, address, tensor.shape, tensor.dtype)


def _outputs(context: Context, graph: LayerGraph) -> Iterator[Binding]:
    """Where the model's outputs lie, in its order; one that is a constant lies among the constants."""
    tensors = {tensor.name: tensor for tensor in graph.outputs}
    for name in graph.output_names:
        if name in tensors and not tensors[name].on_host:
            yield _binding(context.storages, tensors[name])
        elif name not in tensors:
            array = graph.constants[name]
            yield Binding(name, context.image.add_bytes(array).address, array.shape, array.dtype.name)


def _hosts(graph: LayerGraph, storages: Storages) -> tuple[HostModel, ...]:
    return tuple(
        HostModel(
            name=layer.name,
            model=layer.spec.model,
            inputs=tuple(_binding(storages, tensor) for tensor in _placed(layer.inputs)),
            outputs=tuple(_binding(storages, tensor) for tensor in _placed(layer.outputs)),
            kept_inputs=_kept(layer.inputs),
            kept_outputs=_kept(layer.outputs),
        )
        for layer in graph.layers
        if isinstance(layer.spec, HostSpec)
    )


def _sites(graph: LayerGraph, storages: Storages, frame: Emitter) -> Iterator[SiteInfo]:
    """Where the kept state of every reuse site lies."""
    steps: dict[str, list[StepIndices]] = {}
    for number, note in frame.notes:
        if isinstance(note, StepNote):
            steps.setdefault(note.site, []).append(note.after(number))
    for layer in graph.layers:
        spec = layer.spec
        if isinstance(spec, SiteSpec) and spec.quantizer is not None:
            yield _site(
                layer.name, graph.row(layer), storages, layer.inputs[0].shape, layer.outputs[0].shape, spec.quantizer
            )
        elif isinstance(spec, RecurrentSpec) and spec.quantizers:
            for site, product in spec.products.items():
                name, row = f"{layer.name}.{site}", graph.row(layer, f".{site}")
                assert product.quantizer is not None
                shapes = (product.rows, product.inputs), (product.rows, product.outputs)
                info = _site(name, row, storages, *shapes, product.quantizer)
                yield replace(info, time_steps=spec.steps, steps=tuple(steps[name]))


def _site(
    name: str,
    row: int,
    storages: Storages,
    shape: tuple[int, ...],
    linear_shape: tuple[int, ...],
    quantizer: Quantizer,
) -> SiteInfo:
    state = storages.states[name]
    index_memory, index_address = state_place(state.index)
    linear_memory, linear_address = state_place(state.linear)
    return SiteInfo(
        node=name,
        layer=row,
        index_memory=index_memory.name.lower(),
        index_address=index_address,
        index_bytes=state.index.bytes,
        linear_memory=linear_memory.name.lower(),
        linear_address=linear_address,
        linear_bytes=state.linear.bytes,
        shape=shape,
        linear_shape=linear_shape,
        index_dtype=quantizer.index_dtype.name,
        zero=quantizer.zero,
    )
