"""A network's ONNX graph under construction: nodes in order, weights stored as float32 or float16, shapes at every value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import DTypeLike, NDArray

from reuse_compiler.errors import ModelError

__all__ = ["Attributes", "NetworkGraph", "Weights", "check_weights", "float_value"]

Weights = Mapping[str, NDArray[np.float32]]
Attributes = Mapping[str, int | float | str | list[int]]

_IR_VERSION = 10


class NetworkGraph:
    """Nodes and initializers, added in order; everything computes in float32.

    Parameters
    ----------
    name : str
        Of the graph, and of the package in `reuse_compiler.models`.
    opset : int
    storage : float32 or float16
        How the file holds the weights; a Cast follows each that is float16.
    """

    def __init__(self, name: str, opset: int, storage: DTypeLike = np.float32) -> None:
        self._name, self._opset, self._storage = name, opset, np.dtype(storage)
        self._nodes: list[ir.Node] = []
        self._initializers: list[ir.Value] = []

    def node(
        self,
        op: str,
        name: str,
        inputs: Sequence[ir.Value | None],
        shape: Sequence[int],
        attributes: Attributes | None = None,
    ) -> ir.Value:
        """Add a node of one output, ``<name>_out``, float32 of `shape`."""
        output = float_value(f"{name}_out", shape)
        self._nodes.append(ir.node(op, inputs, attributes, outputs=[output], name=name))
        return output

    def weight(self, name: str, array: NDArray[np.float32]) -> ir.Value:
        """Add an initializer, and the Cast behind it where it is stored as float16."""
        value = self._initializer(name, array.astype(self._storage))
        if self._storage == np.float32:
            return value
        return self.node("Cast", f"{name}_float32", [value], array.shape, {"to": int(ir.DataType.FLOAT)})

    def integers(self, name: str, numbers: Sequence[int]) -> ir.Value:
        """Add an int64 initializer [len(numbers)]."""
        return self._initializer(name, np.array(numbers, np.int64))

    def _initializer(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self._initializers.append(value)
        return value

    def model(self, network_input: ir.Value, output: ir.Value, output_name: str) -> ir.Model:
        """The model from `network_input` to `output`, which takes the name `output_name`."""
        output.name = output_name
        graph = ir.Graph(
            [network_input],
            [output],
            nodes=self._nodes,
            initializers=self._initializers,
            opset_imports={"": self._opset},
            name=self._name,
        )
        return ir.Model(graph, ir_version=_IR_VERSION, producer_name=f"reuse_compiler.models.{self._name}")


def float_value(name: str, shape: Sequence[int]) -> ir.Value:
    """A float32 value."""
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))


def check_weights(weights: Weights, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """ModelError where a tensor of `shapes` is missing, one is not known, or one has another shape."""
    if weights.keys() != shapes.keys():
        names = ", ".join(sorted(weights.keys() ^ shapes.keys()))
        raise ModelError(f"weights: {names}: missing, or not of the network: give the tensors of weight_shapes()")
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ModelError(f"{name}: shape is {weights[name].shape}: give {shape}")
