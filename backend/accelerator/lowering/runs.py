"""Runs: the parts in which a layer is done whose operands do not all fit, and blocks of one function."""

from __future__ import annotations

from collections.abc import Callable

from reuse_compiler.backend.accelerator.isa import Element, Function
from reuse_compiler.backend.accelerator.lowering.emitter import Box
from reuse_compiler.backend.accelerator.lowering.specs import FunctionSpec, Layer
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.tiling import runs
from reuse_compiler.backend.accelerator.lowering.work import (
    Block,
    Context,
    Planned,
    StagingTooSmallError,
)

__all__ = ["function_block", "in_dram", "operands_of", "run_box", "run_boxes", "span"]


def operands_of(context: Context, layer: Layer) -> tuple[Storage, Storage]:
    """The storages of the operand and the output of a layer with one of each."""
    by_tensor = context.storages.by_tensor
    return by_tensor[layer.inputs[0].name], by_tensor[layer.outputs[0].name]


def in_dram(storage: Storage) -> bool:
    """Whether `storage` has no place in the buffer."""
    return storage.buffer_address is None


def run_box(sizes: tuple[int, ...], axis: int, count: int) -> Box:
    """The box of `count` along `axis`, of all along the axes behind it and of one along those before."""
    return (*[(0, 1)] * axis, (0, count), *((0, size) for size in sizes[axis + 1 :]))


def run_boxes(context: Context, layer: Layer, sizes: tuple[int, ...], staged: Callable[[int, int], int]) -> list[Box]:
    """Runs of an array whose staged bytes, by axis and count along it, one half holds, or all where it is one run. A run
    has no more than the four axes of an instruction."""

    def fits(axis: int, count: int, alone: bool) -> bool:
        if sum(extent > 1 for _, extent in run_box(sizes, axis, count)) > 4:
            return False
        needed = staged(axis, count)
        return needed <= context.placement.staging_bytes // (1 if alone else 2) - (64 if needed else 0)

    parts = runs(sizes, fits)
    if parts is None:
        raise StagingTooSmallError(layer.name)
    return parts


def span(strides: tuple[int, ...], box: Box) -> tuple[int, int]:
    """First element that a run of the output reads of an operand, and how many from there on."""
    first = sum(start * stride for (start, _), stride in zip(box, strides, strict=True))
    return first, sum((extent - 1) * stride for (_, extent), stride in zip(box, strides, strict=True)) + 1


def function_block(
    context: Context,
    spec: FunctionSpec,
    x: Block,
    y: Block,
    sizes: tuple[int, int, int, int],
    x_strides: tuple[int, int, int],
    y_strides: tuple[int, int, int],
    element: Element = Element.FLOAT32,
    result: Element = Element.FLOAT32,
) -> Planned:
    """One function over a block of four axes, the innermost contiguous, from `element` to `result`."""
    fields = {
        **{f"x_stride{axis}": stride for axis, stride in enumerate(x_strides)},
        **{f"y_stride{axis}": stride for axis, stride in enumerate(y_strides)},
        **{f"size{axis}": size for axis, size in enumerate(sizes)},
    }
    function = Function(
        layer=context.layer,
        function=spec.function,
        element=element,
        result=result,
        alpha=spec.alpha,
        beta=spec.beta,
        x=x.address,
        y=y.address,
        **fields,
    )
    return Planned(function, [x.region], [y.region])
