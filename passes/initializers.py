"""Add initializers to a graph under names that are free."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["NewInitializers"]


class NewInitializers:
    """Adds initializers to one graph; remembers the names that are taken, so that adding many stays cheap.

    Names that others give to tensors of the graph meanwhile are not seen.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._taken = {value.name for node in graph.all_nodes() for value in node.outputs}
        self._taken |= {value.name for value in graph.inputs} | set(graph.initializers)

    def add(self, wanted: str, array: NDArray[Any]) -> ir.Value:
        """A new initializer with the value of `array`, called `wanted` where that is free."""
        name = self.free_name(wanted)
        tensor = ir.Tensor(np.asarray(array, order="C"), name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def free_name(self, wanted: str) -> str:
        """`wanted`, or with the first number from 2 behind it that no tensor of the graph or its bodies has.

        The name is taken from then on.
        """
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name
