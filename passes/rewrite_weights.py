"""Initializers that a rewrite derives from others, each made once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["Weights"]

Array = NDArray[np.float32]


class Weights:
    """Derived float32 initializers of one graph: the same derivation of the same initializer gives the same value."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[str, str], ir.Value] = {}

    def derived(self, source: ir.Value, how: str, derive: Callable[[Array], Array]) -> ir.Value:
        """`derive` of the constant `source`; `how` tells this derivation from others. `source` itself where equal."""
        assert source.name is not None and source.const_value is not None
        key = source.name, how
        if key not in self._made:
            before = source.const_value.numpy()
            after = np.ascontiguousarray(derive(before))
            same = after.shape == before.shape and np.array_equal(after, before)
            self._made[key] = source if same else self._register(f"{source.name}_folded", after)
        return self._made[key]

    def zeros(self, size: int) -> ir.Value:
        """A vector of `size` zeros."""
        key = "", str(size)
        if key not in self._made:
            self._made[key] = self._register(f"zeros_{size}", np.zeros(size, np.float32))
        return self._made[key]

    def constant(self, wanted: str, array: NDArray[Any]) -> ir.Value:
        """An initializer of `array`, called `wanted` or like it; equal arrays wanted under one name share it."""
        key = f"constant {wanted}", hashlib.sha256(array.tobytes()).hexdigest()
        if key not in self._made:
            self._made[key] = self._register(wanted, array)
        return self._made[key]

    def _register(self, wanted: str, array: NDArray[Any]) -> ir.Value:
        taken = {value.name for node in self._graph.all_nodes() for value in (*node.inputs, *node.outputs) if value}
        taken |= set(self._graph.initializers) | {value.name for value in self._graph.inputs}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, const_value=tensor, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype))
        self._graph.register_initializer(value)
        return value
