"""Lower element-wise layers: functions of one operand, of two with broadcast, and selection."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reuse_compiler.backend.accelerator.isa import Element, Elementwise, Instruction, Select
from reuse_compiler.backend.accelerator.lowering.emitter import Box
from reuse_compiler.backend.accelerator.lowering.runs import (
    function_block,
    in_dram,
    operands_of,
    run_box,
    run_boxes,
    span,
)
from reuse_compiler.backend.accelerator.lowering.specs import (
    BroadcastSpec,
    ElementwiseSpec,
    FunctionSpec,
    Layer,
    Operand,
    SelectSpec,
    Tensor,
)
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    Work,
    box_bytes,
    dense_strides,
    pipeline,
)

__all__ = ["lower_elementwise", "lower_function", "lower_select"]


def lower_function(context: Context, layer: Layer, spec: FunctionSpec) -> None:
    """One function over all elements, in parts where an operand lies in DRAM."""
    data, output = operands_of(context, layer)
    element, result = Element.of(layer.inputs[0].dtype), Element.of(layer.outputs[0].dtype)
    size = math.prod(layer.outputs[0].shape)
    staged = [kind.bytes for storage, kind in ((data, element), (output, result)) if in_dram(storage)]
    works = []
    parts = run_boxes(context, layer, (size,), lambda axis, count: sum(box_bytes((count,), item) for item in staged))
    for number, part in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        x = context.block(work, data, (size,), part, element.bytes, read=True)
        y = context.block(work, output, (size,), part, result.bytes, read=False)
        whole = (1, 1, 1, part[0][1])
        work.computes.append(function_block(context, spec, x, y, whole, (0, 0, 0), (0, 0, 0), element, result))
        context.write_back(work, output, y, (size,), part, result.bytes)
        works.append(work)
    pipeline(context.emitter, works)


class _Operands:
    """The operands of a broadcast: what each needs of the staging region, and where each lies for a run."""

    def __init__(self, context: Context, layer: Layer, spec: BroadcastSpec) -> None:
        tensors = iter(layer.inputs)
        self._context = context
        self._given: list[tuple[Operand, Tensor | None]] = [
            (operand, None if operand.constant is not None else next(tensors)) for operand in spec.operands
        ]

    def _storage(self, tensor: Tensor) -> Storage:
        return self._context.storages.by_tensor[tensor.name]

    def staged(self, box: Box) -> int:
        """Bytes of the staging region that the operands of a run take; one that is read twice alike is there once."""
        different = {
            (self._storage(tensor), _axes(operand), Element.of(tensor.dtype).bytes)
            for operand, tensor in self._given
            if tensor is not None and in_dram(self._storage(tensor))
        }
        return sum(box_bytes((span(strides, box)[1],), size) for _, strides, size in different)

    def blocks(self, work: Work, box: Box) -> list[Block | int]:
        """Of each operand the block that a run reads, loaded where need be; of a constant its eDRAM byte address."""
        found: list[Block | int] = []
        known: dict[tuple[Storage, tuple[int, int]], Block] = {}
        for operand, tensor in self._given:
            reach = span(_axes(operand), box)
            if tensor is None:
                assert operand.constant is not None
                constant = self._context.image.add(operand.constant)
                found.append(self._context.constant(constant) + reach[0] * operand.constant.dtype.itemsize)
                continue
            storage, size = self._storage(tensor), Element.of(tensor.dtype).bytes
            if (storage, reach) not in known:
                known[storage, reach] = self._context.block(
                    work, storage, (storage.bytes // size,), (reach,), size, read=True
                )
            found.append(known[storage, reach])
        return found


def _axes(operand: Operand) -> tuple[int, ...]:
    return operand.strides or (0,)


def lower_elementwise(context: Context, layer: Layer, spec: ElementwiseSpec) -> None:
    """One function of two operands, in runs of the output where one lies in DRAM or the axes are too many."""
    kind = layer.inputs[0].dtype
    constant = [operand.constant is not None for operand in spec.operands]
    swapped = constant[0]
    a, b = spec.operands[::-1] if swapped else spec.operands

    def instruction(addresses: Sequence[int], y: int, box: Box) -> Elementwise:
        first, second = addresses[::-1] if swapped else addresses
        return Elementwise(
            layer=context.layer,
            function=spec.function,
            element=Element.of(kind),
            result=Element.of(layer.outputs[0].dtype),
            constant=int(any(constant)),
            swapped=int(swapped),
            a=first,
            b=second,
            y=y,
            **_block_fields(box, {"a": a, "b": b}),
        )

    _lower_broadcast(context, layer, spec, instruction)


def lower_select(context: Context, layer: Layer, spec: SelectSpec) -> None:
    """A selection between two operands, in runs as above."""
    c_constant, a_constant, b_constant = (int(operand.constant is not None) for operand in spec.operands)
    c, a, b = spec.operands

    def instruction(addresses: Sequence[int], y: int, box: Box) -> Select:
        return Select(
            layer=context.layer,
            element=Element.of(layer.outputs[0].dtype),
            c_constant=c_constant,
            a_constant=a_constant,
            b_constant=b_constant,
            c=addresses[0],
            a=addresses[1],
            b=addresses[2],
            y=y,
            **_block_fields(box, {"c": c, "a": a, "b": b}),
        )

    _lower_broadcast(context, layer, spec, instruction)


def _lower_broadcast(
    context: Context, layer: Layer, spec: BroadcastSpec, instruction: Callable[[Sequence[int], int, Box], Instruction]
) -> None:
    """One instruction a run: `instruction(addresses of the operands, address of the output, box)` makes it."""
    output = context.storages.by_tensor[layer.outputs[0].name]
    size = Element.of(layer.outputs[0].dtype).bytes
    sizes, total = spec.sizes or (1,), math.prod(spec.sizes)
    operands = _Operands(context, layer, spec)

    def staged(axis: int, count: int) -> int:
        box = run_box(sizes, axis, count)
        mine = box_bytes((extent for _, extent in box), size) if in_dram(output) else 0
        return operands.staged(box) + mine

    works = []
    parts = run_boxes(context, layer, sizes, staged)
    for number, box in enumerate(parts):
        work = Work()
        context.half(number, len(parts))
        blocks = operands.blocks(work, box)
        target = (span(dense_strides(sizes), box),)
        y = context.block(work, output, (total,), target, size, read=False)
        addresses = [block if isinstance(block, int) else block.address for block in blocks]
        reads = dict.fromkeys(block.region for block in blocks if isinstance(block, Block))
        work.computes.append(Planned(instruction(addresses, y.address, box), list(reads), [y.region]))
        context.write_back(work, output, y, (total,), target, size)
        works.append(work)
    pipeline(context.emitter, works)


def _block_fields(box: Box, operands: Mapping[str, Operand]) -> dict[str, Any]:
    """Extents of a run and strides of the operands and of y, by the names of an instruction's fields. Only the last four
    axes of a run have an extent above one."""
    extents = _last_four(tuple(extent for _, extent in box), 1)
    strides = {name: _last_four(operand.strides, 0) for name, operand in operands.items()}
    strides["y"] = dense_strides(extents)
    fields = {f"size{axis}": extent for axis, extent in enumerate(extents)}
    for name, along in strides.items():
        fields |= {f"{name}_stride{axis}": stride for axis, stride in enumerate(along)}
    return fields


def _last_four(values: tuple[int, ...], missing: int) -> tuple[int, ...]:
    return (*[missing] * (4 - len(values)), *values[-4:])
