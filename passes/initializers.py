"""Add an initializer to a graph under a name that is free."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["add_initializer", "free_name"]


def add_initializer(graph: ir.Graph, wanted: str, array: NDArray[Any]) -> ir.Value:
    """A new initializer with the value of `array`, called `wanted` or, where that is taken, with a number behind it."""
    name = free_name(graph, wanted)
    tensor = ir.Tensor(np.ascontiguousarray(array), name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    graph.register_initializer(value)
    return value


def free_name(graph: ir.Graph, wanted: str) -> str:
    """`wanted`, or with the first number from 2 behind it that no tensor of the graph or its bodies has."""
    taken = {value.name for node in graph.all_nodes() for value in node.outputs}
    taken |= {value.name for value in graph.inputs} | set(graph.initializers)
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name
