"""Execute the compute engine's instructions: quantize, and dense and delta layers.

Inside an instruction whole arrays are worked on; which inputs changed decides what is counted, and whether there is
anything to correct.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import (
    DeltaConv,
    DeltaFc,
    DenseConv,
    DenseFc,
    Quantize,
    Space,
)
from reuse_compiler.backend.accelerator.operations import Classes, Operation
from reuse_compiler.quantizers import Quantizer, TableQuantizer, of_channels

__all__: list[str] = []

_FLOAT32_WHOLE = 1 << 24  # whole numbers up to here are float32

Array = NDArray[Any]
Counts = NDArray[np.int64]
Scan = Callable[[], tuple[Array, Array, Array]]
"""Gives present indices, past indices, and which inputs are exactly 0.0."""


@executes(Quantize)
def _quantize(machine: Machine, operation: Operation, quantize: Quantize, counts: Counts) -> Step:
    assert operation.quantizer is not None
    quantizer = of_channels(machine.quantizer(operation.quantizer), quantize.channel, quantize.channels)
    shape = (quantize.outer, quantize.channels, quantize.inner)
    x = machine.memory.array(Space.BUFFER, quantize.x, shape, np.float32)
    index = machine.memory.array(Space.BUFFER, quantize.index, shape, quantizer.index_dtype)
    past = machine.memory.array(Space.BUFFER, quantize.list, shape, quantizer.index_dtype)

    def run() -> None:
        past[...] = index
        index[...] = quantizer.quantize(x, past, channel_axis=1)
        counts[0] = np.count_nonzero(index != past)

    return run


@executes(DenseFc)
def _dense_fc(machine: Machine, operation: Operation, dense: DenseFc, counts: Counts) -> Step:
    memory = machine.memory
    x = memory.view(Space.BUFFER, dense.x, (dense.rows, dense.inputs), (dense.x_stride, 1), np.float32)
    z = memory.view(Space.BUFFER, dense.z, (dense.rows, dense.outputs), (dense.z_stride, 1), np.float32)
    shape, strides = (dense.inputs, dense.outputs), (dense.weights_stride, 1)
    weights = memory.view(Space.EDRAM, dense.weights, shape, strides, np.float32)
    bias = memory.array(Space.EDRAM, dense.bias, (dense.outputs,), np.float32)

    def run() -> None:
        z[...] = x @ weights + (z if dense.accumulate else bias)

    return run


@executes(DeltaFc)
def _delta_fc(machine: Machine, operation: Operation, delta: DeltaFc, counts: Counts) -> Step:
    assert operation.quantizer is not None
    quantizer = of_channels(machine.quantizer(operation.quantizer), delta.channel, delta.inputs)
    memory = machine.memory
    shape = (delta.rows, delta.inputs)
    index = memory.view(Space.BUFFER, delta.index, shape, (delta.index_stride, 1), quantizer.index_dtype)
    z = memory.view(Space.BUFFER, delta.z, (delta.rows, delta.outputs), (delta.z_stride, 1), np.float32)
    weight_shape, weight_strides = (delta.inputs, delta.outputs), (delta.weights_stride, 1)
    weights = memory.view(Space.EDRAM, delta.weights, weight_shape, weight_strides, np.float32)
    if delta.listed:
        past = memory.view(Space.BUFFER, delta.list, shape, (delta.list_stride, 1), quantizer.index_dtype)
        scan = _listed(quantizer, index, past)
    else:
        x = memory.view(Space.BUFFER, delta.x, shape, (delta.x_stride, 1), np.float32)
        scan = _scanned(quantizer, x, index, -1)
    commits = bool(delta.commit)
    change = np.zeros(shape, np.float32)

    def run() -> None:
        present, past, zero = scan()
        changed = present != past
        total = int(np.count_nonzero(changed))
        counts[0] = total
        counts[1] = total if commits else 0
        counts[2] = int(np.count_nonzero(zero > changed)) * delta.outputs
        counts[3] = 1 if total else 0
        if total:
            _difference(quantizer, present, past, change)
            _correct_fc(z, change, changed, total, weights)
        if commits and not delta.listed:
            index[...] = present

    return run


def _correct_fc(z: Array, change: Array, changed: Array, total: int, weights: Array) -> None:
    """z += change W, over the changed rows of W alone where they are few."""
    if change.shape[0] == 1 and total < change.shape[1] // 3:
        rows = np.flatnonzero(changed)
        z += change[:, rows] @ weights[rows]
    else:
        z += change @ weights


def _scanned(quantizer: Quantizer, x: Array, index: Array, channel_axis: int) -> Scan:
    """The scan of an instruction that quantizes its own inputs."""

    def scan() -> tuple[Array, Array, Array]:
        return quantizer.quantize(x, index, channel_axis), index, x == 0

    return scan


def _listed(quantizer: Quantizer, index: Array, past: Array) -> Scan:
    """The scan of a change list; an input counts as 0.0 where its centroid is."""

    def scan() -> tuple[Array, Array, Array]:
        return index, past, index == quantizer.zero

    return scan


@executes(DenseConv)
def _dense_conv(machine: Machine, operation: Operation, dense: DenseConv, counts: Counts) -> Step:
    geometry = operation.geometry
    assert geometry is not None
    memory = machine.memory
    x = memory.view(
        Space.BUFFER,
        dense.x,
        (dense.in_channels, dense.in0, dense.in1, dense.in2),
        (dense.x_stride_c, dense.x_stride0, dense.x_stride1, 1),
        np.float32,
    )
    z = memory.view(
        Space.BUFFER,
        dense.z,
        (dense.out_channels, dense.out0, dense.out1, dense.out2),
        (dense.z_stride_c, dense.z_stride0, dense.z_stride1, 1),
        np.float32,
    )
    weight_shape = (dense.out_channels, geometry.inputs_per_group, *geometry.kernel)
    weights = memory.array(Space.EDRAM, dense.weights, weight_shape, np.float32)
    bias = memory.array(Space.EDRAM, dense.bias, (dense.out_channels, 1, 1, 1), np.float32)
    convolution = machine.convolutions.get(geometry, weights)

    def run() -> None:
        convolution.inside[...] = x
        np.add(convolution(), bias, out=z)

    return run


@executes(DeltaConv)
def _delta_conv(machine: Machine, operation: Operation, delta: DeltaConv, counts: Counts) -> Step:
    geometry, classes = operation.geometry, operation.classes
    assert geometry is not None
    assert classes is not None
    assert operation.quantizer is not None
    quantizer = of_channels(machine.quantizer(operation.quantizer), delta.channel, delta.in_channels)
    memory = machine.memory
    shape = (delta.in_channels, delta.in0, delta.in1, delta.in2)
    index_strides = (delta.index_stride_c, delta.index_stride0, delta.index_stride1, 1)
    index = memory.view(Space.BUFFER, delta.index, shape, index_strides, quantizer.index_dtype)
    z = memory.view(
        Space.BUFFER,
        delta.z,
        (delta.out_channels, delta.out0, delta.out1, delta.out2),
        (delta.z_stride_c, delta.z_stride0, delta.z_stride1, 1),
        np.float32,
    )
    weight_shape = (delta.out_channels, geometry.inputs_per_group, *geometry.kernel)
    weights = memory.array(Space.EDRAM, delta.weights, weight_shape, np.float32)
    if delta.listed:
        strides = (delta.list_stride_c, delta.list_stride0, delta.list_stride1, 1)
        scan = _listed(quantizer, index, memory.view(Space.BUFFER, delta.list, shape, strides, quantizer.index_dtype))
    else:
        strides = (delta.x_stride_c, delta.x_stride0, delta.x_stride1, 1)
        scan = _scanned(quantizer, memory.view(Space.BUFFER, delta.x, shape, strides, np.float32), index, 0)
    convolution = machine.convolutions.get(geometry, weights)
    committed = (slice(None), slice(delta.commit0), slice(delta.commit1), slice(delta.commit2))
    commits = bool(delta.commit0)
    everything = (delta.commit0, delta.commit1, delta.commit2) == shape[1:]
    size = classes.fan_out.size

    def run() -> None:
        present, past, zero = scan()
        changed = present != past
        total = int(np.count_nonzero(changed))
        counts[:] = 0
        by_class = _by_class(changed, zero > changed, classes)
        counts[size + 1] = by_class[1] @ classes.fan_out
        if total == 0:
            return
        counts[:size] = by_class[0]
        counts[size + 2] = 1
        if commits:
            counts[size] = total if everything else np.count_nonzero(changed[committed])
        _difference(quantizer, present, past, convolution.inside)
        np.add(z, convolution(), out=z)
        if commits and not delta.listed:
            index[committed] = present[committed]

    return run


def _difference(quantizer: Quantizer, present: Array, past: Array, out: Array) -> None:
    """c(present) - c(past): without a table the difference of the indices, times the step."""
    if isinstance(quantizer, TableQuantizer):
        np.subtract(quantizer.dequantize(present), quantizer.dequantize(past), out=out)
        return
    step = np.float32(quantizer.step)
    if quantizer.clusters <= 128:
        np.multiply(np.subtract(present.view(np.int8), past.view(np.int8)), step, out=out)
    else:
        np.subtract(present, past, out=out, dtype=np.float32)
        out *= step


def _by_class(changed: Array, zero: Array, classes: Classes) -> Array:
    """How many elements of two masks [channels, 3 axes] are set in each class of fan-out: [2, classes], exact."""
    if classes.fan_out.size == 1:
        return np.array([[np.count_nonzero(changed)], [np.count_nonzero(zero)]], np.float64)
    positions = np.empty((2, *changed.shape[1:]), np.float32 if changed.size < _FLOAT32_WHOLE else np.float64)
    number = np.uint8 if changed.shape[0] < 256 else np.uint32
    for mask, target in ((changed, positions[0]), (zero, positions[1])):
        target[...] = np.add.reduce(mask.view(np.uint8), axis=0, dtype=number)
    return classes.count(positions)
