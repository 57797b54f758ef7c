"""Read inputs and attributes of a node."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.lowering.specs import Tensor
from reuse_compiler.backend.accelerator.shapes import constant, has_place, shape_of

__all__ = ["array_at", "ints", "shape_at", "tensor", "value_at"]

Float = NDArray[np.float32]


def value_at(node: ir.Node, position: int) -> ir.Value:
    value = node.inputs[position]
    assert value is not None
    return value


def shape_at(node: ir.Node, position: int = 0) -> tuple[int, ...]:
    shape = shape_of(value_at(node, position))
    assert shape is not None
    return shape


def array_at(node: ir.Node, position: int) -> Float | None:
    """The float32 constant at `position`, or None where there is none."""
    array = constant(node.inputs[position]) if len(node.inputs) > position else None
    return None if array is None else np.asarray(array, np.float32)


def ints(node: ir.Node, name: str, default: list[int]) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints(name, default) or default)


def tensor(value: ir.Value) -> Tensor:
    """`value` as an operand of a layer; it stays on the host where its size is not known, or it is no array of numbers."""
    shape = shape_of(value)
    if shape is None or not has_place(value):
        return Tensor(str(value.name), (), "uint8", on_host=True)
    assert value.dtype is not None
    return Tensor(str(value.name), shape, value.dtype.numpy().name)
