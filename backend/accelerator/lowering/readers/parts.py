"""Parts: the layers that a node becomes which takes more than one instruction, or has constants among its operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import DTypeLike, NDArray

from reuse_compiler.backend.accelerator.isa import Binary, Special
from reuse_compiler.backend.accelerator.lowering.readers.values import tensor, value_at
from reuse_compiler.backend.accelerator.lowering.specs import (
    AliasSpec,
    ElementwiseSpec,
    FunctionSpec,
    Layer,
    Operand,
    SelectSpec,
    Spec,
    Tensor,
)
from reuse_compiler.backend.accelerator.shapes import broadcast_axes, constant

__all__ = ["Parts", "Value"]

Array = NDArray[Any]
Value = Tensor | Array
"""What is computed at run time, or a constant."""


class Parts:
    """Collects the parts of a node: what computes on constants alone is computed at once, the rest become layers.

    Results in between are tensors named after the node. The parts share the node's row in reports.
    """

    def __init__(self, node: ir.Node) -> None:
        self._node = node
        self._layers: list[Layer] = []

    def operand(self, position: int) -> Value:
        """The node's input at `position`; of float16 converted, since it is not computed with."""
        value = value_at(self._node, position)
        array = constant(value)
        operand = tensor(value) if array is None else array
        return self.converted(operand, "float32") if np.dtype(operand.dtype) == np.float16 else operand

    def given(self, position: int) -> Value | None:
        """The node's input at `position`, or None where it has none."""
        inputs = self._node.inputs
        return self.operand(position) if len(inputs) > position and inputs[position] is not None else None

    def layer(
        self, spec: Spec, operands: Sequence[Value], shape: Sequence[int], dtype: DTypeLike = "float32"
    ) -> Tensor:
        """What `spec` makes of the operands that are no constants."""
        name = f"{self._node.name} part {len(self._layers) + 1}"
        output = Tensor(name, tuple(shape), np.dtype(dtype).name)
        inputs = tuple(operand for operand in operands if isinstance(operand, Tensor))
        self._layers.append(Layer(name, self._node.op_type, inputs, (output,), spec, str(self._node.name)))
        return output

    def function(
        self, function: Special, x: Value, alpha: float = 0.0, beta: float = 0.0, dtype: str | None = None
    ) -> Value:
        """A function of one operand; its result converted to `dtype`, that of the operand where that is None."""
        result = np.dtype(dtype or x.dtype)
        if isinstance(x, Tensor):
            return self.layer(FunctionSpec(function, alpha, beta), (x,), x.shape, result)
        with np.errstate(all="ignore"):
            return function.compute(x, np.float32(alpha), np.float32(beta)).astype(result)

    def converted(self, x: Value, dtype: str) -> Value:
        """`x` with elements of `dtype`."""
        return x if np.dtype(x.dtype) == np.dtype(dtype) else self.function(Special.IDENTITY, x, dtype=dtype)

    def binary(self, function: Binary, a: Value, b: Value, dtype: str | None = None) -> Value:
        """A function of two operands of one type; its result converted to `dtype`, theirs where that is None."""
        result = np.dtype(dtype or a.dtype)
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            with np.errstate(all="ignore"):
                return function.compute(a, b).astype(result)
        shape, sizes, operands = _broadcast(a, b)
        return self.layer(ElementwiseSpec(sizes, operands, function), (a, b), shape, result)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """`a` where the condition is true, else `b`, which has the same type."""
        shape, sizes, operands = _broadcast(condition, a, b)
        return self.layer(SelectSpec(sizes, operands), (condition, a, b), shape, np.dtype(a.dtype))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` in another shape."""
        return self.layer(AliasSpec(), [x], shape, x.dtype) if isinstance(x, Tensor) else np.reshape(x, shape)

    def layers(self, *results: Value) -> list[Layer]:
        """The layers; `results`, converted to their types, take the places of the node's outputs, in their order, and
        have their elements. Outputs without a name are left out."""
        outputs = [tensor(value) if value.name else None for value in self._node.outputs]
        names: dict[str, Tensor] = {}
        for output, result in zip(outputs, results, strict=False):
            if output is not None:
                result = self.converted(result, output.dtype)
                made = any(result in layer.outputs for layer in self._layers)
                copy = result if made else self.function(Special.IDENTITY, result)
                assert isinstance(copy, Tensor), "the rules leave nodes without a run-time operand to the frontend"
                names[copy.name] = output
        layers = [
            replace(
                layer,
                inputs=tuple(names.get(read.name, read) for read in layer.inputs),
                outputs=tuple(names.get(made.name, made) for made in layer.outputs),
            )
            for layer in self._layers
        ]
        return layers if len(layers) > 1 else [replace(layers[0], name=str(self._node.name), row="")]


def _broadcast(*values: Value) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Operand, ...]]:
    """The shape of what the operands make together, its merged axes, and each operand with its strides along them."""
    shapes = [tuple(value.shape) for value in values]
    shape = np.broadcast_shapes(*shapes)
    sizes, strides = broadcast_axes(shapes, shape)
    operands = (
        Operand(along, None if isinstance(value, Tensor) else np.ascontiguousarray(value))
        for along, value in zip(strides, values, strict=True)
    )
    return shape, sizes, tuple(operands)
